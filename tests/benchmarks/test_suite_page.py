from __future__ import annotations

from collections.abc import Callable
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
