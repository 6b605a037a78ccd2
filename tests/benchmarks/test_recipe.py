from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_page_is_what_its_records_give() -> None:
    from recipe import page

    published = (BENCHMARKS / "RECIPE.md").read_text()
    assert page(BENCHMARKS / "results") == published
    assert published.count("| first, head ") == 4


def test_recipe_benchmark_runs_at_tiny_size(
    script: Callable[..., None], equations: Path, tmp_path: Path
) -> None:
    def measured(out: str, *flags: object) -> list[dict]:
        script("recipe", "--backbones", "tiny_cnn", "--seeds", "0", "--data", equations, "--out",
               tmp_path / out, "--to", tmp_path, *flags)  # fmt: skip
        rows: list[dict] = json.loads((tmp_path / "results" / "recipe.json").read_text())
        return rows

    rows = measured("first", "--recipes", "0,2", "--epochs", "1")
    assert [row["recipe"]["optimizer"] for row in rows] == ["adamw", "adam"]
    page = (tmp_path / "RECIPE.md").read_text()
    assert page.count("n=1") == 2
    # A run takes the place of the earlier one.
    rows = measured("second", "--recipes", "0", "--epochs", "2")
    assert [row["recipe"]["epochs"] for row in rows] == [2, 1]
