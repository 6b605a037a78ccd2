from __future__ import annotations

import pytest

from quadzoo.model.recipe import RECIPES, Recipe


@pytest.mark.parametrize("n_train", [1, 7, 26, 128, 240, 320, 1277, 100_000])
def test_auto_trains_small_sets_for_enough_steps_and_large_ones_for_20_epochs(n_train: int) -> None:
    recipe = Recipe()
    epochs, every = recipe.epochs_for(n_train), recipe.validate_every(n_train)
    steps = max(1, n_train // recipe.batch_size)
    assert epochs >= 20
    assert epochs * steps >= 200
    assert n_train < 352 or epochs == 20
    # The last epoch is validated, and there are at most 40 validations.
    assert epochs % every == 0
    assert epochs // every <= 40
    # No more than what that takes.
    assert (epochs - every) * steps < 200 or epochs == 20


def test_a_smaller_batch_makes_more_steps_of_an_epoch() -> None:
    assert Recipe(batch_size=8).epochs_for(128) < Recipe(batch_size=32).epochs_for(128)


def test_what_was_asked_for_is_done_and_validated_every_epoch() -> None:
    for recipe in (Recipe(epochs=300), Recipe(epochs=1), Recipe(epochs=0)):
        assert recipe.epochs_for(10) == recipe.epochs
        assert recipe.validate_every(10) == 1


def test_a_head_alone_gets_more_epochs() -> None:
    assert Recipe(freeze=True).epochs_for(240) * (240 // 32) >= 1000


def test_recipes_with_a_name() -> None:
    assert RECIPES["default"] == Recipe()
    first, tutorial = RECIPES["first"], RECIPES["tutorial"]
    assert (first.epochs, first.batch_norm, first.unit, first.ridge) == (20, "running", "range", "none")
    assert (tutorial.epochs, tutorial.optimizer, tutorial.lr) == (100, "adam", 1e-3)
    assert (tutorial.schedule, tutorial.augment, tutorial.gradient_clip) == ("step", "none", None)
