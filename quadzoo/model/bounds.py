"""What the answers of a head on frozen features are held to: the range of train, and a share of its mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quadzoo.model.recipe import Recipe
from quadzoo.targets import TargetInfo


def bounds_for(recipe: Recipe, targets: TargetInfo | None) -> Bounds | None:
    """Return the bounds that a recipe asks for; None where it asks for none, or targets are unknown."""
    if targets is None or not recipe.freeze or recipe.frozen_features != "bounded":
        return None
    return Bounds(len(targets.names))


class Bounds(nn.Module):
    """Keeps predictions, float32 (B, T), within a range, and draws them towards the mean of each target.

    ``low``, ``high``, ``mean`` and ``weight`` are float32 (T,), in the unit of the predictions; until they
    are set, predictions pass unchanged. Features that hardly vary in training can be anything in another
    image, and what a head makes of them, too.
    """

    low: Tensor
    high: Tensor
    mean: Tensor
    weight: Tensor

    def __init__(self, num_targets: int) -> None:
        super().__init__()
        for name, value in (("low", -torch.inf), ("high", torch.inf), ("mean", 0.0), ("weight", 1.0)):
            self.register_buffer(name, torch.full((num_targets,), value))

    def forward(self, prediction: Tensor) -> Tensor:
        """Return the predictions as they are to be given, float32 (B, T)."""
        return torch.lerp(self.mean, prediction.clamp(self.low, self.high), self.weight)

    def set_range(self, target: Tensor) -> None:
        """Take range and mean from training targets, float32 (N, T), of which some may be NaN."""
        known = target.isfinite()
        self.low.copy_(torch.where(known, target, torch.inf).amin(dim=0))
        self.high.copy_(torch.where(known, target, -torch.inf).amax(dim=0))
        self.mean.copy_(target.nanmean(dim=0))
        self.weight.fill_(1)

    def set_weight(self, prediction: Tensor, target: Tensor) -> None:
        """Set the weight, from 0 to 1, with the least squared error of predictions that were not drawn yet.

        Both are float32 (N, T); some targets may be NaN. Weight 0 answers with the mean. It is the shrinkage
        of Copas 1983, Regression, Prediction and Shrinkage (J. R. Statist. Soc. B 45, p. 311), estimated on
        images that were not fitted to.
        """
        known = target.isfinite()
        kept = prediction.clamp(self.low, self.high) - self.mean
        off = torch.where(known, target - self.mean, 0).double()
        kept = torch.where(known, kept, 0).double()
        weight = (kept * off).sum(dim=0) / kept.square().sum(dim=0)
        self.weight.copy_(weight.nan_to_num(nan=0.0).clamp(0, 1))
