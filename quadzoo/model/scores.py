"""RMSE, MAE and R² of each target, as they are logged beside the MSE."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection, R2Score

from quadzoo.errors import DataError
from quadzoo.targets import TargetInfo

_LEAST_SPREAD = 1e-4  # below this sum of squares torchmetrics takes a target for constant


class TargetScores(nn.Module):
    """Scores of each target over all batches since the last reset, of all processes together.

    RMSE and MAE are in the original units of ``targets``; without it they are in the scaled unit, and the
    targets are called target_0, target_1, ... With ``masked`` each is scored on the images that have it: a
    missing one is NaN. Raises DataError for another number of targets.
    """

    def __init__(self, num_targets: int, targets: TargetInfo | None, *, masked: bool = False) -> None:
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
        kinds: dict[str, Metric | MetricCollection] = {
            "rmse": MeanSquaredError(squared=False, num_outputs=num_targets),
            "mae": MeanAbsoluteError(num_outputs=num_targets),
            "r2": _R2(multioutput="raw_values"),
        }
        if masked:
            kinds = {kind: _KnownScore(num_targets, kind) for kind in kinds}
        self.metrics = MetricCollection(
            kinds,
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


class _Known(Metric):
    """Sums over the images that have a target, each float32 (T,); a missing target is NaN."""

    full_state_update = False
    n: Tensor
    squares: Tensor
    absolutes: Tensor
    total: Tensor
    total_squares: Tensor

    def __init__(self, num_targets: int) -> None:
        super().__init__()
        for name in ("n", "squares", "absolutes", "total", "total_squares"):
            self.add_state(name, torch.zeros(num_targets), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        known = ~target.isnan()
        target = torch.where(known, target, 0.0)
        error = torch.where(known, prediction - target, 0.0)
        self.n += known.sum(dim=0)
        self.squares += (error**2).sum(dim=0)
        self.absolutes += error.abs().sum(dim=0)
        self.total += target.sum(dim=0)
        self.total_squares += (target**2).sum(dim=0)

    def compute(self) -> Tensor:
        raise NotImplementedError


class KnownMSE(_Known):
    """The MSE of each target over the images that have it, averaged over the targets that any has."""

    def compute(self) -> Tensor:
        """Return the MSE, a float32 scalar, of predictions (N, T) so far."""
        return (self.squares / self.n).nanmean()


class _KnownScore(_Known):
    """RMSE, MAE or R² of each target over the images that have it, float32 (T,)."""

    def __init__(self, num_targets: int, kind: str) -> None:
        super().__init__(num_targets)
        self.kind = kind

    def compute(self) -> Tensor:
        if self.kind == "rmse":
            return (self.squares / self.n).sqrt()
        if self.kind == "mae":
            return self.absolutes / self.n
        spread = self.total_squares - self.total**2 / self.n
        known = (spread > _LEAST_SPREAD) & (self.n > 1)
        return torch.where(known, 1 - self.squares / spread, torch.nan)
