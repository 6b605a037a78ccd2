"""What a prediction is worth: the one definition of every score, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np

if TYPE_CHECKING:
    from quadzoo.targets import TargetInfo


class Scores(TypedDict):
    """Scores of predictions for N images and T targets; all but ``mse`` in original units."""

    mse: float
    exact: float | None
    rmse: dict[str, float]
    r2: dict[str, float | None]


def evaluate(
    prediction: np.ndarray, truth: np.ndarray, *,
    names: Sequence[str], low: Sequence[float], high: Sequence[float], integer: Sequence[bool],
) -> Scores:  # fmt: skip
    """Score predictions against the truth, float64 (N, T) each, in original units.

    ``mse``: each target scaled by (y - low) / (high - low), squared errors averaged over images, then
    over targets. ``exact``: the share of images whose every target is right after rounding, None unless
    all targets are integers. ``rmse`` and ``r2`` per target; r2 (the coefficient of determination) is None
    where the truth does not vary.
    """
    error = prediction - truth
    mean_square = np.mean(error**2, axis=0)
    variance = np.var(truth, axis=0)
    return Scores(
        mse=float(np.mean(mean_square / (np.array(high) - np.array(low)) ** 2)),
        exact=float(np.mean((np.rint(prediction) == truth).all(axis=1))) if all(integer) else None,
        rmse={name: float(np.sqrt(value)) for name, value in zip(names, mean_square, strict=True)},
        r2={
            name: float(1 - value / spread) if spread > 0 else None
            for name, value, spread in zip(names, mean_square, variance, strict=True)
        },
    )


def scores_of(prediction: np.ndarray, truth: np.ndarray, info: TargetInfo) -> Scores:
    """Score predictions against the truth, float64 (N, T) each, in original units, as `evaluate` does."""
    return evaluate(prediction, truth, names=info.names, low=info.low, high=info.high, integer=info.integer)
