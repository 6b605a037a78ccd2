"""A mean and a variance for each target."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadzoo.model.heads.pooled import stack

_HIDDEN = 512
_BETA = 0.5  # halfway from the likelihood (0) to the squared error (1)
_LEAST_VARIANCE = 1e-6  # a thousandth of a target's range, squared


class GaussianHead(nn.Module):
    """Features (B, F, h, w) to the mean and the variance (B, T, 2) of each target, from the mean feature.

    The loss is the β-NLL of Seitzer et al. 2022 (On the Pitfalls of Heteroscedastic Uncertainty Estimation
    with Probabilistic Neural Networks, section 4): the negative log-likelihood of each target, weighted by
    its predicted variance to the power β, through which no gradient flows. ``predict`` gives the means.
    """

    def __init__(self, num_features: int, num_targets: int) -> None:
        super().__init__()
        self.layers = stack((num_features, _HIDDEN, 2 * num_targets))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, F, h, w) to (B, T, 2): mean and variance in the scaled unit and its square."""
        mean, spread = self.layers(features.mean(dim=(2, 3))).unflatten(1, (-1, 2)).unbind(dim=2)
        return torch.stack((mean, F.softplus(spread) + _LEAST_VARIANCE), dim=2)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the β-NLL of (B, T, 2) at the targets (B, T), averaged."""
        mean, variance = raw.unbind(dim=2)
        # Torch's own gaussian_nll_loss looks whether a variance is negative, and so makes a GPU wait.
        likelihood = (variance.log() + (mean - target) ** 2 / variance) / 2
        return (variance.detach() ** _BETA * likelihood).mean()

    def predict(self, raw: Tensor) -> Tensor:
        """Return the means (B, T)."""
        return raw[:, :, 0]
