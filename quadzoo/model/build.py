"""From a spec to a module: whatever a plugin hands over is checked here."""

from __future__ import annotations

import statistics

from torch import nn

from quadzoo.errors import BadModule
from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule, keep_depthwise_in_float32
from quadzoo.registry.specs import BackboneSpec


def build_backbone(
    spec: BackboneSpec, *, pretrained: bool, in_channels: int, image_size: tuple[int, int]
) -> nn.Module:
    """Build a backbone and return it. Raises BadModule for one that is no module or has no width."""
    backbone = spec.build(pretrained=pretrained, in_channels=in_channels, image_size=image_size)
    width = getattr(backbone, "num_features", None)
    if not isinstance(width, int):
        raise BadModule(f"backbone {spec.name!r} must have an int attribute num_features, has {width!r}")
    return backbone


def join(
    spec: BackboneSpec, backbone: nn.Module, head: nn.Module, recipe: Recipe, in_channels: int
) -> RegressionModule:
    """Join a backbone, as built from its spec for images with so many channels, and a head."""
    keep_depthwise_in_float32(backbone)
    mean, std = ([statistics.fmean(c)] if in_channels == 1 else list(c) for c in (spec.mean, spec.std))
    return RegressionModule(backbone, head, recipe, mean, std)
