"""One classifier for each target, over the values it can take."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quadzoo import TargetInfo
from quadzoo.model.heads.pooled import stack

_HIDDEN = 512
_MOST = 4096  # values of one classifier; a target of more is read off a grid
_GRID = 101


class IntegerHead(nn.Module):
    """Features (B, F, h, w) to logits (B, sum of the targets' values), from the mean feature.

    A whole-number target has one class for each value from low to high, and the loss is the cross-entropy:
    the exact likelihood of such a target. Any other target, and one of more than 4,096 values, has 101
    values from low to high, and what lies between two of them counts for both, the nearer the more
    (the two-hot encoding of Schrittwieser et al. 2020, Mastering Atari, Go, Chess and Shogi by Planning
    with a Learned Model, appendix F). What lies outside counts as the nearest value.

    ``prediction_modes`` are the two ways to predict: ``expectation``, the best for squared errors where the
    probabilities are right, and ``mode``, the most probable value, which is exact or off by a whole number.
    """

    prediction_modes = ("expectation", "mode")
    mode: Tensor

    def __init__(self, num_features: int, targets: TargetInfo) -> None:
        super().__init__()
        self.steps = [
            round(high - low) if whole and high - low < _MOST else _GRID - 1
            for low, high, whole in zip(targets.low, targets.high, targets.integer, strict=True)
        ]
        self.layers = stack((num_features, _HIDDEN, sum(self.steps) + len(self.steps)))
        # Among the weights, so that what is loaded predicts as what was saved.
        self.register_buffer("mode", torch.tensor(False))

    def use_prediction_mode(self, name: str) -> None:
        """Predict by one of ``prediction_modes`` from now on."""
        self.mode.fill_(name == "mode")

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, F, h, w) to the logits of all targets, side by side."""
        logits: Tensor = self.layers(features.mean(dim=(2, 3)))
        return logits

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy to targets (B, T) in the scaled unit, averaged over both."""
        losses = []
        for steps, logits, scaled in zip(self.steps, self._each(raw), target.unbind(dim=1), strict=True):
            position = scaled.clamp(0, 1) * steps
            below = position.floor().clamp(max=steps - 1)
            above = (position - below)[:, None]
            likelihood = logits.log_softmax(dim=1)
            two = torch.stack((below, below + 1), dim=1).long()
            losses.append(-(likelihood.gather(1, two) * torch.cat((1 - above, above), dim=1)).sum(dim=1))
        return torch.stack(losses).mean()

    def predict(self, raw: Tensor) -> Tensor:
        """Return (B, T): each target's expectation or, after ``use_prediction_mode("mode")``, its likeliest value."""
        predictions = []
        for steps, logits in zip(self.steps, self._each(raw), strict=True):
            values = torch.linspace(0, 1, steps + 1, device=raw.device)
            expectation = logits.softmax(dim=1) @ values
            # No `if`: it would make a GPU wait.
            predictions.append(torch.where(self.mode, values[logits.argmax(dim=1)], expectation))
        return torch.stack(predictions, dim=1)

    def _each(self, raw: Tensor) -> tuple[Tensor, ...]:
        return torch.split(raw, [steps + 1 for steps in self.steps], dim=1)
