"""The histogram loss with Gaussian targets, HL-Gauss."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_BINS = 101
_LOW, _HIGH = -0.1, 1.1  # of the bins, in the scaled unit: test targets may lie outside 0 to 1
_SIGMA = 0.75  # of a bin: Farebrother et al. 2024, Stop Regressing, section 3.1
_HIDDEN = 512


class HLGaussHead(nn.Module):
    """Features (B, F, h, w) to logits (B, T, 101) over bins of the scaled unit, and to their mean.

    The loss is the cross-entropy to a Gaussian around the target, cut off at the outer edges (Imani & White
    2018, Improving Regression Performance with Distributional Losses, section 3).
    """

    edges: Tensor

    def __init__(self, num_features: int, num_targets: int) -> None:
        super().__init__()
        self.num_targets = num_targets
        self.layers = nn.Sequential(
            nn.Linear(num_features, _HIDDEN), nn.LeakyReLU(0.2), nn.Linear(_HIDDEN, num_targets * _BINS)
        )
        self.register_buffer("edges", torch.linspace(_LOW, _HIGH, _BINS + 1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, F, h, w) to logits (B, T, 101)."""
        logits: Tensor = self.layers(features.mean(dim=(2, 3)))
        return logits.unflatten(1, (self.num_targets, _BINS))

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits (B, T, 101) to histograms of targets (B, T), a scalar."""
        return -(self._histogram(target) * raw.log_softmax(dim=2)).sum(dim=2).mean()

    def predict(self, raw: Tensor) -> Tensor:
        """Return the means (B, T) of the histograms."""
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        return raw.softmax(dim=2) @ centres

    def _histogram(self, target: Tensor) -> Tensor:
        """Return the share (B, T, 101) of each bin in a Gaussian around the target (B, T)."""
        sigma = _SIGMA * (_HIGH - _LOW) / _BINS
        distance = self.edges - target.clamp(_LOW, _HIGH)[:, :, None]
        below = torch.special.erf(distance / (sigma * math.sqrt(2)))
        return below.diff(dim=2) / (below[:, :, -1:] - below[:, :, :1])
