from __future__ import annotations

import pytest
import torch
from torch import nn

from quadzoo.model.optimizer import optimizer_of, schedule_of
from quadzoo.model.recipe import Recipe


def rates(steps: int) -> list[float]:
    """Return the learning rate of each step, as shares of the highest."""
    recipe = Recipe()
    optimizer = optimizer_of(recipe, nn.Linear(2, 2).parameters(), fused=False)
    scheduler = schedule_of(recipe, optimizer, steps)["scheduler"]
    found = []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"] / recipe.lr)
        optimizer.step()
        if step + 1 < steps:
            scheduler.step()
    return found


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_no_step_of_very_few_is_lost(steps: int) -> None:
    assert min(rates(steps)) > 0.03
    assert max(rates(steps)) > 0.5


@pytest.mark.parametrize("steps", [5, 6, 10, 100])
def test_more_steps_rise_and_fall_to_nearly_nothing(steps: int) -> None:
    found = rates(steps)
    assert max(found) > 0.8
    assert found[-1] < 1e-4
    assert all(torch.tensor(found).isfinite())
