"""The interval of a mean error, and the test of whether two differ: over test images and seeds.

Both treat a row's squared errors as a table of seeds × images, in which images of one group (identical
ones, or those that share a value of the group column) are drawn together. `Comparison` replaces both: this
module goes with their last caller, `report/leaderboard.py`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from quadzoo.report.statistics.images import Interval

_RESAMPLES = 2000
_LEVEL = 0.95
_FEW = 20  # groups; resamples of fewer are too coarse to be studentised


def interval(errors: np.ndarray, groups: np.ndarray) -> Interval | None:
    """Return the 95 % interval of the mean of ``errors``, float64 (S, N) for S seeds and N images.

    ``groups`` (N,), of any type that sorts, holds a label per image. None for fewer than 2 groups.

    Images: a studentised bootstrap of whole groups, on the logarithm (Efron & Tibshirani 1993, An
    Introduction to the Bootstrap, ch. 12.5). Seeds: Student's t with S - 1 degrees of freedom for their
    variance component (two-way random effects, Searle, Casella & McCulloch 1992, Variance Components,
    ch. 4), because resampling 3 seeds underestimates their spread: `benchmarks/coverage.py` compares. With
    one seed, images only. With fewer than 20 groups, Student's t for the images, too. Where a resample may
    have no error at all, percentiles of the resampled means.
    """
    table = _Table.of(errors, groups)
    n_groups = len(table.sizes)
    if n_groups < 2:
        return None
    mean, totals = table.mean, table.totals.mean(axis=0)
    if mean == 0:
        return Interval(0.0, 0.0)
    weights = _resamples(n_groups)
    means, errors_of_means = _ratio(weights, totals, table.sizes)
    of_seeds = np.zeros(len(means))
    if table.seeds > 1:
        spread = np.sqrt(table.variance_of_seeds) / mean
        of_seeds = spread * np.random.default_rng(0).standard_t(table.seeds - 1, size=len(means))
    ends = [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]
    if means.min() == 0:
        # Nearly all images are without error: the logarithm is not defined.
        low, high = np.maximum(0, np.quantile(means + mean * of_seeds, ends))
        return Interval(float(low), float(high))
    _, (error,) = _ratio(np.ones((1, n_groups)), totals, table.sizes)
    if n_groups < _FEW:
        of_images = np.random.default_rng(1).standard_t(n_groups - 1, size=len(means))
    else:
        of_images = np.log(means / mean) / (errors_of_means / means)
    low, high = mean * np.exp(np.quantile(-of_images * error / mean - of_seeds, ends))
    return Interval(float(low), float(high))


def compare(one: np.ndarray, other: np.ndarray, groups: np.ndarray) -> float | None:
    """Return the two-sided p-value of the hypothesis that two rows have the same mean error.

    ``one`` and ``other`` are errors on the same images, float64 (S, N) and (S', N); ``groups`` (N,) holds a
    label per image. None for fewer than 2 groups.

    Welch's t-test of the difference. Its variance is the paired variance over groups of images plus the
    variances over the seeds of each row, which are not paired; degrees of freedom by Satterthwaite (1946,
    Biometrics Bulletin 2, p. 110). Noise counts in both parts, which is conservative: with 3 seeds, an
    estimate of the seeds' own variance component is too often near 0. With one seed per row, the p-value is
    about the images only.
    """
    left, right = _Table.of(one, groups), _Table.of(other, groups)
    n_groups = len(left.sizes)
    if n_groups < 2:
        return None
    totals = left.totals.mean(axis=0) - right.totals.mean(axis=0)
    (difference,), (error,) = _ratio(np.ones((1, n_groups)), totals, left.sizes)
    parts = [(float(error) ** 2, n_groups - 1)]
    parts += [(table.variance_between_seeds, table.seeds - 1) for table in (left, right) if table.seeds > 1]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return 1.0 if difference == 0 else 0.0
    freedom = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    return float(2 * stats.t.sf(abs(difference) / np.sqrt(variance), freedom))


class _Table(NamedTuple):
    """By group: sums of errors, float64 (S, G), and numbers of images, int64 (G,)."""

    totals: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, errors: np.ndarray, groups: np.ndarray) -> _Table:
        _, index = np.unique(groups, return_inverse=True)
        return cls(np.stack([np.bincount(index, weights=row) for row in errors]), np.bincount(index))

    @property
    def seeds(self) -> int:
        return len(self.totals)

    @property
    def mean(self) -> float:
        return float(self.totals.mean(axis=0).sum() / self.sizes.sum())

    @property
    def variance_between_seeds(self) -> float:
        """The variance of the mean over seeds: their own variance component, and noise."""
        return self._variances()[0]

    @property
    def variance_of_seeds(self) -> float:
        """The variance component of the seeds."""
        between, noise = self._variances()
        return max(0.0, between - noise)

    def _variances(self) -> tuple[float, float]:
        seeds, groups = self.totals.shape
        # Each group's contribution to the mean, so that groups of different sizes form a balanced table.
        values = self.mean + (self.totals - self.mean * self.sizes) * groups / self.sizes.sum()
        by_seed, by_group, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
        residual = values - by_seed[:, None] - by_group + mean
        noise = (residual**2).sum() / ((seeds - 1) * (groups - 1))
        between = groups * ((by_seed - mean) ** 2).sum() / (seeds - 1)
        return float(between / (seeds * groups)), float(noise / (seeds * groups))


def _ratio(weights: np.ndarray, totals: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over images and its standard error, each (B,), for each row of weights (B, G)."""
    n_groups = len(sizes)
    images = weights @ sizes
    mean = weights @ totals / images
    squares = weights @ totals**2 - 2 * mean * (weights @ (totals * sizes)) + mean**2 * (weights @ sizes**2)
    # Rounding may leave a small negative number.
    error = np.sqrt(np.maximum(squares, 0) * n_groups / (n_groups - 1)) / images
    return mean, error


@lru_cache(maxsize=1)
def _resamples(n_groups: int) -> np.ndarray:
    """Return how often each group is drawn in each resample, float32 (B, G): the same for every row."""
    rng = np.random.default_rng(0)
    return rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=_RESAMPLES).astype(np.float32)
