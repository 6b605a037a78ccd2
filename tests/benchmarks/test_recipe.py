from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def test_recipe_benchmark_runs_at_tiny_size(
    script: Callable[..., None], equations: Path, tmp_path: Path
) -> None:
    script("recipe", "--backbones", "tiny_cnn", "--seeds", "0", "--recipes", "0,2", "--epochs", "1",
           "--data", equations, "--out", tmp_path / "out", "--to", tmp_path)  # fmt: skip
    rows = json.loads((tmp_path / "results" / "recipe.json").read_text())
    assert [row["recipe"]["optimizer"] for row in rows] == ["adamw", "adam"]
    page = (tmp_path / "RECIPE.md").read_text()
    assert page.count("n=1") == 2
