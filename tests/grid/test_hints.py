from __future__ import annotations

import pytest

from quadzoo.grid.hints import shift_hint
from quadzoo.model.recipe import Recipe


@pytest.mark.parametrize("name", ["x", "center_x", "Radius (mm)", "box width", "LEFT"])
def test_a_target_that_looks_like_a_position_or_size_is_named(name: str) -> None:
    hint = shift_hint(["age", name], Recipe())
    assert hint.startswith(f"note: {name}: if positions or sizes")
    assert "`augment` none" in hint


@pytest.mark.parametrize("name", ["age", "angle", "sigma", "axis", "maximum", "price", "a"])
def test_others_are_not(name: str) -> None:
    assert shift_hint([name], Recipe()) == ""


def test_nothing_is_said_where_nothing_is_moved() -> None:
    assert shift_hint(["x"], Recipe(augment="none")) == ""
    assert shift_hint(["x"], Recipe(freeze=True)) == ""
    assert shift_hint(["x"], Recipe(epochs=0)) == ""


def test_a_long_list_is_cut() -> None:
    hint = shift_hint([f"x {n}" for n in range(50)], Recipe(augment="photo"))
    assert "x 0, x 1, x 2, …: if" in hint
    assert len(hint) < 300
