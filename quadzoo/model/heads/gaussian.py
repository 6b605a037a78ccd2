"""A mean and a variance for each target."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadzoo.model.heads.pooled import stack

_HIDDEN = 512
_BETA = 0.5  # 0 is the likelihood, 1 the squared error
_LEAST_VARIANCE = 1e-6  # the square of a thousandth of a target's range


class GaussianHead(nn.Module):
    """Float32 features (B, F, h, w) to mean and variance of each target (B, T, 2), from the mean feature.

    The loss is the β-NLL of Seitzer et al. 2022 (On the Pitfalls of Heteroscedastic Uncertainty Estimation
    with Probabilistic Neural Networks, section 4): the negative log-likelihood of each target, weighted by
    its detached predicted variance to the power β. ``predict`` returns the means, ``spread`` the roots of
    the variances.
    """

    def __init__(self, num_features: int, num_targets: int) -> None:
        super().__init__()
        self.layers = stack((num_features, _HIDDEN, 2 * num_targets))

    def forward(self, features: Tensor) -> Tensor:
        """Map float32 features (B, F, h, w) to (B, T, 2): mean in the scaled unit, variance in its square."""
        mean, spread = self.layers(features.mean(dim=(2, 3))).unflatten(1, (-1, 2)).unbind(dim=2)
        return torch.stack((mean, F.softplus(spread) + _LEAST_VARIANCE), dim=2)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the mean β-NLL of float32 targets (B, T) under (B, T, 2), a scalar."""
        mean, variance = raw.unbind(dim=2)
        # Not torch's gaussian_nll_loss, which tests for negative variances and so waits for the GPU.
        negative_log_likelihood = (variance.log() + (mean - target) ** 2 / variance) / 2
        return (variance.detach() ** _BETA * negative_log_likelihood).mean()

    def predict(self, raw: Tensor) -> Tensor:
        """Return the means, float32 (B, T)."""
        return raw[:, :, 0]

    def spread(self, raw: Tensor) -> Tensor:
        """Return the standard deviations, float32 (B, T) in the scaled unit."""
        return raw[:, :, 1].sqrt()
