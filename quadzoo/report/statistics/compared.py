"""Intervals and tests of the rows of one leaderboard, from their errors on the same test images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from quadzoo.report.statistics.images import Images, Interval
from quadzoo.report.statistics.multiple import holm
from quadzoo.report.statistics.seeds import FEWEST_SEEDS, seed_variances

# Together 5 %. Errors are skewed: what was not drawn, image or seed, is larger than what was.
_LOW, _HIGH = 0.04, 0.99
_LOGS = np.linspace(0.0, np.log(1e-12), 200)  # of p-values


class Versus(NamedTuple):
    """A row against another predictor: the p-value of "no difference", and that of "the row is not better".

    ``better`` is 1 where the row's mean error is larger, and else not half of the other: errors are skewed,
    so that by chance a row looks good more often than it looks bad.
    """

    different: float
    better: float


class Folds(NamedTuple):
    """The fold of each image, int64 (N,), and how many images the model of a fold was trained on."""

    labels: np.ndarray
    n_train: float


class Comparison:
    """What can be said of the R rows of a leaderboard from their errors on the same test images.

    ``errors`` are R tables of squared errors, float64 (S, N), for the S seeds of a row; ``groups`` (N,), of
    any type that sorts, holds a label per image: images of one group are drawn together. ``folds`` where each
    image was tested in one of several folds.

    All is on the logarithm of the mean error over seeds and images. Its uncertainty has parts, each with its
    own degrees of freedom: the images (`Images`), the seeds (`seed_variances`) and, with folds, the training
    sets. They are joined by the method of variance estimates recovery (Zou & Donner 2008, Statistics in
    Medicine 27, p. 1693): the distance of an interval's end is the root of the sum of the squared distances
    that each part would have alone. A p-value is the level at which the interval of a difference just
    reaches 0. `benchmarks/coverage.py` measures both.
    """

    def __init__(self, errors: Sequence[np.ndarray], groups: np.ndarray, folds: Folds | None = None) -> None:
        """Take the rows; raises ValueError for none, and for tables of another size than the groups."""
        if not errors:
            raise ValueError("no rows to compare")
        if any(table.shape[1] != len(groups) for table in errors):
            raise ValueError("errors and groups differ in the number of images")
        self._images = Images(errors, groups)
        self._seeds = seed_variances(errors, self._images.noises)
        self._n_seeds = np.array([len(table) for table in errors])
        self._training = _Training(self._images, groups, folds)

    def withheld(self, row: int) -> str:
        """Return why a row gets no interval and no p-value, in words; nothing where it does."""
        return self._images.reason(row)

    def interval(self, row: int, selected_from: int = 1) -> Interval | None:
        """Return the 95 % interval of the mean error of a row; None where it is withheld.

        In 4 % of cases the mean should lie below it and in 1 % above, because errors are skewed.
        With fewer than three seeds it is about the test images only: another seed may lie outside.
        ``selected_from`` is the number of rows that the row was selected from by its val error. Val and test
        share a seed's luck, so that the seeds' part is widened to the level 1 - 0.05 / ``selected_from``
        (Benjamini & Yekutieli 2005, Journal of the American Statistical Association 100, p. 71).
        """
        if self.withheld(row):
            return None
        low, high = self._ends[:, row] ** 2
        excess, freedom = self._training.excess(self._images.influences[row])
        variance, of_seeds = self._seeds.variance[row] / self._n_seeds[row], self._seeds.freedom[row]
        for_seeds = _squares(of_seeds, (_LOW / selected_from, (1 - _HIGH) / selected_from)) * variance
        for_folds = _squares(freedom, (_LOW, 1 - _HIGH)) * excess
        mean = self._images.means[row]
        return Interval(
            float(mean * np.exp(-np.sqrt(low + for_seeds[0] + for_folds[0]))),
            float(mean * np.exp(np.sqrt(high + for_seeds[1] + for_folds[1]))),
        )

    def p_value(self, one: int, other: int) -> float | None:
        """Return the two-sided p-value of "two rows have the same mean error", for this pair alone.

        None where a row has fewer than three seeds or is withheld.
        """
        if not (self._tested(one) and self._tested(other)):
            return None
        means, influences = self._images.means, self._images.influences
        rows = [one, other]
        return self._p(means[rows], influences[rows], rows, self._seeds.freedom)

    def p_values(self) -> np.ndarray:
        """Return the p-values of all pairs, corrected by Holm's method for all that are tested.

        They are float64 (R, R), NaN where a pair is not tested, and on the diagonal.
        """
        n = len(self._n_seeds)
        found = {
            (one, other): p
            for one in range(n)
            for other in range(one)
            if (p := self.p_value(one, other)) is not None
        }
        table = np.full((n, n), np.nan)
        for (one, other), p in zip(found, holm(list(found.values()), len(found)), strict=True):
            table[one, other] = table[other, one] = p
        return table

    def versus(self, row: int, error: np.ndarray) -> Versus | None:
        """Return the p-values of a row against a predictor without seeds, of squared errors float64 (N,).

        None where the row has fewer than three seeds, or is withheld. They are about this row alone: for all
        rows of a leaderboard, correct ``better`` by `holm`. To be better than every one of several
        predictors, the largest p-value counts, without correction (Berger 1982, Technometrics 24, p. 295).
        """
        if not self._tested(row):
            return None
        mean, influences = self._images.of(error)
        own = self._images.means[row]
        both = np.stack([self._images.influences[row], influences])
        p = self._p(np.array([own, mean]), both, [row], self._seeds.own_freedom)
        return Versus(p, p if own < mean else 1.0)

    def _tested(self, row: int) -> bool:
        return bool(self._n_seeds[row] >= FEWEST_SEEDS) and not self.withheld(row)

    def _p(self, means: np.ndarray, influences: np.ndarray, rows: list[int], freedom: np.ndarray) -> float:
        """Return the p-value of the difference of two means, (2,), by their influences, (2, G).

        The variance from images is the mean of two: of the difference of the logarithms, and of that of the
        means, in units of the slope of the logarithm between them. The one is too small where few images
        have huge errors and a row was lucky not to meet them, the other takes no heed of what is paired.
        """
        distance, slope = _distance(*means)
        ways = influences[0] - influences[1], (means[0] * influences[0] - means[1] * influences[1]) * slope
        of_images = float(np.mean([way @ way for way in ways]))
        parts = [(of_images, self._images.n - 1.0), self._training.excess(ways[0])]
        parts += [
            (float(self._seeds.variance[row] / self._n_seeds[row]), float(freedom[row])) for row in rows
        ]
        known = [(variance, freedom) for variance, freedom in parts if variance > 0]
        if not known:
            return 1.0 if distance == 0 else 0.0
        reached = sum(variance * _grid(freedom) for variance, freedom in known)
        return float(np.exp(np.interp(distance**2, reached, _LOGS)))

    @cached_property
    def _ends(self) -> np.ndarray:
        return self._images.ends(_LOW, _HIGH)


class _Training:
    """The part of the training sets, which only folds let us see.

    It is the variance over folds, as far as that is larger than images explain. Folds share most of their
    training images. Nadeau & Bengio (2003, Machine Learning 52, p. 239) therefore take a variance over K
    folds not as 1 / K of that of one but as 1 / K + n_test / n_train. No test image is in two folds, so that
    the images' part needs no such correction.
    """

    def __init__(self, images: Images, groups: np.ndarray, folds: Folds | None) -> None:
        self._correction = 1.0 if folds is None else 1 + len(groups) / folds.n_train
        self._fold_of_group = np.zeros(images.n, dtype=np.int64)
        self._k = 1
        if folds is not None:
            _, first = np.unique(groups, return_index=True)
            names, self._fold_of_group = np.unique(folds.labels[first], return_inverse=True)
            self._k = len(names)

    def excess(self, influences: np.ndarray) -> tuple[float, float]:
        """Return the variance that folds add to that of images, and its degrees of freedom."""
        if self._k == 1:
            return 0.0, 1.0
        sums = np.bincount(self._fold_of_group, weights=influences)
        of_folds = float(sums @ sums) * self._k / (self._k - 1)
        return max(0.0, of_folds - float(influences @ influences)) * self._correction, self._k - 1.0


def _distance(one: float, other: float) -> tuple[float, float]:
    """Return how far the logarithms of two mean errors are apart, and the slope between them.

    From 0, any error is as far as it is itself.
    """
    if one == other:
        return 0.0, 1 / one if one else 0.0
    distance = abs(float(np.log(one / other))) if one > 0 and other > 0 else 1.0
    return distance, distance / abs(one - other)


def _squares(freedom: float, tails: tuple[float, float]) -> np.ndarray:
    """Return the squares of Student's t with these tails, (2,)."""
    return np.asarray(stats.t.isf(tails, max(freedom, 1.0))) ** 2


@lru_cache(maxsize=256)
def _grid(freedom: float) -> np.ndarray:
    """Return the squares of Student's t at two-sided p-values of `_LOGS`."""
    return np.asarray(stats.t.isf(np.exp(_LOGS) / 2, freedom)) ** 2
