from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

SUITE = Path(__file__).parents[2] / "benchmarks" / "suite"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SUITE))
    sys.modules.pop("recipes", None)


def row(recipe: str, name: str, seed: int, val: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "recipe": recipe, "set": name, "backbone": "net", "head": "mlp", "weights": "none", "seed": seed,
        "status": "failed" if val is None else "ok", "val_mse": val, "baseline": "ridge-pixels",
        "baseline_val_mse": 0.1, "device": "c", "torch": "2", "settings": {"freeze": False}, **changes,
    }  # fmt: skip


def test_the_page_has_ratios_to_the_best_baseline_and_their_geometric_mean() -> None:
    from recipes import page

    rows = [row("default", "one", seed, 0.05 + 0.01 * seed) for seed in (0, 1, 2)]
    rows += [row("default", "two", seed, 0.15) for seed in (0, 1, 2)]
    # A bench of other backbones has other baselines; the set's best counts for all recipes.
    rows += [row("first", "one", 0, 0.2, baseline_val_mse=0.4), row("first", "one", 1, None)]
    lines = page(rows).splitlines()
    assert "## net (none)" in lines
    assert "| recipe | to the default | one | two |" in lines
    assert "| default | 1.000 (2 sets) | 0.600 | 1.500 |" in lines
    assert (
        "| first | 3.333 (1 set) | 2.000 (n=1) |  |" in lines
    )  # 2 / 0.6, on the set that both were tried on


def test_heads_on_frozen_features_are_held_against_the_mean() -> None:
    from recipes import page

    assert "frozen" not in page([row("default", "one", 0, 0.05)])
    frozen = {"settings": {"freeze": True}, "mean_val_mse": 0.1, "mean_test_mse": 0.2}
    rows = [
        row("frozen mlp", name, seed, val, test_mse=test, **frozen)
        for name, seed, val, test in [("one", 0, 0.09, 0.1), ("one", 1, 0.1, 0.2), ("two", 0, 0.11, 0.3)]
    ]
    text = page(rows)
    assert text.endswith("By val 1 of 3 runs lose to the mean, on test 1 of 2 rows, those of the table.\n")
    assert "| mlp | two | 0.3 | 0.2 |" in text
    assert "| mlp | one | 0." not in text


def test_every_recipe_is_one_and_says_what_it_is() -> None:
    from recipes import RECIPES, slug

    assert len({slug(name) for name in RECIPES}) == len(RECIPES)
    assert len({(recipe.model_dump_json(), head) for recipe, head in RECIPES.values()}) == len(RECIPES)
