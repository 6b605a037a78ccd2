"""A reader of single lines of text, and the model reader-equations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from quadzoo import BackboneSpec, ModelSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn


def build(*, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Return the reader: images (B, in_channels, H, W) to features (B, 640).

    Raises ValueError for ``pretrained``: what is trained is the model reader-equations, with its head.
    """
    if pretrained:
        raise ValueError("reader has no pretrained weights; for trained ones set `init` to reader-equations")
    from quadzoo_reader.network import Reader

    return Reader(in_channels)


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """Register reader."""
    return [
        BackboneSpec(
            name="reader",
            build=build,
            description="convolutions and a small transformer for one line of text, 1.5 M parameters",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            license="Apache-2.0",
            revision="0.1.0",
        )
    ]


@hookimpl
def register_models() -> list[ModelSpec]:
    """Register reader-equations."""
    return [
        ModelSpec(
            name="reader-equations",
            folder=Path(__file__).parent / "reader-equations",
            description="reads quadratic equations in any of four forms; trained on generated ones alone",
            license="Apache-2.0",
        )
    ]
