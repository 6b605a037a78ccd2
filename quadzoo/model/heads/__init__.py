"""mlp and linear, on the mean feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quadzoo import HeadSpec, TargetInfo, hookimpl

if TYPE_CHECKING:
    from torch import nn

# The widths of the tutorial's stack between features and targets.
_MLP_WIDTHS = (1024, 512, 256, 100, 10)


def build_mlp(*, num_features: int, targets: TargetInfo) -> nn.Module:
    """Return the tutorial's stack of six linear layers on pooled features."""
    from quadzoo.model.heads.pooled import PooledHead

    return PooledHead((num_features, *_MLP_WIDTHS, len(targets)))


def build_linear(*, num_features: int, targets: TargetInfo) -> nn.Module:
    """Return one linear layer on pooled features."""
    from quadzoo.model.heads.pooled import PooledHead

    return PooledHead((num_features, len(targets)))


@hookimpl
def register_heads() -> list[HeadSpec]:
    """Register mlp (the default) and linear."""
    return [
        HeadSpec(
            name="mlp",
            build=build_mlp,
            description="the tutorial's six linear layers on the mean feature, MSE",
        ),
        HeadSpec(name="linear", build=build_linear, description="one linear layer on the mean feature, MSE"),
    ]
