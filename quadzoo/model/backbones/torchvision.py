"""torchvision's ResNets (He et al. 2016, Deep Residual Learning for Image Recognition)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from quadzoo import BackboneSpec, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn

_WIDTHS = {"resnet50": 2048, "resnet34": 512, "resnet18": 512}
_LAYERS = {"resnet50": 50, "resnet34": 34, "resnet18": 18}


def build_resnet(name: str, *, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Return the ResNet up to its last block: (B, in_channels, H, W) to (B, F, H/32, W/32), rounded up.

    Pretrained weights are torchvision's default set for the model. For another number of channels than three
    the first layer's are adapted as timm's ``adapt_input_conv`` does: summed for one, else repeated and
    scaled.
    """
    from torch import nn
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT if pretrained else None
    model = models.get_model(name, weights=weights)
    if in_channels != 3:
        stem = model.conv1
        model.conv1 = nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        if pretrained:
            model.conv1.weight.data = adapted(stem.weight.data, in_channels)
    stages = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    features = nn.Sequential()
    for stage in stages:
        features.add_module(stage, getattr(model, stage))
    features.num_features = _WIDTHS[name]  # type: ignore[assignment]
    if weights:
        features.weights_source = "torchvision"  # type: ignore[assignment]
        features.weights_tag = weights.name
    return features


def adapted(weight: Tensor, in_channels: int) -> Tensor:
    """Return the first layer's weights for RGB, float32 (O, 3, h, w), for another number of channels.

    It is (O, in_channels, h, w). A grey image gives the same features as before.
    """
    if in_channels == 1:
        return weight.mean(dim=1, keepdim=True) * 3
    return weight.repeat(1, math.ceil(in_channels / 3), 1, 1)[:, :in_channels] * (3 / in_channels)


@hookimpl
def register_backbones() -> Iterator[BackboneSpec]:
    """Register resnet50 (the default), resnet34 and resnet18."""
    for name, layers in _LAYERS.items():
        yield BackboneSpec(
            name=name,
            build=partial(build_resnet, name),
            description=f"ResNet with {layers} layers, torchvision's",
            license="BSD-3-Clause",
            revision="0.1.0",
        )
