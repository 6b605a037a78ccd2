from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from quadzoo.report.rows import Row
from quadzoo.report.verify import verify

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
RECORDS = RESULTS / "equations"
OF_FIRST = RESULTS / "leaderboard"  # the recipe `first`; nothing is kept there of what baselines answered


def test_published_pages_are_what_the_records_give(script: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "equations").symlink_to(RECORDS)
    script("leaderboard", "--to", tmp_path)
    for name in ("LEADERBOARD.md", "leaderboard.html"):
        assert (tmp_path / name).read_text() == (ROOT / "benchmarks" / name).read_text(), (
            f"benchmarks/{name} is out of date: python benchmarks/leaderboard.py"
        )


@pytest.mark.parametrize("records", [RECORDS, OF_FIRST], ids=["default", "first"])
def test_committed_records_are_true(records: Path) -> None:
    verdict = verify(records, weights=False)
    assert verdict.faults == []
    assert verdict.ok == verdict.runs == len([*(records / "runs").iterdir()]) > 0


def test_leaderboard_benchmark_runs_at_tiny_size(
    script: Callable[..., None], equations: Path, tmp_path: Path
) -> None:
    script("leaderboard", "--data", equations, "--epochs", "1", "--backbones", "tiny_cnn", "--heads", "mlp",
           "--out", tmp_path / "out", "--to", tmp_path)  # fmt: skip
    kept = tmp_path / "results" / "equations"
    assert sorted(path.name for path in next(kept.glob("runs/*")).iterdir()) == [
        "predictions.csv", "record.json", "seen_images.npy", "worst.webp",
    ]  # fmt: skip
    assert verify(kept, weights=False).faults == []
    assert "tiny_cnn" in (tmp_path / "LEADERBOARD.md").read_text()


NAMES = {
    RECORDS: ["resnet18 + skip", "efficientnet_b0 + mlp", "resnet50 + mlp", "tiny_cnn + mlp"],
    OF_FIRST: ["resnet18 + mlp", "resnet50 + spatial", "tiny_cnn + mlp", "tiny_cnn + integer"],
}


@pytest.mark.parametrize("records", [RECORDS, OF_FIRST], ids=["default", "first"])
def test_all_records_and_a_part_of_them_tell_one_story(records: Path) -> None:
    """Seed 0 alone claims nothing; four rows alone have the places and the verdicts of the whole table."""
    runs = read_runs([records]).runs
    whole = trained(leaderboards(runs)[0].rows)
    assert [row.rank for row in whole.values()] == list(range(1, len(whole) + 1))
    told = {name for name, row in whole.items() if row.verdict == "worse"}
    assert told

    one_seed = trained(leaderboards([run for run in runs if run.record.seed == 0])[0].rows)
    assert {row.verdict for row in one_seed.values()} == {"no evidence"}
    assert all(row.p_value is None and row.rank_high is None for row in one_seed.values())

    names = NAMES[records]
    chosen = {whole[name].combination for name in names}
    few = trained(leaderboards([run for run in runs if run.record.combination in chosen])[0].rows)
    assert list(few) == [name for name in whole if name in names]
    assert [row.rank for row in few.values()] == [1, 2, 3, 4]
    # Against a worse best row, and among fewer pairs, a row may be told that was not; none is told no more.
    assert {name for name, row in few.items() if row.verdict == "worse"} >= told & {*names[2:]}


def trained(rows: list[Row]) -> dict[str, Row]:
    """The rows with a model, by name."""
    return {row.name: row for row in rows if row.head != "-"}
