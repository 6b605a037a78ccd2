"""Corrections for many tests at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from quadzoo.report.statistics import critical_difference, holm


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03], 3) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, 0.04], 3) == pytest.approx([0.03, 0.08])
    assert holm([0.5, 0.9], 10) == [1.0, 1.0]
    assert holm([], 0) == []


def test_critical_difference_is_the_published_one() -> None:
    """Demšar 2006, section 3.2.2: 4 classifiers on 14 data sets; table 5 for other numbers."""
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    for rows, quantile in ((2, 1.960), (3, 2.343), (10, 3.164)):
        expected = quantile * np.sqrt(rows * (rows + 1) / 6 / 8)
        assert critical_difference(rows, 8) == pytest.approx(expected, rel=1e-3)


def test_of_equally_good_rows_none_is_told_from_the_first() -> None:
    """Half the critical difference on either side is kept to; Student's t and the bootstrap are not."""
    rng = np.random.default_rng(0)
    n, rows, sets = 300, 4, 5
    wrong = {"nemenyi": 0, "t": 0, "bootstrap": 0}
    for _ in range(n):
        ranks = 1.0 + rng.random((sets, rows)).argsort(axis=1).argsort(axis=1)
        mean = ranks.mean(axis=0)
        half = np.full(rows, critical_difference(rows, sets) / 2)
        of_t = stats.t.ppf(0.975, sets - 1) * ranks.std(axis=0, ddof=1) / np.sqrt(sets)
        drawn = np.quantile(ranks[rng.integers(0, sets, (500, sets))].mean(axis=1), [0.025, 0.975], axis=0)
        ends = {"nemenyi": (mean - half, mean + half), "t": (mean - of_t, mean + of_t), "bootstrap": drawn}
        for name, (low, high) in ends.items():
            wrong[name] += bool((low > high[mean.argmin()]).any())
    assert wrong["nemenyi"] / n < 0.07
    assert 0.09 < wrong["t"] / n < wrong["bootstrap"] / n
