from __future__ import annotations

import pytest
import torch

from quadzoo.model.bounds import Bounds, bounds_for
from quadzoo.model.recipe import RECIPES, Recipe
from quadzoo.targets import TargetInfo

NAN = float("nan")
TARGET = torch.tensor([[0.0, 1.0], [1.0, NAN], [2.0, 3.0]])


def bounds() -> Bounds:
    made = Bounds(2)
    made.set_range(TARGET)
    return made


def test_until_they_are_set_they_change_nothing() -> None:
    prediction = torch.randn(5, 2) * 1e6
    assert torch.equal(Bounds(2)(prediction), prediction)


def test_predictions_stay_in_the_range_of_the_known_targets() -> None:
    wild = torch.tensor([[-9.0, 9e9], [0.5, 2.5]])
    assert torch.equal(bounds()(wild), torch.tensor([[0.0, 3.0], [0.5, 2.5]]))


def test_what_is_not_read_becomes_the_mean_and_what_is_read_stays() -> None:
    made = bounds()
    target = torch.tensor([[0.0, 1.0], [1.0, 3.0], [2.0, NAN], [2.0, 1.0]])
    against = torch.tensor([[2.0, 1.0], [1.0, 3.0], [0.0, 2.0], [0.0, 1.0]])  # the first in reverse
    made.set_weight(against, target)
    assert made.weight.tolist() == [0.0, 1.0]
    assert torch.allclose(made(against), torch.tensor([[1.0, 1.0], [1.0, 3.0], [1.0, 2.0], [1.0, 1.0]]))


def test_the_weight_has_the_least_squared_error_and_is_never_worse_than_the_mean() -> None:
    torch.manual_seed(0)
    made = Bounds(1)
    target = torch.randn(40, 1)
    made.set_range(target)
    for noise in (0.0, 0.5, 2.0, 9.0):
        prediction = 0.3 * target + noise * torch.randn(40, 1)
        made.set_weight(prediction, target)
        chosen = (made(prediction) - target).square().mean()
        clipped = prediction.clamp(made.low, made.high)
        for weight in torch.linspace(0, 1, 51):
            tried = made.mean + weight * (clipped - made.mean)
            assert chosen <= (tried - target).square().mean() + 1e-6


def test_one_constant_prediction_has_no_weight() -> None:
    made = bounds()
    made.set_weight(made.mean.expand(3, 2), TARGET)
    assert made.weight.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("recipe", "bounded"),
    [
        (Recipe(freeze=True), True),
        (Recipe(), False),
        (Recipe(freeze=True, frozen_features="standardised"), False),
        (RECIPES["first"].model_copy(update={"freeze": True, "augment": "none"}), False),
    ],
)
def test_only_frozen_heads_are_bounded(recipe: Recipe, bounded: bool) -> None:
    targets = TargetInfo(names=("a",), low=(0.0,), high=(1.0,), integer=(False,))
    assert (bounds_for(recipe, targets) is not None) == bounded
    assert bounds_for(recipe, None) is None
