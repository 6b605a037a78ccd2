from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_recipe_benchmark_runs_at_tiny_size(equations: Path, tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable, ROOT / "benchmarks" / "recipe.py", "--backbones", "tiny_cnn", "--seeds", "0",
            "--recipes", "0,2", "--epochs", "1", "--data", equations, "--out", tmp_path / "out",
            "--to", tmp_path,
        ],
        check=True, capture_output=True, env=os.environ,
    )  # fmt: skip
    rows = json.loads((tmp_path / "results" / "recipe.json").read_text())
    assert [row["recipe"]["optimizer"] for row in rows] == ["adamw", "adam"]
    page = (tmp_path / "RECIPE.md").read_text()
    assert page.count("n=1") == 2
