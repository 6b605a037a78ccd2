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
_NOTHING = 1e-150  # a mean error
_ALIKE = 1e-3  # of the squared lengths of two rows


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
        self._given = errors, groups, folds
        self._images = Images(errors, groups)
        self._seeds = seed_variances(errors, self._images.noises)
        self._n_seeds = np.array([len(table) for table in errors])
        self._training = _Training(self._images, groups, folds)

    def among(self, rows: Sequence[int]) -> Comparison:
        """Return what can be said of some of the rows where the others are not there."""
        errors, groups, folds = self._given
        return Comparison([errors[row] for row in rows], groups, folds)

    def withheld(self, row: int) -> str:
        """Return why a row gets neither interval nor p-value, in words; nothing where it may."""
        return self._images.reason(row)

    def without_interval(self, row: int) -> str:
        """Return why a row gets no interval, in words; nothing where it does."""
        return self.withheld(row) or self._images.unsteady(row)

    def interval(self, row: int, selected_from: int = 1) -> Interval | None:
        """Return the 95 % interval of the mean error of a row; None where it is withheld.

        In 4 % of cases the mean should lie below it and in 1 % above, because errors are skewed.
        With fewer than three seeds it is about the test images only: another seed may lie outside.
        ``selected_from`` is the number of rows that the row was selected from by its val error. Val and test
        share a seed's luck, so that the seeds' part is widened to the level 1 - 0.05 / ``selected_from``
        (Benjamini & Yekutieli 2005, Journal of the American Statistical Association 100, p. 71).
        """
        if self.without_interval(row):
            return None
        low, high = self._ends[:, row] ** 2
        (excess,), freedom = self._training.excess(self._images.influences[[row]])
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
        return float(self._p(self._sides([one]), self._sides([other]))[0])

    def p_values(self) -> np.ndarray:
        """Return the p-values of all pairs, corrected by Holm's method for all that are tested.

        They are float64 (R, R), NaN where a pair is not tested, and on the diagonal.
        """
        n = len(self._n_seeds)
        tested = [row for row in range(n) if self._tested(row)]
        everyone = self._sides(tested)
        found = [
            self._p(_part(everyone, slice(place, place + 1)), _part(everyone, slice(place)))
            for place in range(1, len(tested))
        ]
        table = np.full((n, n), np.nan)
        if found:
            rows = np.array(tested)
            pairs = np.tril_indices(len(tested), -1)  # in the order of what was found
            p_values = np.concatenate(found)
            corrected = holm(p_values, len(p_values))
            table[rows[pairs[0]], rows[pairs[1]]] = table[rows[pairs[1]], rows[pairs[0]]] = corrected
        return table

    def versus(
        self, row: int, error: np.ndarray, *, as_it_is: bool = False, selected_from: int = 1
    ) -> Versus | None:
        """Return the p-values of a row against a predictor without seeds, of squared errors float64 (N,).

        None where the row has fewer than three seeds or is withheld, and where one image carries the error of
        the predictor. They are about this row alone: for all rows of a leaderboard, correct ``better`` by
        `holm`. To be better than every one of several predictors, the largest p-value counts, without
        correction (Berger 1982, Technometrics 24, p. 295).
        With ``as_it_is`` a row without seeds is tested, too: what it has predicted, on other images.
        ``selected_from`` is the number of rows that the row was selected from by its val error: any of them
        might have been, and Bonferroni's correction for all holds for the one that was.
        """
        tested = not self.withheld(row) if as_it_is else self._tested(row)
        return self._versus([row], error, selected_from)[0] if tested else None

    def every_versus(self, error: np.ndarray) -> list[Versus | None]:
        """Return what `versus` does of each row, for squared errors float64 (N,) of a predictor.

        Of all at once that takes less time.
        """
        tested = [row for row in range(len(self._n_seeds)) if self._tested(row)]
        found = dict(zip(tested, self._versus(tested, error), strict=True)) if tested else {}
        return [found.get(row) for row in range(len(self._n_seeds))]

    def _versus(self, rows: Sequence[int], error: np.ndarray, selected_from: int = 1) -> list[Versus | None]:
        if self._images.carried(error):
            return [None] * len(rows)
        mean, influences = self._images.of(error)
        predictor = _Sides.of(np.array([mean]), influences[None], np.zeros(1), np.zeros((1, len(_LOGS))))
        p_values = np.minimum(1.0, self._p(predictor, self._sides(rows, alone=True)) * selected_from)
        return [
            Versus(float(p), float(p) if self._images.means[row] < mean else 1.0)
            for row, p in zip(rows, p_values, strict=True)
        ]

    def _tested(self, row: int) -> bool:
        return bool(self._n_seeds[row] >= FEWEST_SEEDS) and not self.withheld(row)

    def _sides(self, rows: Sequence[int], *, alone: bool = False) -> _Sides:
        """Return rows as sides of a comparison; ``alone`` as what is known where each stands for itself."""
        chosen = np.array(rows, dtype=np.int64)
        known = self._seeds.own_freedom if alone else self._seeds.freedom
        freedoms, place = np.unique(known[chosen], return_inverse=True)
        # Without seeds nothing varies.
        grids = [_grid(float(freedom)) if freedom else np.zeros(len(_LOGS)) for freedom in freedoms]
        return _Sides.of(
            self._images.means[chosen],
            self._images.influences[chosen],
            self._seeds.variance[chosen] / self._n_seeds[chosen],
            np.array(grids).reshape(-1, len(_LOGS))[place],
        )

    def _p(self, one: _Sides, others: _Sides) -> np.ndarray:
        """Return the p-values of the differences between a mean and each of k others, float64 (k,).

        The variance from images is the mean of two: of the difference of the logarithms, and of that of the
        means, in units of the slope of the logarithm between them. The one is too small where few images
        have huge errors and a row was lucky not to meet them, the other takes no heed of what is paired.
        """
        distance, slope = _distance(one.means[0], others.means)
        of_logs, of_means = _squared(one, others)
        parts = [
            ((of_logs + of_means * slope**2) / 2, _grid(self._images.n - 1.0)[None]),
            (one.variances, one.grids),
            (others.variances, others.grids),
        ]
        if self._training.is_seen:
            excess, freedom = self._training.excess(one.influences[0] - others.influences)
            parts.append((excess, _grid(freedom)[None]))
        p = np.exp(_inverse(distance**2, parts))
        nothing_varies = sum(variance > 0 for variance, _ in parts) == 0
        return np.where(nothing_varies, np.where(distance == 0, 1.0, 0.0), p)

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

    @property
    def is_seen(self) -> bool:
        """Whether there are folds."""
        return self._k > 1

    def excess(self, influences: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the variance that folds add to that of images, and its degrees of freedom.

        ``influences`` are float64 (k, G), the variances (k,).
        """
        if not self.is_seen:
            return np.zeros(len(influences)), 1.0
        sums = np.stack([np.bincount(self._fold_of_group, weights=one) for one in influences])
        of_folds = (sums**2).sum(axis=1) * self._k / (self._k - 1)
        of_images = (influences**2).sum(axis=1)
        return np.maximum(0.0, of_folds - of_images) * self._correction, self._k - 1.0


class _Sides(NamedTuple):
    """K rows to be compared: means (k,), influences (k, G) and their squared lengths (k,).

    ``variances`` (k,) are those that seeds give the means;
    ``grids``, float64 (k, P), are those of `_grid` for the degrees of freedom of these variances.
    """

    means: np.ndarray
    influences: np.ndarray
    lengths: np.ndarray
    variances: np.ndarray
    grids: np.ndarray

    @classmethod
    def of(
        cls, means: np.ndarray, influences: np.ndarray, variances: np.ndarray, grids: np.ndarray
    ) -> _Sides:
        """Return rows with the squared lengths of their influences."""
        return cls(means, influences, np.einsum("kg,kg->k", influences, influences), variances, grids)


def _part(sides: _Sides, rows: slice) -> _Sides:
    return _Sides(*(values[rows] for values in sides))


def _squared(one: _Sides, others: _Sides) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared distances of the influences of a row from those of others, (k,).

    First as they are, then each times its mean.
    """
    dots = others.influences @ one.influences[0]
    found = []
    for own, by in ((1.0, np.ones(len(dots))), (one.means[0], others.means)):
        lengths = own**2 * one.lengths[0] + by**2 * others.lengths
        squared = lengths - 2 * own * by * dots
        # Where the two are much alike, nothing but rounding would be left.
        alike = np.flatnonzero(squared < _ALIKE * lengths)
        apart = own * one.influences[0] - by[alike, None] * others.influences[alike]
        squared[alike] = (apart**2).sum(axis=1)
        found.append(squared)
    return found[0], found[1]


def _inverse(values: np.ndarray, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the logarithms of the p-values at which sums of quantiles reach the ``values``, float64 (k,).

    ``parts`` are variances, (k,) or (1,), with the quantiles of `_grid`, (k, P) or (1, P). Sums grow along a
    grid, so that bisection finds the place, and a straight line what is between two points of it.
    """
    rows = np.arange(len(values))

    def reached(at: np.ndarray) -> np.ndarray:
        found = np.zeros(len(values))
        for variance, grid in parts:
            found += variance * (grid[rows, at] if len(grid) == len(rows) else grid[0, at])
        return found

    low, high = np.zeros(len(values), dtype=np.int64), np.full(len(values), len(_LOGS) - 1)
    while (high - low > 1).any():
        middle = (low + high) // 2
        below = reached(middle) <= values
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    first, last = reached(low), reached(high)
    share = np.clip((values - first) / np.where(last > first, last - first, 1.0), 0.0, 1.0)
    return np.asarray(_LOGS[low] + share * (_LOGS[high] - _LOGS[low]))


def _distance(one: float, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far the logarithm of a mean error is from those of others, (k,), and the slopes between.

    From 0, any error is as far as it is itself.
    """
    # A mean that is next to nothing is nothing: its logarithm and its slope have no digits left.
    one, others = (one if one > _NOTHING else 0.0), np.where(others > _NOTHING, others, 0.0)
    positive = (others > 0) & (one > 0)
    logs = np.log(np.where(positive, one / np.where(positive, others, 1.0), 1.0))
    distance = np.where(one == others, 0.0, np.where(positive, np.abs(logs), 1.0))
    apart = np.abs(one - others)
    same = 1 / one if one else 0.0
    return distance, np.where(apart > 0, distance / np.where(apart > 0, apart, 1.0), same)


def _squares(freedom: float, tails: tuple[float, float]) -> np.ndarray:
    """Return the squares of Student's t with these tails, (2,)."""
    return np.asarray(stats.t.isf(tails, max(freedom, 1.0))) ** 2


@lru_cache(maxsize=4096)
def _grid(freedom: float) -> np.ndarray:
    """Return the squares of Student's t at two-sided p-values of `_LOGS`."""
    return np.asarray(stats.t.isf(np.exp(_LOGS) / 2, freedom)) ** 2
