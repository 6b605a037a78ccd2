"""Every architecture of timm, as timm/<name>, and as <name> where no other plugin has that name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from quadzoo import BackboneSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

# The architectures that have a description in lists; each is trained in this project's tests.
CURATED = {
    "efficientnet_b0": "EfficientNet-B0 (Tan & Le 2019): small and accurate",
    "mobilenetv3_large_100": "MobileNetV3 Large (Howard et al. 2019): made for phones",
    "regnety_004": "RegNetY 400 MF (Radosavovic et al. 2020)",
    "convnext_atto": "ConvNeXt Atto (Liu et al. 2022), 3.7 M parameters with its classifier",
    "vit_tiny_patch16_224": "Vision Transformer Tiny (Dosovitskiy et al. 2021), patches of 16 pixels",
    "swin_tiny_patch4_window7_224": "Swin Transformer Tiny (Liu et al. 2021)",
}


def build_timm(name: str, *, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Return timm's model ``name`` without pooling and classifier, at any image size.

    Pretrained weights are timm's default set for the model. Raises ValueError when the architecture
    cannot take images of ``image_size`` (H, W), padded or not.
    """
    from quadzoo.model.backbones.timm_features import TimmFeatures

    return TimmFeatures(name, pretrained, in_channels, image_size)


def architectures() -> list[str]:
    """Return the names of timm's architectures without importing timm, which takes seconds.

    They are found by the decorators in timm's source; a test compares them with timm's own list.
    """
    package = find_spec("timm")
    if package is None or package.origin is None:
        return []
    decorated = re.compile(r"^@register_model\ndef (\w+)\(", re.MULTILINE)
    sources = sorted((Path(package.origin).parent / "models").glob("*.py"))
    return sorted(name for source in sources for name in decorated.findall(source.read_text("utf-8")))


@hookimpl
def register_backbones() -> Iterator[BackboneSpec]:
    """Register all of timm. Images come in 0 to 1: each model normalises them as its weights expect."""
    for name in architectures():
        yield BackboneSpec(
            name=f"timm/{name}",
            build=partial(build_timm, name),
            description=CURATED.get(name, ""),
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            revision="0.1.0",
        )
