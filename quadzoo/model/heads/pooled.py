"""Regression on the mean of the feature map."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadzoo.model.closed_form import fit_ridge


def stack(widths: Sequence[int]) -> nn.Sequential:
    """Return linear layers of the given widths, with LeakyReLU(0.2) between them.

    The weights are initialised for that slope (He et al. 2015, Delving Deep into Rectifiers, section 2.2):
    torch's default initialisation shrinks the signal in every layer of a deep stack.
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        linear = nn.Linear(width_in, width_out)
        nn.init.kaiming_normal_(linear.weight, a=0.2)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class PooledHead(nn.Module):
    """Linear layers of the given widths on the mean of the feature map, trained with the MSE.

    There is a LeakyReLU(0.2) between the layers, except before the last one, as in the tutorial's network.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = stack(widths)
        if len(widths) > 2:
            del self.layers[-2]

    def forward(self, features: Tensor) -> Tensor:
        """Map float32 features (B, F, h, w) to predictions (B, T) in the scaled unit."""
        prediction: Tensor = self.layers(features.mean(dim=(2, 3)))
        return prediction

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error of float32 predictions and targets (B, T), a scalar."""
        return F.mse_loss(raw, target)

    def predict(self, raw: Tensor) -> Tensor:
        """Return the output of ``forward`` unchanged: float32 (B, T) in the scaled unit."""
        return raw


class LinearHead(PooledHead):
    """One linear layer on the mean of the feature map; it starts at zero, the origin of the unit."""

    def __init__(self, num_features: int, num_targets: int) -> None:
        super().__init__((num_features, num_targets))
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def start(self, features: Tensor, target: Tensor) -> None:
        """Set the layer to the ridge solution for float32 features (N, F) and targets (N, T)."""
        weight, bias = fit_ridge(features.cpu().numpy(), target.cpu().numpy(), floor=True).unscaled
        with torch.no_grad():
            for parameter, value in zip(self.parameters(), (weight, bias), strict=True):
                parameter.copy_(torch.from_numpy(value).float())
