"""The backbone and the head of this plugin. Nothing heavy is imported before something is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quadzoo import BackboneSpec, HeadSpec, TargetInfo, hookimpl

if TYPE_CHECKING:
    from torch import nn

QUADZOO_API = 1  # the plugin API that this is written for


def build_backbone(*, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Return a module that maps (B, in_channels, H, W) to features (B, F, h, w)."""
    from quadzoo_mynet.backbone import Backbone

    if pretrained:
        raise ValueError("mynet has no pretrained weights")
    return Backbone(in_channels)


def build_head(*, num_features: int, targets: TargetInfo) -> nn.Module:
    """Return a module that maps features (B, num_features, h, w) to predictions (B, T)."""
    from quadzoo_mynet.head import Head

    return Head(num_features, len(targets))


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """Register mynet."""
    return [BackboneSpec(name="mynet", build=build_backbone, description="three convolutions")]


@hookimpl
def register_heads() -> list[HeadSpec]:
    """Register mynet_head."""
    return [HeadSpec(name="mynet_head", build=build_head, description="a linear layer, absolute error")]
