"""The backbone: from images to features."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """Three convolutions of stride 2: (B, in_channels, H, W) to (B, 64, H/8, W/8), rounded up."""

    num_features = 64

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for width_in, width_out in ((in_channels, 16), (16, 32), (32, self.num_features)):
            self.layers.append(nn.Conv2d(width_in, width_out, kernel_size=3, stride=2, padding=1, bias=False))
            self.layers.append(nn.BatchNorm2d(width_out))
            self.layers.append(nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised float32 images (B, C, H, W) to features (B, 64, h, w)."""
        features: Tensor = self.layers(images)
        return features
