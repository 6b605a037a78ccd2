from __future__ import annotations

from itertools import pairwise

import pytest
from pydantic import ValidationError

from quadzoo.model.recipe import RECIPES, Recipe


@pytest.mark.parametrize("n_train", [1, 7, 26, 128, 240, 320, 1277, 100_000])
def test_auto_trains_small_sets_for_enough_steps_and_large_ones_for_20_epochs(n_train: int) -> None:
    recipe = Recipe()
    epochs, every = recipe.epochs_for(n_train), recipe.validate_every(n_train)
    steps = max(1, n_train // recipe.batch_size)
    assert epochs >= 20
    assert epochs * steps >= 200
    assert n_train < 352 or epochs == 20
    # The last epoch is validated, and there are at most 20 validations.
    assert epochs % every == 0
    assert epochs // every <= 20
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


def test_learning_rates_lie_around_that_of_the_recipe() -> None:
    assert Recipe(lr=2e-3, tune="lr:3").learning_rates == (0.0005, 0.002, 0.008)
    assert Recipe(lr=2e-3, tune="lr:2").learning_rates == (0.0005, 0.008)
    assert Recipe(lr=1.0, tune="lr:5").learning_rates == (0.25, 0.5, 1, 2, 4)
    assert Recipe(lr=1.0).learning_rates == ()


@pytest.mark.parametrize("number", range(2, 21))
@pytest.mark.parametrize("lr", [0.0012345, 2e-3, 3.7e-19])
def test_they_are_evenly_spread_and_lr_is_one_of_an_odd_number(lr: float, number: int) -> None:
    rates = Recipe(lr=lr, tune=f"lr:{number}").learning_rates
    assert len({*rates}) == len(rates) == number
    ratios = [high / low for low, high in pairwise(rates)]
    assert ratios == pytest.approx([16 ** (1 / (number - 1))] * (number - 1), rel=0.02)
    assert rates[0] == pytest.approx(lr / 4, rel=0.01)
    assert (lr in rates) == bool(number % 2)
    assert all(float(f"{rate:.3g}") == rate for rate in rates if rate != lr)


@pytest.mark.parametrize(("epochs", "trial"), [(1, 1), (4, 1), (5, 2), (20, 5), (60, 15)])
def test_a_trial_takes_a_quarter_of_the_epochs(epochs: int, trial: int) -> None:
    recipe = Recipe(epochs=epochs, batch_size=7, freeze=True, tune="lr:3")
    tried = recipe.trial(0.25, epochs)
    assert tried == Recipe(epochs=trial, batch_size=7, freeze=True, lr=0.25, ridge="none")


@pytest.mark.parametrize(
    "tune", ["lr", "lr:", "lr:0", "lr:1", "lr:21", "lr:03", "lr:2.5", "wd:3", "LR:3", "lr:3\n"]
)
def test_other_requests_are_refused(tune: str) -> None:
    with pytest.raises(ValidationError, match="write lr:N"):
        Recipe(tune=tune)


def test_there_must_be_room_around_the_learning_rate() -> None:
    with pytest.raises(ValidationError, match="no learning rate to try others around"):
        Recipe(lr=1e25, tune="lr:3")
    assert Recipe(lr=1e25).lr == 1e25
