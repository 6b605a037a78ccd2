"""The head: from features to predictions, and the loss."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Head(nn.Module):
    """One linear layer on the mean feature, trained with the absolute error."""

    def __init__(self, num_features: int, num_targets: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, num_targets)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, F, h, w) to whatever loss and predict take; here predictions (B, T)."""
        raw: Tensor = self.linear(features.mean(dim=(2, 3)))
        return raw

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar; the target is (B, T), scaled so that training targets lie in 0 to 1."""
        return F.l1_loss(raw, target)

    def predict(self, raw: Tensor) -> Tensor:
        """Return predictions (B, T), scaled like the target."""
        return raw
