from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_coverage_benchmark_runs_at_tiny_size(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "coverage.py", "--repeats", "4", "--to", tmp_path],
        check=True, capture_output=True,
    )  # fmt: skip
    rows = json.loads((tmp_path / "results" / "coverage.json").read_text())
    assert len(rows) == 15
    assert all(0 <= row["covered by ours"] <= 1 for row in rows)
    assert (tmp_path / "COVERAGE.md").read_text().count("\n| ") == 17
