"""Regression on the mean of the feature map."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


def stack(widths: Sequence[int]) -> nn.Sequential:
    """Return linear layers of the given widths, LeakyReLU(0.2) between them.

    The weights start as He et al. 2015 (Delving Deep into Rectifiers, section 2.2) say for that slope:
    torch's own start shrinks the signal in every layer of a deep stack.
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        linear = nn.Linear(width_in, width_out)
        nn.init.kaiming_normal_(linear.weight, a=0.2)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class PooledHead(nn.Module):
    """Average the feature map, then linear layers of the given widths, trained with the MSE.

    LeakyReLU(0.2) stands between the layers, except before the last, as in the tutorial's network.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = stack(widths)
        if len(widths) > 2:
            del self.layers[-2]

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, F, h, w) to predictions (B, T) in the scaled unit."""
        prediction: Tensor = self.layers(features.mean(dim=(2, 3)))
        return prediction

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error over images and targets, both (B, T)."""
        return F.mse_loss(raw, target)

    def predict(self, raw: Tensor) -> Tensor:
        """Return the output as it is: (B, T) in the scaled unit."""
        return raw
