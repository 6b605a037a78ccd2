from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from quadzoo.report.verify import verify

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "benchmarks" / "results" / "leaderboard"


def test_published_pages_are_what_the_records_give(script: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "leaderboard").symlink_to(RECORDS)
    script("leaderboard", "--to", tmp_path)
    for name in ("LEADERBOARD.md", "leaderboard.html"):
        assert (tmp_path / name).read_text() == (ROOT / "benchmarks" / name).read_text(), (
            f"benchmarks/{name} is out of date: python benchmarks/leaderboard.py"
        )


def test_published_records_are_true() -> None:
    verdict = verify(RECORDS, weights=False)
    assert verdict.faults == []
    assert verdict.ok == verdict.runs == len([*(RECORDS / "runs").iterdir()]) > 0


def test_leaderboard_benchmark_runs_at_tiny_size(
    script: Callable[..., None], equations: Path, tmp_path: Path
) -> None:
    script("leaderboard", "--data", equations, "--epochs", "1", "--backbones", "tiny_cnn", "--heads", "mlp",
           "--out", tmp_path / "out", "--to", tmp_path)  # fmt: skip
    kept = tmp_path / "results" / "leaderboard"
    assert sorted(path.name for path in next(kept.glob("runs/*")).iterdir()) == [
        "predictions.csv", "record.json", "seen_images.npy", "worst.webp",
    ]  # fmt: skip
    assert verify(kept, weights=False).faults == []
    assert "tiny_cnn" in (tmp_path / "LEADERBOARD.md").read_text()
