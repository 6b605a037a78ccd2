"""How sure a mean error is, and whether two differ: over the test images and over the seeds.

Both treat a row's squared errors as a table of seeds × images, in which images of one group (identical
ones, or those that share a value of ``--group-column``) stand or fall together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

_RESAMPLES = 2000
_LEVEL = 0.95
_FEW = 20  # groups; resamples of fewer are too coarse to be studentised


class Interval(NamedTuple):
    """The ends of a 95 % interval."""

    low: float
    high: float


def interval(errors: np.ndarray, groups: np.ndarray) -> Interval | None:
    """Return the 95 % interval of the mean of ``errors`` (S, N), for S seeds and N images.

    ``groups`` (N,) holds a label per image. Images: a studentised bootstrap of whole groups, on the
    logarithm (Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 12.5). Seeds: Student's t with
    S - 1 degrees of freedom for the component of variance that is theirs (two-way random effects, Searle,
    Casella & McCulloch 1992, Variance Components, ch. 4), since drawing 3 seeds from 3 tells too little of
    their spread: `benchmarks/coverage.py` compares. One seed: images alone. Student's t also for the
    images where there are fewer than 20 groups, and percentiles of the resampled means where a resample
    may be without any error. None for less than 2 groups.
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
        # Nearly all images are without error: no logarithm, and plain percentiles.
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
    """Return the two-sided p that rows with errors (S, N) and (S', N) on the same images have one mean.

    Welch's t of the difference: its variance is that over groups of images, paired, and those over the
    seeds of each row, which are not paired; degrees of freedom by Satterthwaite (1946, Biometrics
    Bulletin 2, p. 110). Noise counts in both parts, which is cautious: with 3 seeds an estimate of the
    seeds' own part is too often near 0. With one seed p tells of the images alone. None for less than 2
    groups.
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


def holm(p_values: Sequence[float], tests: int) -> list[float]:
    """Return the p-values corrected for ``tests`` comparisons, of which these are some.

    Holm (1979, Scandinavian Journal of Statistics 6, p. 65). More tests than p-values are meant where these
    were chosen by looking: the smallest counts as the smallest of all tests, and so on, which is cautious.
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (tests - rank) * p_values[position]))
        corrected[position] = highest
    return corrected


class _Table(NamedTuple):
    """Sums of errors, (S, G), and numbers of images, (G,), by group."""

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
        """The variance of the mean that the seeds' means show: the seeds' own part, and noise."""
        return self._variances()[0]

    @property
    def variance_of_seeds(self) -> float:
        """The part of it that is the seeds' own."""
        between, noise = self._variances()
        return max(0.0, between - noise)

    def _variances(self) -> tuple[float, float]:
        seeds, groups = self.totals.shape
        # Each group's share of the mean, so that groups of any size are rows of a balanced table.
        values = self.mean + (self.totals - self.mean * self.sizes) * groups / self.sizes.sum()
        by_seed, by_group, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
        residual = values - by_seed[:, None] - by_group + mean
        noise = (residual**2).sum() / ((seeds - 1) * (groups - 1))
        between = groups * ((by_seed - mean) ** 2).sum() / (seeds - 1)
        return float(between / (seeds * groups)), float(noise / (seeds * groups))


def _ratio(weights: np.ndarray, totals: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each row of weights (B, G), the mean over images and its standard error."""
    n_groups = len(sizes)
    images = weights @ sizes
    mean = weights @ totals / images
    squares = weights @ totals**2 - 2 * mean * (weights @ (totals * sizes)) + mean**2 * (weights @ sizes**2)
    # Rounding may leave a little less than nothing.
    error = np.sqrt(np.maximum(squares, 0) * n_groups / (n_groups - 1)) / images
    return mean, error


@lru_cache(maxsize=1)
def _resamples(n_groups: int) -> np.ndarray:
    """Return how often each group is drawn in each resample, float32 (B, G): the same for every row."""
    rng = np.random.default_rng(0)
    return rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=_RESAMPLES).astype(np.float32)
