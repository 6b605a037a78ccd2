"""The built-in heads: six on the mean feature, spatial on eight columns."""

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
    from quadzoo.model.heads.pooled import LinearHead

    return LinearHead(num_features, len(targets))


def build_gaussian(*, num_features: int, targets: TargetInfo) -> nn.Module:
    """Return a mean and a variance for each target, on pooled features."""
    from quadzoo.model.heads.gaussian import GaussianHead

    return GaussianHead(num_features, len(targets))


def build_integer(*, num_features: int, targets: TargetInfo) -> nn.Module:
    """Return a classifier for each target, on pooled features."""
    from quadzoo.model.heads.integer import IntegerHead

    return IntegerHead(num_features, targets)


def build_spatial(*, num_features: int, targets: TargetInfo) -> nn.Module:
    """Return two linear layers on the feature map, pooled to eight columns."""
    from quadzoo.model.heads.spatial import SpatialHead

    return SpatialHead(num_features, len(targets))


def build_skip(*, num_features: int, targets: TargetInfo) -> nn.Module:
    """Return a linear layer beside one hidden layer, on standardised pooled features."""
    from quadzoo.model.heads.skip import SkipHead

    return SkipHead(num_features, len(targets))


def build_ridge(*, num_features: int, targets: TargetInfo) -> nn.Module:
    """Return ridge regression on pooled features."""
    from quadzoo.model.heads.ridge import RidgeHead

    return RidgeHead(num_features, len(targets))


@hookimpl
def register_heads() -> list[HeadSpec]:
    """Register mlp (the default), linear, gaussian, integer, skip, ridge and spatial."""
    return [
        HeadSpec(
            name="mlp",
            build=build_mlp,
            description="the tutorial's six linear layers on the mean feature, MSE",
            revision="0.1.0",
            unit="standard",
        ),
        HeadSpec(
            name="linear",
            build=build_linear,
            description="one linear layer on the mean feature, MSE",
            revision="1",
            unit="standard",
        ),
        HeadSpec(
            name="gaussian",
            build=build_gaussian,
            description="mean and variance, β-NLL (Seitzer et al. 2022), on the mean feature",
            revision="1",
            unit="standard",
        ),
        HeadSpec(
            name="integer",
            build=build_integer,
            description="a class for each integer from low to high, cross-entropy, on the mean feature",
            revision="0.1.0",
        ),
        HeadSpec(
            name="skip",
            build=build_skip,
            description="a linear layer beside a hidden one, on the standardised mean feature, MSE",
            revision="1",
            unit="standard",
        ),
        HeadSpec(
            name="ridge",
            build=build_ridge,
            description="ridge regression on the mean feature of a frozen backbone, in closed form",
            revision="1",
            unit="standard",
            closed_form=True,
        ),
        HeadSpec(
            name="spatial",
            build=build_spatial,
            description="two layers on the feature map, pooled to eight columns, MSE",
            revision="1",
            unit="standard",
        ),
    ]
