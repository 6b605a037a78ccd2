"""Regression on a feature map that keeps the order of its columns."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from quadzoo.model.heads.pooled import stack

_COLUMNS = 8
_NARROW = 64  # channels per column, so that the layer over all columns stays small
_HIDDEN = 512


class SpatialHead(nn.Module):
    """Average over the height, pool the width to eight columns, and concatenate them for two linear layers.

    The fixed number of columns allows feature maps of any size. It is one level of the spatial pyramid
    pooling of He et al. 2014 (Spatial Pyramid Pooling in Deep Convolutional Networks, section 2.2), along the
    width. Trained with the MSE.
    """

    def __init__(self, num_features: int, num_targets: int) -> None:
        super().__init__()
        self.narrow = nn.Conv1d(num_features, _NARROW, 1)
        self.layers = stack((_NARROW * _COLUMNS, _HIDDEN, num_targets))

    def forward(self, features: Tensor) -> Tensor:
        """Map float32 features (B, F, h, w) to predictions (B, T) in the scaled unit."""
        columns = F.adaptive_avg_pool1d(features.mean(dim=2), _COLUMNS)
        prediction: Tensor = self.layers(F.leaky_relu(self.narrow(columns), 0.2).flatten(1))
        return prediction

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error of float32 predictions and targets (B, T), a scalar."""
        return F.mse_loss(raw, target)

    def predict(self, raw: Tensor) -> Tensor:
        """Return the output of ``forward`` unchanged: float32 (B, T) in the scaled unit."""
        return raw
