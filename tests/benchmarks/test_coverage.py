from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def test_coverage_benchmark_runs_at_tiny_size(script: Callable[..., None], tmp_path: Path) -> None:
    script("coverage", "--repeats", "4", "--to", tmp_path)
    rows = json.loads((tmp_path / "results" / "coverage.json").read_text())
    assert len(rows) == 15
    assert all(0 <= row["covered by ours"] <= 1 for row in rows)
    assert (tmp_path / "COVERAGE.md").read_text().count("\n| ") == 17
