"""A backbone and a head that learn brightness at once, a quiet Trainer, and a count of operators."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule


class Mean(nn.Module):
    """A backbone that gives the mean grey level as (B, F), in bf16 where that is the precision."""

    num_features = 1

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.scale.weight)

    def forward(self, images: Tensor) -> Tensor:
        return self.scale(images).mean(dim=(2, 3))


class Line(nn.Module):
    def __init__(self, targets: int = 1) -> None:
        super().__init__()
        self.layer = nn.Linear(1, targets)

    def forward(self, features: Tensor) -> Tensor:
        assert features.dtype == torch.float32
        return self.layer(features.mean(dim=(2, 3)))

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        return (raw - target).square().mean()

    def predict(self, raw: Tensor) -> Tensor:
        return raw


def module(
    backbone: nn.Module | None = None, head: nn.Module | None = None, **recipe: Any
) -> RegressionModule:
    torch.manual_seed(0)
    return RegressionModule(backbone or Mean(), head or Line(), Recipe(**recipe), [0.0], [1.0])


def trainer(*callbacks: pl.Callback, epochs: int = 20, **given: Any) -> pl.Trainer:
    """A Trainer on one CPU that writes nothing, but for what is given otherwise."""
    quiet = {
        "max_epochs": epochs,
        "accelerator": "cpu",
        "devices": 1,
        "callbacks": list(callbacks),
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    return pl.Trainer(**quiet | given)


class Operators(TorchDispatchMode):
    """Collects the operators that are called, but for views: a GPU gets a kernel for nearly each."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            self.seen.append(str(func))
        return func(*args, **(kwargs or {}))
