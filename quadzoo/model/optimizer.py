"""Optimizer and schedule of a recipe."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from pytorch_lightning.utilities.types import LRSchedulerConfigType
from torch import nn

from quadzoo.errors import ConfigError
from quadzoo.model.recipe import Recipe


def optimizer_of(recipe: Recipe, parameters: Iterable[nn.Parameter], *, fused: bool) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe; weights of one dimension, as of batch norm, do not decay."""
    trained = [p for p in parameters if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1]},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # AdamW without weight decay is Adam; fused does a step in one pass over the weights.
    decay = recipe.weight_decay if recipe.optimizer == "adamw" else 0.0
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=decay, fused=fused)


def clip(
    parameters: Iterable[nn.Parameter], recipe: Recipe, most: float | None = None, kind: str | None = None
) -> None:
    """Clip gradients to ``most``, each or, with ``kind`` norm, all together; by default as the recipe says.

    0 does not clip.
    """
    if most is None:
        most, kind = recipe.gradient_clip, "norm"
    if most and kind == "value":
        nn.utils.clip_grad_value_(parameters, most)
    elif most:
        nn.utils.clip_grad_norm_(parameters, most)


def schedule_of(recipe: Recipe, optimizer: torch.optim.Optimizer, steps: float) -> LRSchedulerConfigType:
    """Return the schedule of a recipe over a number of steps, as Lightning takes it.

    Raises ConfigError where it needs the number of steps and that is infinite.
    """
    if recipe.schedule == "step":
        halving = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.5)
        return {"scheduler": halving, "interval": "epoch"}
    if math.isinf(steps):
        raise ConfigError("a onecycle schedule needs a last step: set max_epochs or max_steps")
    # Its last step has a rate of nearly 0. Of steps so few that the warm-up is shorter than one, that step
    # would be a large share, and of one alone nothing would be learned: there it comes after the last.
    total = int(steps) + (recipe.warmup * steps < 1)
    # OneCycleLR divides by zero when the warm-up is exactly one step.
    warmup = recipe.warmup * (1 + 1e-9) if recipe.warmup * total == 1 else recipe.warmup
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.lr, total_steps=total, pct_start=warmup
    )
    return {"scheduler": cycle, "interval": "step"}
