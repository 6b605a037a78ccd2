"""The part of the uncertainty that comes from the choice of test images: by groups, shared by all rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from quadzoo.data.splits import FEWEST_GROUPS

_RESAMPLES = 2000
_MOST_BLOCKS = 4000  # that are resampled; more groups are put together
_CARRIES = 0.5  # of the error
_STEADY = 0.1  # of the standard error: a resample with less has lost what the spread comes from
_LOST = 0.005  # of resamples
TOO_FEW = "independent test image"  # in the reason where more images or groups would help
# With few images what was not drawn matters: one more is imagined, so far off, by simulation.
_NOT_DRAWN, _FEW = 7, 400


class Interval(NamedTuple):
    """The ends of a 95 % interval."""

    low: float
    high: float


class Images:
    """The errors of R rows on the same images, summed by group.

    ``errors`` are R tables of squared errors, float64 (S, N), for the S seeds of a row; ``groups`` (N,), of
    any type that sorts, holds a label per image. Images of one group are drawn together: identical ones, or
    those that share a value of the group column.
    """

    def __init__(self, errors: Sequence[np.ndarray], groups: np.ndarray) -> None:
        """Sum up."""
        _, self._index, self.sizes = np.unique(groups, return_inverse=True, return_counts=True)
        self.means = np.array([table.mean() for table in errors])
        # By group, in units of the row's mean: its sum is the number of images.
        self.totals = np.stack([self._shares(table.mean(axis=0)) for table in errors])
        # What each group adds to the logarithm of the mean; the sum of its squares is a variance.
        self.influences = self.influences_of(self.totals)
        self.noises = np.array([self._noise(table) for table in errors])

    @property
    def n(self) -> int:
        """The number of groups."""
        return len(self.sizes)

    def influences_of(self, totals: np.ndarray) -> np.ndarray:
        """Return what each group adds to the logarithm of the mean error of each row, float64 (R, G)."""
        correction = np.sqrt(self.n / (self.n - 1)) if self.n > 1 else 0.0
        return np.asarray((totals - self.sizes) * correction / self.sizes.sum())

    def of(self, error: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the mean of errors, float64 (N,), that belong to no row, and their influences (G,)."""
        return float(error.mean()), self.influences_of(self._shares(error))

    def reason(self, row: int) -> str:
        """Return why these images say nothing about a row, in words; nothing where they do."""
        totals = self.totals[row]
        if self.n < FEWEST_GROUPS:
            noun = f"{TOO_FEW} or group" if self.n == 1 else f"{TOO_FEW}s or groups"
            return f"only {self.n} {noun}: it takes {FEWEST_GROUPS}"
        with_error = int((totals > 0).sum())
        if with_error < FEWEST_GROUPS:
            return f"only {with_error} test images or groups have an error: it takes {FEWEST_GROUPS}"
        return self._carried(totals)

    def carried(self, error: np.ndarray) -> str:
        """Return which image carries errors, float64 (N,), that belong to no row; nothing where none does."""
        return self._carried(self._shares(error))

    def carries(self, row: int) -> str:
        """Return which image carries the error of a row; nothing where none does."""
        return self._carried(self.totals[row])

    def _carried(self, totals: np.ndarray) -> str:
        share = float(totals.max() / max(totals.sum(), np.finfo(float).tiny))
        one = "image" if self.sizes[totals.argmax()] == 1 else "group of images"
        return f"one test {one} has {share:.0%} of the error" if share > _CARRIES else ""

    def unsteady(self, row: int) -> str:
        """Return why a bootstrap cannot tell how a row's mean varies, in words; nothing where it can.

        Where errors differ almost only in a few images, many resamples lack these and hardly vary.
        """
        _, errors, error = self._resampled
        lost = (errors[:, row] < _STEADY * error[row]).mean()
        return "errors differ almost only in a few test images" if lost > _LOST else ""

    def ends(self, low: float, high: float) -> np.ndarray:
        """Return quantiles of the logarithm of each row's mean error, as deviations from it, float64 (2, R).

        They are those of `bootstrapped`. But few images of unequal errors often lack the largest, and then
        look alike; so the upper end is no less than with one image more, which is ``_NOT_DRAWN`` / √n times
        as far above the mean as the largest of n. Without it, intervals from 12 images whose errors have a
        spread of 1.5 cover 84 %, with it 93 % (`benchmarks/coverage.py`).
        """
        ends = self.bootstrapped(low, high)
        if self.n < _FEW:
            ends[1] = np.maximum(ends[1], self._end_with_one_more(high))
        return ends

    def bootstrapped(self, low: float, high: float) -> np.ndarray:
        """Return quantiles as `ends` does, float64 (2, R), from these images alone.

        A studentised bootstrap of whole groups, on the logarithm (Efron & Tibshirani 1993, An Introduction to
        the Bootstrap, ch. 12.5). The resamples are the same for every row.
        """
        means, errors, error = self._resampled
        return np.asarray(np.quantile(-np.log(means) * means / errors * error, [low, high], axis=0))

    def _end_with_one_more(self, high: float) -> np.ndarray:
        """Return the upper quantile of `ends` with one group more, (R,)."""
        mean_size = self.sizes.mean()
        beyond = np.maximum(0.0, self.totals.max(axis=1, keepdims=True) - mean_size)
        totals = np.hstack([self.totals, mean_size + _NOT_DRAWN / np.sqrt(self.n) * beyond])
        sizes = np.append(self.sizes, mean_size)
        one = np.ones((1, len(sizes)), dtype=np.float32)
        (mean, error), (means, errors) = (
            _ratio(weights, totals, sizes) for weights in (one, _resamples(len(sizes)))
        )
        deviations = -np.log(means / mean) * means / errors * error
        return np.asarray(np.log(mean[0]) + np.quantile(deviations / mean, high, axis=0))

    @property
    def resampled_logs(self) -> np.ndarray:
        """The logarithm of each row's mean error in each resample, less that in all images.

        Float64 or float32, (B, R).
        """
        return np.asarray(np.log(self._resampled[0]))

    @cached_property
    def _resampled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return means, 1 in all images, and their standard errors, (B, R), and that in all images, (R,)."""
        totals, sizes = self.totals, self.sizes
        if self.n > _MOST_BLOCKS:
            blocks = np.random.default_rng(0).permutation(self.n) % _MOST_BLOCKS
            totals = np.stack([np.bincount(blocks, weights=row) for row in totals])
            sizes = np.bincount(blocks, weights=sizes)
        weights = _resamples(len(sizes))
        means, errors = _ratio(weights, totals, sizes)
        _, error = _ratio(np.ones((1, len(sizes)), dtype=np.float32), totals, sizes)
        return means, errors, error[0]

    def _shares(self, error: np.ndarray) -> np.ndarray:
        mean = error.mean()
        return np.bincount(self._index, weights=error) / (mean if mean > 0 else 1.0)

    def _noise(self, table: np.ndarray) -> float:
        """Return the variance of the logarithm of one seed's mean error that seeds × groups noise causes.

        The residual of a two-way table (Searle, Casella & McCulloch 1992, Variance Components, ch. 4).
        """
        if len(table) < 2 or self.n < 2 or not table.any():
            return 0.0
        mean = table.mean()
        values = np.stack([np.bincount(self._index, weights=row) for row in table]) / mean - self.sizes
        values *= self.n / self.sizes.sum()
        residual = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0)
        return float((residual**2).sum() / ((len(table) - 1) * (self.n - 1)) / self.n)


def _ratio(weights: np.ndarray, totals: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over images and its standard error, each (B, R), for each row of weights (B, G)."""
    n = len(sizes)
    x, m = totals.T.astype(np.float32), sizes.astype(np.float32)
    images = (weights @ m)[:, None]
    # The smallest positive number stands for a resample without error.
    mean = np.maximum(weights @ x / images, 1e-9)
    squares = weights @ x**2 - 2 * mean * (weights @ (x * m[:, None])) + mean**2 * (weights @ m**2)[:, None]
    error = np.sqrt(np.maximum(squares, 1e-12) * n / (n - 1)) / images
    return mean, error


@lru_cache(maxsize=2)
def _resamples(n: int) -> np.ndarray:
    """Return how often each of ``n`` blocks is drawn in each resample, float32 (B, n): the same for all."""
    rng = np.random.default_rng(0)
    return rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES).astype(np.float32)
