"""Regression by classification: histogram loss with Gaussian targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quadzoo import HeadSpec, TargetInfo, hookimpl

if TYPE_CHECKING:
    from torch import nn

QUADZOO_API = 1  # the plugin API that this is written for


def build(*, num_features: int, targets: TargetInfo) -> nn.Module:
    """Return a histogram for each target, from pooled features."""
    from quadzoo_hl_gauss.head import HLGaussHead

    return HLGaussHead(num_features, len(targets))


@hookimpl
def register_heads() -> list[HeadSpec]:
    """Register hl_gauss."""
    return [
        HeadSpec(
            name="hl_gauss",
            build=build,
            description="histogram loss with Gaussian targets (Imani & White 2018), on the mean feature",
            revision="0.1.0",
        )
    ]
