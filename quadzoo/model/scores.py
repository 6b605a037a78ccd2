"""RMSE, MAE and R² of each target, as they are logged beside the MSE."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, R2Score

from quadzoo.errors import DataError
from quadzoo.targets import TargetInfo

_LEAST_SPREAD = 1e-4  # below this sum of squares torchmetrics takes a target for constant


class TargetScores(nn.Module):
    """Scores of each target over all batches since the last reset, of all processes together.

    RMSE and MAE are in the original units of ``targets``; without it they are in the scaled unit, and the
    targets are called target_0, target_1, ... Raises DataError for another number of targets.
    """

    def __init__(self, num_targets: int, targets: TargetInfo | None) -> None:
        super().__init__()
        if targets is not None and len(targets) != num_targets:
            raise DataError(f"the data has {num_targets} targets, but TargetInfo names {len(targets)}")
        self.names = targets.names if targets else tuple(f"target_{t}" for t in range(num_targets))
        self.spans = (
            [high - low for low, high in zip(targets.low, targets.high, strict=True)]
            if targets
            else [1.0] * num_targets
        )
        # Accumulated in the scaled unit: float32 is too coarse for the variance of years near 2000.
        self.metrics = MetricCollection(
            {
                "rmse": MeanSquaredError(squared=False, num_outputs=num_targets),
                "mae": MeanAbsoluteError(num_outputs=num_targets),
                "r2": _R2(multioutput="raw_values"),
            },
            compute_groups=False,  # no two share a state, and comparing states makes a GPU wait
        )

    def reset(self) -> None:
        """Drop all batches."""
        self.metrics.reset()

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch's predictions and targets, float32 (B, T) in the scaled unit."""
        self.metrics.update(prediction, target)

    def compute(self) -> dict[str, Tensor]:
        """Return ``rmse/<target>``, ``mae/<target>`` and, where it is defined, ``r2/<target>``.

        Each is a float32 scalar; there were predictions (N, T) so far.
        """
        values = {kind: scores.reshape(-1) for kind, scores in self.metrics.compute().items()}
        found: dict[str, Tensor] = {}
        for index, (name, span) in enumerate(zip(self.names, self.spans, strict=True)):
            found[f"rmse/{name}"] = values["rmse"][index] * span
            found[f"mae/{name}"] = values["mae"][index] * span
        for name, r2, known in zip(self.names, values["r2"], values["r2"].isfinite().tolist(), strict=True):
            if known:
                found[f"r2/{name}"] = r2
        return found


class _R2(R2Score):
    """R² of each target (T); NaN for fewer than two images and for a target that does not vary."""

    def compute(self) -> Tensor:
        undefined = torch.full_like(self.residual, torch.nan)
        if self.total < 2:
            return undefined
        score: Tensor = super().compute()
        spread = self.sum_squared_error - self.sum_error**2 / self.total
        return torch.where(spread > _LEAST_SPREAD, score, undefined)
