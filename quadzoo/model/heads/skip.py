"""Regression on the mean of the feature map: a linear layer beside a hidden one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadzoo.model.closed_form import fit_ridge

_HIDDEN = 512


class SkipHead(nn.Module):
    """A linear layer and one hidden layer side by side, on standardised features, trained with the MSE.

    Features are standardised by batch norm without weights of its own. Both last layers start at zero, so
    that the first prediction is the origin of the unit, in ``standard`` the mean of the targets; the hidden
    layer then only learns what the linear one cannot say.
    """

    def __init__(self, num_features: int, num_targets: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(num_features, affine=False)
        self.linear = nn.Linear(num_features, num_targets)
        self.hidden = nn.Linear(num_features, _HIDDEN)
        self.last = nn.Linear(_HIDDEN, num_targets, bias=False)
        nn.init.kaiming_normal_(self.hidden.weight, nonlinearity="relu")
        for parameter in (self.linear.weight, self.linear.bias, self.hidden.bias, self.last.weight):
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        """Map float32 features (B, F, h, w) to predictions (B, T) in the scaled unit."""
        pooled, norm = features.mean(dim=(2, 3)), self.norm
        # One image has no variance: it is standardised as in evaluation.
        x = norm(pooled) if pooled.shape[0] > 1 else F.batch_norm(pooled, norm.running_mean, norm.running_var)
        prediction: Tensor = self.linear(x) + self.last(F.relu(self.hidden(x)))
        return prediction

    def start(self, features: Tensor, target: Tensor) -> None:
        """Set the linear layer to the ridge solution for float32 features (N, F) and targets (N, T)."""
        fit = fit_ridge(features.cpu().numpy(), target.cpu().numpy(), floor=True)
        statistics = {"running_mean": fit.mean, "running_var": fit.scale**2}
        for name, values in statistics.items():
            self.norm.get_buffer(name).copy_(torch.from_numpy(values).float())
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(fit.weight).float())
            self.linear.bias.copy_(torch.from_numpy(fit.bias).float())
            nn.init.zeros_(self.last.weight)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error of float32 predictions and targets (B, T), a scalar."""
        return F.mse_loss(raw, target)

    def predict(self, raw: Tensor) -> Tensor:
        """Return the output of ``forward`` unchanged: float32 (B, T) in the scaled unit."""
        return raw
