"""Many tests at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def holm(p_values: Sequence[float] | np.ndarray, tests: int) -> list[float]:
    """Return the p-values, float64 (n,), corrected for ``tests`` comparisons by Holm's method.

    Holm (1979, Scandinavian Journal of Statistics 6, p. 65). ``tests`` is larger than the number of
    p-values where these were selected from more: the smallest is then treated as the smallest of all, and
    so on, which is conservative.
    """
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    corrected = np.empty(len(values))
    steps = np.minimum(1.0, (tests - np.arange(len(values))) * values[order])
    corrected[order] = np.maximum.accumulate(steps)
    found: list[float] = corrected.tolist()
    return found


def critical_difference(rows: int, sets: int) -> float:
    """Return how far two of ``rows`` mean ranks over ``sets`` data sets must be apart to be different.

    Nemenyi's test (α = 0.05, all pairs of rows together; Demšar 2006, Journal of Machine Learning Research 7,
    p. 1, section 3.2.2). Intervals of half of it on either side of the mean ranks overlap just where two rows
    do not differ. Student's t and the bootstrap over sets take the spread from the few ranks of each row:
    it is 0 for a row that is first everywhere, were it only on three sets, and of rows that are equally good
    they tell the first from another far too often (`tests/report/test_statistics.py` compares).
    """
    quantile = stats.studentized_range.ppf(0.95, rows, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(rows * (rows + 1) / (6 * sets)))
