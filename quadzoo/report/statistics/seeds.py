"""The part of the uncertainty that comes from the seeds: a row's variance, seen beside that of other rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

FEWEST_SEEDS = 3
_FEWEST_ROWS = 3  # to fit a prior to


class SeedVariances(NamedTuple):
    """The variance of the logarithm of one seed's mean error, and its degrees of freedom, float64 (R,).

    A row of fewer than three seeds has 0 for all, and a row whose seeds do not differ has a variance of 0.
    ``own_freedom`` is what is known where the row stands alone: as much as the prior lets others tell of it.
    """

    variance: np.ndarray
    freedom: np.ndarray
    own_freedom: np.ndarray


def seed_variances(errors: Sequence[np.ndarray], noises: np.ndarray) -> SeedVariances:
    """Return the variances of R rows from their tables of squared errors, float64 (S, N).

    Three seeds may agree by chance, so a row counts as no steadier than the rows are on average: its variance
    is its own or, where larger, the mean over the rows. A mean is known with the freedom of all rows. A row's
    own is known with its own freedom and that of the prior which the rows' variances suggest
    (`prior_freedom`). ``noises``, float64 (R,), are taken off: images account for them.
    """
    own = np.array([_variance(table) for table in errors])
    freedoms = np.array([len(table) - 1.0 if len(table) >= FEWEST_SEEDS else 0.0 for table in errors])
    moderated = (freedoms > 0) & np.array([_differ(table) for table in errors])
    variance, freedom, own_freedom = np.zeros(len(errors)), freedoms.copy(), freedoms.copy()
    if moderated.any():
        own, seen = own[moderated], freedoms[moderated]
        # Each row counts the same: many seeds of one say nothing about the spread of another.
        mean, total = float(own.mean()), float(len(seen) ** 2 / (1 / seen).sum())
        variance[moderated] = np.maximum(0.0, np.maximum(own, mean) - noises[moderated])
        shrunk = np.minimum(seen + prior_freedom(own, seen), total)
        freedom[moderated] = np.where(own > mean, shrunk, total)
        own_freedom[moderated] = shrunk
    return SeedVariances(variance, freedom, own_freedom)


def prior_freedom(variances: np.ndarray, freedoms: np.ndarray) -> float:
    """Return how many degrees of freedom the other rows add to what is known of a row's variance.

    ``variances`` and their degrees of freedom ``freedoms`` are float64 (R,). Smyth (2004, Statistical
    Applications in Genetics and Molecular Biology 3(1), article 3, section 6.2): the rows' variances are
    draws from a scaled inverse chi-squared distribution, whose freedom is found from the variance of their
    logarithms. Infinity where they differ no more than chance would have it, 0 where there are fewer than
    three rows.
    """
    if len(variances) < _FEWEST_ROWS:
        return 0.0
    floor = 1e-5 * float(np.median(variances)) or 1e-300
    logs = np.log(np.maximum(variances, floor)) - special.digamma(freedoms / 2) + np.log(freedoms / 2)
    excess = float(logs.var(ddof=1) - special.polygamma(1, freedoms / 2).mean())
    return 2 * _inverse_trigamma(excess) if excess > 0 else np.inf


def _inverse_trigamma(value: float) -> float:
    """Return the x whose trigamma is ``value`` > 0, by Newton's method (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x


def _variance(table: np.ndarray) -> float:
    """Return the variance of the logarithm of one seed's mean error.

    From the logarithms or, where larger, from the squared deviations in units of the mean: one bad seed among
    good ones counts for more in these.
    """
    means = table.mean(axis=1)
    if len(means) < FEWEST_SEEDS or not means.any():
        return 0.0
    relative = float((means / means.mean()).var(ddof=1))
    return max(relative, float(np.log(means).var(ddof=1))) if means.all() else relative


def _differ(table: np.ndarray) -> bool:
    return bool((table != table[0]).any())
