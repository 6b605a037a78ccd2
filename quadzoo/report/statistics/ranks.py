"""How sure the order of a leaderboard is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from quadzoo.data.splits import FEWEST_GROUPS
from quadzoo.report.statistics.images import Images
from quadzoo.report.statistics.seeds import FEWEST_SEEDS, seed_variances


class Place(NamedTuple):
    """The 95 % interval of a row's rank, 1 the best, and the probability that no other row is better."""

    low: int
    high: int
    best: float


def places(errors: Sequence[np.ndarray], groups: np.ndarray) -> list[Place | None]:
    """Return the place of each row by its mean error, as sure as images and seeds let it be.

    ``errors`` are R tables of squared errors on the same images, float64 (S, N), for the S seeds of a row;
    ``groups`` (N,), of any type that sorts, holds a label per image. None for a row with fewer than three
    seeds, and for one of which one image carries the error: in a third of the draws it would be missing.
    Such rows count for the ranks of the others; seeds of the one differ as those of the others do on average.
    None for all where there are fewer than 10 groups, or no row has three seeds.

    A bootstrap of whole groups, the same for all rows, to which each row adds draws of Student's t with the
    variance of its seeds (`seed_variances`): resampling three seeds would underestimate it.
    """
    enough = np.array([len(table) >= FEWEST_SEEDS for table in errors])
    nothing: list[Place | None] = [None] * len(errors)
    if not enough.any():
        return nothing
    images = Images(errors, groups)
    if images.n < FEWEST_GROUPS:
        return nothing
    seeds = seed_variances(errors, images.noises)
    variance = np.where(enough, seeds.variance, seeds.variance[enough].mean())
    freedom = np.where(enough, seeds.freedom, seeds.freedom[enough].sum())
    deviations = images.resampled_logs
    spread = np.sqrt(variance / [len(table) for table in errors])
    draws = np.random.default_rng(0).standard_t(freedom, size=deviations.shape)
    logs = np.log(np.maximum(images.means, np.finfo(float).tiny)) + deviations + spread * draws
    first_of_equal, last_of_equal = (stats.rankdata(logs, method=way, axis=1) for way in ("min", "max"))
    low = np.quantile(first_of_equal, 0.025, axis=0, method="inverted_cdf")
    high = np.quantile(last_of_equal, 0.975, axis=0, method="inverted_cdf")
    first = first_of_equal == 1
    best = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)  # equal rows share it
    return [
        Place(int(low[row]), int(high[row]), float(best[row])) if own and not images.carries(row) else None
        for row, own in enumerate(enough)
    ]
