"""One classifier for each target, over the values it can take."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quadzoo import TargetInfo
from quadzoo.model.heads.pooled import stack

_HIDDEN = 512
_MOST = 4096  # classes of one target; a target with more values has _GRID classes
_GRID = 101


class IntegerHead(nn.Module):
    """Maps float32 features (B, F, h, w) to the logits of each target's classes, from the mean feature.

    An integer target has one class for each value from low to high, and the loss is the cross-entropy. Any
    other target, and an integer one with more than 4,096 values, has 101 classes, at equal distances from low
    to high; a value between two classes is divided between them by its distance to each (the two-hot encoding
    of Schrittwieser et al. 2020, Mastering Atari, Go, Chess and Shogi by Planning with a Learned Model,
    appendix F). A value outside counts as the nearest class.

    The prediction modes are ``expectation``, which minimises the squared error if the probabilities are
    right, and ``mode``, the most probable class.
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
        # A persistent buffer, so that a loaded model predicts as the saved one did.
        self.register_buffer("mode", torch.tensor(False))

    def use_prediction_mode(self, name: str) -> None:
        """Predict in this mode from now on. Raises ValueError for a name not in ``prediction_modes``."""
        if name not in self.prediction_modes:
            raise ValueError(f"prediction mode {name!r}: use {' or '.join(self.prediction_modes)}")
        self.mode.fill_(name == "mode")

    def forward(self, features: Tensor) -> Tensor:
        """Map float32 features (B, F, h, w) to the logits of all targets, concatenated."""
        logits: Tensor = self.layers(features.mean(dim=(2, 3)))
        return logits

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross-entropy to float32 targets (B, T) in the scaled unit, a scalar."""
        return torch.stack(self._cross_entropies(raw, target)).mean()

    def losses(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy of each target, float32 (B, T), of which `loss` is the mean."""
        return torch.stack(self._cross_entropies(raw, target), dim=1)

    def _cross_entropies(self, raw: Tensor, target: Tensor) -> list[Tensor]:
        losses = []
        for steps, logits, scaled in zip(self.steps, self._split(raw), target.unbind(dim=1), strict=True):
            position = scaled.clamp(0, 1) * steps
            below = position.floor().clamp(max=steps - 1)
            above = (position - below)[:, None]
            log_likelihood = logits.log_softmax(dim=1)
            two = torch.stack((below, below + 1), dim=1).long()
            shares = torch.cat((1 - above, above), dim=1)
            losses.append(-(log_likelihood.gather(1, two) * shares).sum(dim=1))
        return losses

    def predict(self, raw: Tensor) -> Tensor:
        """Return predictions, float32 (B, T), in the prediction mode that is in use."""
        predictions = []
        for steps, logits in zip(self.steps, self._split(raw), strict=True):
            values = torch.linspace(0, 1, steps + 1, device=raw.device)
            expectation = logits.softmax(dim=1) @ values
            # torch.where, because an `if` on a tensor would make the CPU wait for a GPU.
            predictions.append(torch.where(self.mode, values[logits.argmax(dim=1)], expectation))
        return torch.stack(predictions, dim=1)

    def _split(self, raw: Tensor) -> tuple[Tensor, ...]:
        return torch.split(raw, [steps + 1 for steps in self.steps], dim=1)
