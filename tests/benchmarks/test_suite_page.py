from __future__ import annotations

import runpy
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from quadzoo.records.record import run_folder
from quadzoo.records.suite import is_suite, read_suite
from quadzoo.report.verify import verify
from tests.report.suite.suites import write

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "benchmarks" / "results" / "suite"
PAGES = ("LEADERBOARD-SUITE.md", "leaderboard-suite.html")


def test_published_pages_are_what_the_records_give(script: Callable[..., None], tmp_path: Path) -> None:
    if not is_suite(RECORDS):
        pytest.skip("no suite is published yet")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "suite").symlink_to(RECORDS)
    script("suite/page", "--to", tmp_path)
    for name in PAGES:
        assert (tmp_path / name).read_text() == (ROOT / "benchmarks" / name).read_text(), (
            f"benchmarks/{name} is out of date: python benchmarks/suite/page.py"
        )
    for name in read_suite(RECORDS).sets:
        assert verify(RECORDS / name, weights=False).faults == []


def test_records_are_kept_without_weights(script: Callable[..., None], tmp_path: Path) -> None:
    out, to = tmp_path / "out", tmp_path / "to"
    write(out, {"u": {"a": [0.01], "b": [0.02]}, "v": {"a": [0.01], "b": [None]}})
    (run_folder(out / "u", "0-0") / "model.safetensors").write_bytes(b"weights")
    (out / "u" / "baselines" / "key").mkdir(parents=True)
    (out / "u" / "baselines" / "key" / "baseline.json").write_text("{}")
    (to / "results" / "suite" / "old").mkdir(parents=True)
    script("suite/page", out, "--to", to)
    records = to / "results" / "suite"
    assert {str(path.relative_to(records)) for path in records.rglob("*") if not path.is_dir()} == {
        "suite.json", "u/runs/0-0/record.json", "u/runs/1-0/record.json", "v/runs/0-0/record.json",
        "u/baselines/key/baseline.json",
    }  # fmt: skip
    assert not (records / "old").exists()
    before = {name: (to / name).read_text() for name in PAGES}
    assert "b + mlp (v: no run)" in before["LEADERBOARD-SUITE.md"]
    script("suite/page", "--to", to)
    assert {name: (to / name).read_text() for name in PAGES} == before


def test_how_long_the_runs_took() -> None:
    in_words = runpy.run_path(str(ROOT / "benchmarks" / "suite" / "page.py"))["in_words"]

    def at(*hours: float) -> list[datetime]:
        return [datetime(2026, 1, 1) + timedelta(hours=hour) for hour in hours]

    one, beside, later = at(0, 2), at(1, 2.5), at(4, 4.5)
    assert in_words([tuple(times) for times in (later, beside, one)]) == (
        "The 3 runs took 4.00 hours in sum, each from its start to its finish: 3.00 hours by the clock, in "
        "which 2 at most were under way at the same time (2.00 hours if 2 always were). Ridge regression and "
        "pauses between runs are not counted."
    )
    alone = in_words([tuple(one), tuple(later)])
    assert alone.startswith("The 2 runs took 2.50 hours in sum, each from its start to its finish. Ridge")
