"""What a prediction is worth: the one definition of every score, in numpy.

A truth that is NaN is missing: an image counts for the targets that it has.
"""

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
    """Score predictions against the truth, float64 (N, T) each, in original units; NaN is a missing truth.

    ``mse``: each target scaled by (y - low) / (high - low), squared errors averaged over the images that have
    the target, then over targets. ``exact``: the share of images whose every target is right after rounding,
    of those that have all targets; None unless all targets are integers, and where no image has all. ``rmse``
    and ``r2`` per target, over the images that have it; r2 (the coefficient of determination) is None where
    the truth does not vary.
    """
    known = ~np.isnan(truth)
    mean_square = means((prediction - truth) ** 2, known)
    variance = variances(truth, known)
    return Scores(
        mse=float(np.mean(mean_square / (np.array(high) - np.array(low)) ** 2)),
        exact=exact_share(prediction, truth) if all(integer) else None,
        rmse={name: float(np.sqrt(value)) for name, value in zip(names, mean_square, strict=True)},
        r2={
            name: float(1 - value / spread) if spread > 0 else None
            for name, value, spread in zip(names, mean_square, variance, strict=True)
        },
    )


def scores_of(prediction: np.ndarray, truth: np.ndarray, info: TargetInfo) -> Scores:
    """Score predictions against the truth, float64 (N, T) each, in original units, as `evaluate` does."""
    return evaluate(prediction, truth, names=info.names, low=info.low, high=info.high, integer=info.integer)


def exact_share(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """Return the share of images whose every target is right after rounding, of those that have all targets.

    Both are float64 (N, T), in original units. None where no image has all.
    """
    whole = ~np.isnan(truth).any(axis=1)
    right = (np.rint(prediction) == truth).all(axis=1)
    return float(np.mean(right[whole])) if whole.any() else None


def image_errors(residuals: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return what each image adds to the MSE, float64 (N,): the mean over images is the MSE.

    ``residuals``, float64 (N, T), are prediction minus truth in the scaled unit, ``known``, bool (N, T),
    where there is a truth. Where nothing is missing that is the mean of the squares over targets. Else a
    target that n of N images have counts N / n times in each of these: they stand for the others, too.
    """
    squares = residuals**2
    if known.all():
        return np.asarray(squares.mean(axis=1))
    weights = len(known) / (known.shape[1] * np.maximum(known.sum(axis=0), 1))
    return np.asarray(np.where(known, squares, 0.0) @ weights)


def mse_of(residuals: np.ndarray) -> float:
    """Return the MSE of residuals in the scaled unit, float64 (N, T), NaN where a truth is missing."""
    known = ~np.isnan(residuals)
    return float(np.mean(residuals**2 if known.all() else means(residuals**2, known)))


def means(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the mean of each column of ``values``, float64 (N, T), where ``known``, bool (N, T): (T,).

    NaN for a column of which nothing is known.
    """
    if known.all():
        return np.asarray(values.mean(axis=0))
    n = known.sum(axis=0)
    return np.where(n > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(n, 1), np.nan)


def variances(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the variance of each column of ``values``, float64 (N, T) to (T,), as `means` does the mean."""
    if known.all():
        return np.asarray(values.var(axis=0))
    return means((values - means(values, known)) ** 2, known)
