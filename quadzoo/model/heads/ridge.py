"""Ridge regression as a head: fitted in closed form, with nothing to train."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadzoo.model.closed_form import fit_ridge


class RidgeHead(nn.Module):
    """A linear map of the mean feature, fitted by `start`; until then it predicts the origin of the unit.

    ``weight`` is float32 (T, F); ``bias`` and the ends of the range, ``low`` and ``high``, are float32 (T,).
    """

    weight: Tensor
    bias: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, num_features: int, num_targets: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(num_targets, num_features))
        for name in ("bias", "low", "high"):
            self.register_buffer(name, torch.zeros(num_targets))

    def forward(self, features: Tensor) -> Tensor:
        """Map float32 features (B, F, h, w) to predictions (B, T), not held to any range."""
        return F.linear(features.mean(dim=(2, 3)), self.weight, self.bias)

    def start(self, features: Tensor, target: Tensor) -> None:
        """Fit to float32 features (N, F) and targets (N, T) in the scaled unit."""
        weight, bias = fit_ridge(features.cpu().numpy(), target.cpu().numpy(), floor=True).unscaled
        self.weight.copy_(torch.from_numpy(weight).float())
        self.bias.copy_(torch.from_numpy(bias).float())
        known = target.isfinite()  # a missing target is NaN
        self.low.copy_(torch.where(known, target, torch.inf).amin(dim=0))
        self.high.copy_(torch.where(known, target, -torch.inf).amax(dim=0))

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error of what it predicts and targets, float32 (B, T), a scalar."""
        return F.mse_loss(self.predict(raw), target)

    def predict(self, raw: Tensor) -> Tensor:
        """Return the predictions, float32 (B, T) in the scaled unit, within the training range."""
        return raw.clamp(self.low, self.high)

    def unbounded(self, raw: Tensor) -> Tensor:
        """Return the output of ``forward`` unchanged: float32 (B, T) in the scaled unit."""
        return raw
