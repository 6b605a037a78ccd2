"""Methods that lost against those of `quadzoo/report/statistics`, for coverage.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from quadzoo.report.statistics import holm
from quadzoo.report.statistics.images import Images
from quadzoo.report.statistics.seeds import prior_freedom

UNTIL_NOW = "Welch, MSE (until now)"
TESTS = (
    UNTIL_NOW, "Welch, log", "limma, MSE", "limma, log", "limma, log, outlying rows apart",
    "one variance for all, log", "larger of own and mean, Satterthwaite",
)  # fmt: skip
INTERVALS = ("own variance", "limma", "one variance for all")


class Seeds(NamedTuple):
    """Of each row: the variance of one seed's value and its degrees of freedom, (R,)."""

    variance: np.ndarray
    freedom: np.ndarray


def p_values(errors: Sequence[np.ndarray], images: Images, test: str) -> np.ndarray:
    """Return the p-values of all pairs, corrected by Holm's method, (R, R); Satterthwaite's freedom."""
    raw = "MSE" in test
    means = [table.mean(axis=1) for table in errors]
    values = images.means if raw else np.log(images.means)
    influences = images.influences * images.means[:, None] if raw else images.influences
    seeds = _seeds([mean if raw else np.log(mean) for mean in means], test)
    n = np.array([len(mean) for mean in means])
    one, other = np.triu_indices(len(n), 1)
    of_images = ((influences[one] - influences[other]) ** 2).sum(axis=1)
    parts = [(of_images, np.full(len(one), images.n - 1.0))]
    parts += [((seeds.variance / n)[rows], seeds.freedom[rows]) for rows in (one, other)]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    p = 2 * stats.t.sf(np.abs(values[one] - values[other]) / np.sqrt(variance), freedom)
    table = np.full((len(n), len(n)), np.nan)
    table[one, other] = table[other, one] = holm(p.tolist(), len(p))
    return table


def covered(errors: Sequence[np.ndarray], images: Images, truth: float, method: str) -> np.ndarray:
    """Return whether the interval of each row, 2.5 % on either side, holds the truth, (R,)."""
    test = {"own variance": "Welch", "limma": "limma", "one variance for all": "one variance for all"}[method]
    seeds = _seeds([np.log(table.mean(axis=1)) for table in errors], test)
    n = np.array([len(table) for table in errors])
    variance = np.maximum(0, seeds.variance - images.noises) / n
    ends = np.sqrt(images.bootstrapped(0.025, 0.975) ** 2 + stats.t.ppf(0.975, seeds.freedom) ** 2 * variance)
    distance = np.log(truth / images.means)
    return (-ends[0] <= distance) & (distance <= ends[1])


def told_until_now(errors: Sequence[np.ndarray], val: Sequence[np.ndarray], images: Images) -> np.ndarray:
    """Return which rows were told from the best by val, (R,): with one seed, by the images alone."""
    best = int(np.argmin([table.mean() for table in val]))
    influences = images.influences * images.means[:, None]
    p = np.ones(len(errors))
    for row, table in enumerate(errors):
        parts = [(float(((influences[row] - influences[best]) ** 2).sum()), images.n - 1)]
        for one in (table, errors[best]):
            if len(one) > 1:
                parts.append((float(one.mean(axis=1).var(ddof=1)) / len(one), len(one) - 1))
        variance = sum(part for part, _ in parts)
        if row != best:
            freedom = variance**2 / sum(part**2 / of for part, of in parts)
            difference = abs(images.means[row] - images.means[best])
            p[row] = 2 * stats.t.sf(difference / np.sqrt(variance), freedom)
    others = np.arange(len(p)) != best
    p[others] = holm(p[others].tolist(), len(p) * (len(p) - 1) // 2)
    return p < 0.05


def interval_until_now(table: np.ndarray, images: Images, row: int) -> tuple[float, float]:
    """Return the interval of a row from its own seeds alone, whose variance is that of raw means."""
    mean, n = images.means[row], len(table)
    ends = images.bootstrapped(0.025, 0.975)[:, row]
    if n > 1:
        relative = float((table.mean(axis=1) / mean).var(ddof=1))
        of_seeds = stats.t.ppf(0.975, n - 1) ** 2 * max(0.0, relative - images.noises[row]) / n
        ends = np.sign(ends) * np.sqrt(ends**2 + of_seeds)
    return mean * np.exp(ends[0]), mean * np.exp(ends[1])


def _seeds(values: Sequence[np.ndarray], test: str) -> Seeds:
    own = np.array([value.var(ddof=1) for value in values])
    freedom = np.array([len(value) - 1.0 for value in values])
    mean, total = np.average(own, weights=freedom), freedom.sum()
    if test.startswith("Welch"):
        return Seeds(own, freedom)
    if test.startswith("one variance"):
        return Seeds(np.full(len(own), mean), np.full(len(own), total))
    moderated = _limma(own, freedom)
    if test.startswith("larger"):
        return Seeds(np.maximum(own, mean), moderated.freedom)
    if "apart" in test:
        others = (mean * total - own * freedom) / (total - freedom)
        outlying = stats.f.sf(own / others, freedom, total - freedom) < 0.05
        if outlying.any() and (~outlying).sum() > 2:
            rest = _limma(own[~outlying], freedom[~outlying])
            variance, known = own.copy(), freedom.copy()
            variance[~outlying], known[~outlying] = rest
            return Seeds(variance, known)
    return moderated


def _limma(own: np.ndarray, freedom: np.ndarray) -> Seeds:
    prior = prior_freedom(own, freedom)
    if np.isinf(prior):
        return Seeds(np.full(len(own), np.average(own, weights=freedom)), np.full(len(own), freedom.sum()))
    logs = np.log(own) - special.digamma(freedom / 2) + np.log(freedom / 2)
    center = np.exp(logs.mean() + (special.digamma(prior / 2) - np.log(prior / 2) if prior else 0.0))
    known = freedom + prior
    return Seeds((prior * center + freedom * own) / known, np.minimum(known, freedom.sum()))
