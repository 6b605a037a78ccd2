"""How the error falls with the number of training images: a power law, with its intervals.

Hestness et al. (2017, Deep Learning Scaling is Predictable, Empirically) and Rosenfeld et al. (2020, A
Constructive Prediction of the Generalization Error Across Scales) found errors to fall as a power of the
number of training images, down to a level that more images do not lower. Few shares cannot show that level,
so the law here has none: log error = a - b log n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

_LEVEL = 0.95
_FEWEST = 3  # shares: two always lie on a law
_MOST = 50.0  # of a logarithm, so that no interval overflows


class Estimated(NamedTuple):
    """A positive figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class Samples(NamedTuple):
    """The errors of K shares: ``sizes`` are their numbers of training images, (K,).

    ``errors`` are K tables of squared errors, float64 (S, N), for the S seeds of a share and the same N test
    images; ``groups`` (N,), of any type that sorts, holds a label per image.
    """

    sizes: Sequence[float]
    errors: Sequence[np.ndarray]
    groups: np.ndarray

    def of(self, chosen: Sequence[int]) -> Samples:
        """Return the samples of some shares, by their positions."""
        return Samples([self.sizes[k] for k in chosen], [self.errors[k] for k in chosen], self.groups)


class PowerLaw:
    """A law fitted to the logarithms of the mean errors of `Samples`, by least squares.

    Everything it says is a weighted sum of these logarithms. The variance of such a sum has three parts. Test
    images: from the contribution of each group of images to the sum, linearised; they are the same for all
    shares, so that most of it cancels in a slope. Seeds: their variance within shares, pooled. The law: the
    squared deviations of the shares from it, which also hold that a share's images were drawn once. Seeds
    count in the third part, too, which is conservative. Student's t with degrees of freedom by Satterthwaite
    (1946, Biometrics Bulletin 2, p. 110): where the deviations of 3 shares, with 1 degree of freedom, are the
    larger part, intervals are very wide. `tests/report/test_powerlaw.py` simulates how often they hold.
    """

    def __init__(self, samples: Samples) -> None:
        """Fit the law; raises ValueError for samples that say nothing about its uncertainty."""
        self._samples = samples
        self._logs = _Logs(samples)
        x = np.log(samples.sizes)
        if len(x) < 2 or np.ptp(x) == 0:
            raise ValueError("fewer than two different shares")
        # Row by row the weights of the logarithms in a and in the slope, -b.
        self._fit = np.linalg.pinv(np.column_stack([np.ones(len(x)), x]))
        deviations = self._logs.means - np.column_stack([np.ones(len(x)), x]) @ self._fit @ self._logs.means
        freedom = len(x) - 2
        self._deviation = float(deviations @ deviations) / freedom if freedom else 0.0, freedom
        if not freedom and not self._logs.seeds[1]:
            raise ValueError("two shares with one seed each")

    @property
    def exponent(self) -> float:
        """The b of the law: positive where errors fall."""
        return -float(self._fit[1] @ self._logs.means)

    def at(self, size: float) -> Estimated:
        """Return the mean error that the law gives for a number of training images."""
        return self._estimate(self._weights(size))

    def factor(self, times: float = 2.0) -> Estimated:
        """Return what ``times`` as many training images multiply the error by."""
        return self._estimate(math.log(times) * self._fit[1])

    def prediction(self, samples: Samples) -> Estimated:
        """Return what the law predicts for one more share, given alone and on the same test images.

        The interval is that of the mean over as many seeds as the share has.
        """
        every = Samples(
            [*self._samples.sizes, *samples.sizes],
            [*self._samples.errors, *samples.errors],
            self._samples.groups,
        )
        value = self.at(samples.sizes[0]).value
        weights = np.append(-self._weights(samples.sizes[0]), 1.0)
        images = float(np.sum((weights @ _Logs(every).influences) ** 2))
        seeds = np.append(self._logs.per_seeds, 1 / len(samples.errors[0]))
        return _interval(value, self._parts(weights, images, seeds))

    def _weights(self, size: float) -> np.ndarray:
        return np.asarray(np.array([1.0, math.log(size)]) @ self._fit)

    def _estimate(self, weights: np.ndarray) -> Estimated:
        images = float(np.sum((weights @ self._logs.influences) ** 2))
        value = math.exp(np.clip(weights @ self._logs.means, -_MOST, _MOST))
        return _interval(value, self._parts(weights, images, self._logs.per_seeds))

    def _parts(self, weights: np.ndarray, images: float, per_seeds: np.ndarray) -> list[tuple[float, int]]:
        """Return variance and degrees of freedom of images, seeds and deviations from the law."""
        (of_seeds, seed_freedom), (deviation, freedom) = self._logs.seeds, self._deviation
        return [
            (images, self._logs.influences.shape[1] - 1),
            (of_seeds * float(weights**2 @ per_seeds), seed_freedom),
            (deviation * float(weights @ weights), freedom),
        ]


def fitted(samples: Samples) -> PowerLaw | None:
    """Return the law of at least three shares; None where there is none, or nothing says how sure it is."""
    return _law(samples) if len(set(samples.sizes)) >= _FEWEST else None


def without_largest(samples: Samples) -> tuple[Estimated, float] | None:
    """Predict the mean error of the largest share from the others; return that, and what it was.

    None where fewer than two others are left, or these have one seed each.
    """
    order = np.argsort(samples.sizes, kind="stable").tolist()
    law = _law(samples.of(order[:-1]))
    if law is None:
        return None
    largest = samples.of(order[-1:])
    return law.prediction(largest), float(largest.errors[0].mean())


def _law(samples: Samples) -> PowerLaw | None:
    if len(np.unique(samples.groups)) < 2 or any(errors.mean() <= 0 for errors in samples.errors):
        return None
    try:
        return PowerLaw(samples)
    except ValueError:
        return None


class _Logs:
    """The logarithms of mean errors, (K,), and where their uncertainty comes from.

    ``influences`` (K, G) are what each group of images contributes to each logarithm: the sum of their
    squares, as that of a weighted sum of theirs, is a variance. ``seeds`` are the variance of one seed and
    its degrees of freedom; ``per_seeds`` (K,) are 1 / S.
    """

    def __init__(self, samples: Samples) -> None:
        means = np.array([errors.mean() for errors in samples.errors])
        self.means = np.log(means)
        _, index, sizes = np.unique(samples.groups, return_inverse=True, return_counts=True)
        n_groups, n_images = len(sizes), len(index)
        totals = np.stack([np.bincount(index, weights=errors.mean(axis=0)) for errors in samples.errors])
        correction = math.sqrt(n_groups / (n_groups - 1))
        self.influences = (totals / means[:, None] - sizes) / n_images * correction
        squares = [
            float(((errors.mean(axis=1) / mean - 1) ** 2).sum())
            for errors, mean in zip(samples.errors, means, strict=True)
        ]
        freedom = sum(len(errors) - 1 for errors in samples.errors)
        self.seeds = sum(squares) / freedom if freedom else 0.0, freedom
        self.per_seeds = np.array([1 / len(errors) for errors in samples.errors])


def _interval(value: float, parts: Sequence[tuple[float, int]]) -> Estimated:
    """Return a figure with its interval, from the variances of its logarithm and their degrees of freedom."""
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return Estimated(value, value, value)
    freedom = variance**2 / sum(part**2 / freedom for part, freedom in parts if part)
    half = min(float(stats.t.ppf((1 + _LEVEL) / 2, freedom)) * math.sqrt(variance), _MOST)
    return Estimated(value, value * math.exp(-half), value * math.exp(half))
