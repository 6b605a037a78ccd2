"""Which learning rates a request tries, and by which recipe."""

from __future__ import annotations

from itertools import pairwise

import pytest
from pydantic import ValidationError

from quadzoo.model.recipe import Recipe


def test_learning_rates_lie_around_that_of_the_recipe() -> None:
    assert Recipe(lr=2e-3, tune="lr:3").learning_rates == (0.00025, 0.002, 0.016)
    assert Recipe(lr=2e-3, tune="lr:2").learning_rates == (0.00025, 0.016)
    assert Recipe(lr=1.0, tune="lr:7").learning_rates == (0.125, 0.25, 0.5, 1, 2, 4, 8)
    assert Recipe(lr=1.0).learning_rates == ()


@pytest.mark.parametrize("number", range(2, 21))
@pytest.mark.parametrize("lr", [0.0012345, 2e-3, 3.7e-19])
def test_they_are_evenly_spread_and_lr_is_one_of_an_odd_number(lr: float, number: int) -> None:
    rates = Recipe(lr=lr, tune=f"lr:{number}").learning_rates
    assert len({*rates}) == len(rates) == number
    ratios = [high / low for low, high in pairwise(rates)]
    assert ratios == pytest.approx([64 ** (1 / (number - 1))] * (number - 1), rel=0.02)
    assert rates[0] == pytest.approx(lr / 8, rel=0.01)
    assert (lr in rates) == bool(number % 2)
    assert all(float(f"{rate:.3g}") == rate for rate in rates if rate != lr)


@pytest.mark.parametrize(("epochs", "trial"), [(1, 1), (4, 1), (5, 2), (20, 5), (60, 15)])
def test_a_trial_takes_a_quarter_of_the_epochs(epochs: int, trial: int) -> None:
    recipe = Recipe(epochs=epochs, batch_size=7, freeze=True, tune="lr:3")
    tried = recipe.trial(0.25, epochs)
    assert tried == Recipe(epochs=trial, batch_size=7, freeze=True, lr=0.25)


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
