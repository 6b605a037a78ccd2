"""tiny_cnn: a backbone that trains in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quadzoo import BackboneSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

_WIDTHS = (16, 32, 64, 128)


def build_tiny_cnn(*, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Return four stride-2 convolutions: (B, in_channels, H, W) to (B, 128, H/16, W/16), rounded up.

    Raises ValueError for ``pretrained=True``: there are no weights to load.
    """
    from torch import nn

    if pretrained:
        raise ValueError("tiny_cnn has no pretrained weights")
    features = nn.Sequential()
    for width_in, width_out in zip((in_channels, *_WIDTHS), _WIDTHS, strict=False):
        features.extend(
            [
                nn.Conv2d(width_in, width_out, kernel_size=3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width_out),
                nn.ReLU(inplace=True),
            ]
        )
    features.num_features = _WIDTHS[-1]  # type: ignore[assignment]
    return features


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """Register tiny_cnn."""
    return [
        BackboneSpec(
            name="tiny_cnn",
            build=build_tiny_cnn,
            description="four convolutions, 98 thousand parameters without a head: trains in seconds",
            license="Apache-2.0",
            revision="0.1.0",
        )
    ]
