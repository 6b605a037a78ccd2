"""Intervals and tests: exactly what their formulas say, and as often right as they promise.

What was used before failed the simulations: with one seed it told equal rows apart in 99 % of leaderboards,
with one seed and five folds in 86 %, with spreads that differ in 16 %; it told 31 % of rows four times
worse, and covered the selected row in 88 %.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import optimize, stats

from quadzoo.report.statistics import Comparison, Folds, holm
from tests.report.statistics.boards import N, board

ALL = np.arange(N)
Parts = Sequence[tuple[float, float]]


def p_of(distance: float, parts: Parts) -> float:
    """Solve for the level at which an interval just reaches 0."""

    def beyond(log_p: float) -> float:
        return sum(v * stats.t.isf(np.exp(log_p) / 2, f) ** 2 for v, f in parts) - distance**2

    return float(np.exp(optimize.brentq(beyond, -25, -1e-9)))


def steady(logs: Sequence[float], n: int = 20) -> np.ndarray:
    """Errors of seeds that are the same on all images."""
    return np.exp(np.array(logs))[:, None] * np.ones(n)


def test_of_seeds_alone_the_interval_is_student_s() -> None:
    row = steady([-0.4, 0.1, 0.5])
    found = Comparison([row], np.arange(20)).interval(0)
    assert found is not None
    mean = row[:, 0].mean()
    error = np.sqrt(max(np.var([-0.4, 0.1, 0.5], ddof=1), np.var(row[:, 0] / mean, ddof=1)) / 3)
    assert found.low == pytest.approx(mean * np.exp(-stats.t.ppf(0.96, 2) * error), rel=1e-4)
    assert found.high == pytest.approx(mean * np.exp(stats.t.ppf(0.99, 2) * error), rel=1e-4)
    wide = Comparison([row], np.arange(20)).interval(0, selected_from=5)
    assert wide is not None
    assert wide.high == pytest.approx(mean * np.exp(stats.t.ppf(1 - 0.01 / 5, 2) * error), rel=1e-4)


def test_p_value_of_seeds_alone() -> None:
    one, other = steady([-0.4, 0.1, 0.5]), steady([1.9, 2.0, 2.1, 2.2])
    found = Comparison([one, other], np.arange(20)).p_value(0, 1)
    own = [np.log(row[:, 0]).var(ddof=1) for row in (one, other)]
    own[0] = max(own[0], np.var(one[:, 0] / one[:, 0].mean(), ddof=1))
    own[1] = max(own[1], np.var(other[:, 0] / other[:, 0].mean(), ddof=1))
    mean = (own[0] + own[1]) / 2
    assert own[1] < mean < own[0]
    expected = p_of(np.log(other.mean() / one.mean()), [(own[0] / 3, 2), (mean / 4, 4 / (1 / 2 + 1 / 3))])
    assert found == pytest.approx(expected, rel=0.01)


def test_p_value_of_images_alone() -> None:
    """Seeds that do not differ have no part. Images count on the scales of logarithms and of errors."""
    rng = np.random.default_rng(0)
    hard = rng.lognormal(0, 1, 50)
    one, other = hard * rng.lognormal(0, 0.4, 50), 2 * hard * rng.lognormal(0, 1.2, 50)
    assert other.mean() > 1.5 * one.mean()
    found = Comparison([np.tile(one, (3, 1)), np.tile(other, (4, 1))], np.arange(50)).p_value(0, 1)
    distance = np.log(other.mean() / one.mean())
    of_logs = np.var(other / other.mean() - one / one.mean(), ddof=1) / 50
    of_errors = np.var(other - one, ddof=1) / 50 * (distance / (other.mean() - one.mean())) ** 2
    assert found == pytest.approx(p_of(distance, [((of_logs + of_errors) / 2, 49)]), rel=0.01)


def test_p_value_with_folds() -> None:
    """Five folds that are not equally hard for one row; a fold's model sees 80 images of 100."""
    rng = np.random.default_rng(0)
    fold = np.arange(100) % 5
    one = np.tile(rng.lognormal(0, 0.2, 100), (3, 1))
    other = 1.5 * one * np.array([0.6, 0.8, 1.0, 1.2, 1.4])[fold]
    comparison = Comparison([one, other], np.arange(100), Folds(fold, n_train=80))
    influences = (other[0] / other.mean() - one[0] / one.mean()) / 100
    of_logs = (influences**2).sum() * 100 / 99
    distance = np.log(other.mean() / one.mean())
    of_errors = np.var(other[0] - one[0], ddof=1) / 100 * (distance / (other.mean() - one.mean())) ** 2
    of_folds = sum(influences[fold == k].sum() ** 2 for k in range(5)) * 5 / 4
    excess = (of_folds - of_logs * 100 / 100) * (1 / 5 + 20 / 80) / (1 / 5)
    expected = p_of(distance, [((of_logs + of_errors) / 2, 99), (excess, 4)])
    assert comparison.p_value(0, 1) == pytest.approx(expected, rel=0.02)
    without = Comparison([one, other], np.arange(100)).p_value(0, 1)
    assert without is not None
    assert without < expected / 10


def test_folds_and_rows_of_one_seed_are_no_evidence() -> None:
    errors = board(np.random.default_rng(0), 3, (0.1,) * 2)[..., :N] * np.array([1, 9])[:, None, None]
    folds = Folds(ALL % 5, n_train=0.8 * N)
    for seeds in (1, 2):
        for given in (None, folds):
            few = Comparison([errors[0], errors[1, :seeds]], ALL, given)
            assert few.p_value(0, 1) is None
            assert np.isnan(few.p_values()).all()
            assert few.versus(1, errors[0, 0]) is None
            assert few.interval(1) is not None
    assert Comparison(list(errors), ALL, folds).p_values()[0, 1] < 0.01


@pytest.mark.parametrize(
    ("seeds", "spread", "bad", "most"),
    [
        (1, (0.3,) * 6, 0.0, 0.0),
        (3, (0.3,) * 6, 0.0, 0.05),
        (3, (0.05, 0.5) * 3, 0.0, 0.06),
        (3, (0.1,) * 6, 0.3, 0.06),
        (3, (0.1, 0.5), 0.0, 0.06),
    ],
)
def test_equal_rows_are_seldom_told_apart(
    seeds: int, spread: tuple[float, ...], bad: float, most: float
) -> None:
    rng = np.random.default_rng(0)
    told = [
        (Comparison(list(board(rng, seeds, spread, bad)[..., :N]), ALL).p_values() < 0.05).any()
        for _ in range(200)
    ]
    assert np.mean(told) <= most


def test_a_worse_row_is_told() -> None:
    """Three seeds that differ by 30 %, the last row four times worse: told from the best by val."""
    rng = np.random.default_rng(0)
    told = []
    for _ in range(150):
        errors = board(rng, 3, (0.3,) * 6)
        errors[-1] *= 4
        best = errors[..., N:].mean(axis=(1, 2)).argmin()
        told.append(Comparison(list(errors[..., :N]), ALL).p_values()[best, -1] < 0.05)
    assert np.mean(told) > 0.7


@pytest.mark.parametrize(("spread", "bad"), [((0.3,) * 6, 0.0), ((0.05, 0.5) * 3, 0.0), ((0.1,) * 6, 0.3)])
def test_intervals_cover_every_row_and_the_selected(spread: tuple[float, ...], bad: float) -> None:
    rng = np.random.default_rng(0)
    covered, selected = [], []
    for _ in range(150):
        errors = board(rng, 3, spread, bad)
        comparison, best = Comparison(list(errors[..., :N]), ALL), errors[..., N:].mean(axis=(1, 2)).argmin()
        found = [comparison.interval(row) for row in range(6)]
        covered += [one is not None and one.low <= 1 <= one.high for one in found]
        wide = comparison.interval(int(best), selected_from=6)
        selected.append(wide is not None and wide.low <= 1 <= wide.high)
    assert 0.92 <= np.mean(covered) <= 0.985
    assert np.mean(selected) >= 0.92


def test_a_baseline_is_seldom_beaten_by_equal_rows_and_mostly_by_better() -> None:
    rng = np.random.default_rng(0)
    falsely, rightly = [], []
    for _ in range(150):
        errors = board(rng, 3, (0.2,) * 7)[..., :N]
        comparison, baseline = Comparison(list(errors[:6]), ALL), np.exp(rng.normal(-0.125, 0.5, N))
        hard = np.exp(rng.normal(-0.5, 1, N))
        for factor, beaten in ((1, falsely), (3, rightly)):
            found = [comparison.versus(row, factor * hard * baseline) for row in range(6)]
            p_values = holm([one.better for one in found if one], 6)
            beaten.append(np.mean([p < 0.05 for p in p_values]) if factor > 1 else min(p_values) < 0.05)
    assert np.mean(falsely) <= 0.06
    assert np.mean(rightly) > 0.9


def test_where_spreads_differ_a_baseline_is_seldom_beaten_by_luck() -> None:
    """Of 20 equal rows, ten differ by 50 % between seeds: the mean over rows is too small for them."""
    rng = np.random.default_rng(0)
    falsely = []
    for _ in range(100):
        errors, hard = board(rng, 3, (0.05, 0.5) * 10)[..., :N], np.exp(rng.normal(-0.5, 1, N))
        comparison = Comparison(list(errors), ALL)
        found = [comparison.versus(row, hard) for row in range(20)]
        falsely.append(min(holm([one.better for one in found if one], 20)) < 0.05)
    assert np.mean(falsely) <= 0.06


def test_all_rows_at_once_are_tested_as_one_by_one() -> None:
    errors = board(np.random.default_rng(0), 4, (0.1, 0.2, 0.5, 0.1, 0.1))[..., :N]
    errors[3, :, 0] = 400  # carries the error of the row
    rows = [errors[0], errors[1, :3], errors[2], errors[3], errors[4, :2]]
    for folds in (None, Folds(ALL % 5, n_train=80)):
        comparison, other = Comparison(rows, ALL, folds), 1.1 * errors[0, 0]
        alone, together = [comparison.versus(row, other) for row in range(5)], comparison.every_versus(other)
        assert [one is None for one in together] == [False, False, False, True, True]
        assert [one for one in together if one] == [pytest.approx(one) for one in alone if one]
        other[0] = 1e4
        assert comparison.every_versus(other) == [None] * 5


def test_nothing_is_said_against_what_one_image_carries() -> None:
    errors = np.random.default_rng(0).exponential(1, (3, N))
    comparison, other = Comparison([errors], np.arange(N)), np.full(N, 2.0)
    assert comparison.versus(0, other) is not None
    other[0] = 1e4
    assert comparison.versus(0, other) is None
    alone = Comparison([errors[:1]], np.arange(N))
    assert alone.versus(0, np.full(N, 2.0)) is None
    found = alone.versus(0, np.full(N, 2.0), as_it_is=True)
    assert found is not None
    assert found.better < 0.001


def test_the_best_of_many_equal_rows_is_no_better_than_a_reader_that_is_as_good() -> None:
    """Val and test share a seed's luck: of 20 rows the best by val looked better in 26 % of tables."""
    better = 0
    for number in range(40):
        rng = np.random.default_rng(number)
        luck = np.exp(rng.normal(0, 0.5, (20, 3))) / np.exp(0.125)
        order = luck.mean(axis=1).argsort()
        hard = rng.exponential(1, 100)
        errors = luck[order][..., None] * hard * rng.exponential(1, (20, 3, 100))
        reader = hard * rng.exponential(1, 100)
        versus = Comparison(list(errors), np.arange(100)).versus(0, reader, selected_from=20)
        assert versus is not None
        better += versus.better < 0.05
    assert better <= 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-160])
def test_errors_next_to_nothing_overflow_nowhere(size: float) -> None:
    errors = np.random.default_rng(0).exponential(1, (3, 3, N))
    comparison = Comparison([size * errors[0], 2 * size * errors[1], errors[2]], np.arange(N))
    p_values = comparison.p_values()
    assert p_values[0, 1] == 1
    assert p_values[0, 2] < 0.001
    versus = comparison.versus(0, np.full(N, 2.0))
    assert versus is not None
    assert versus.better < 0.001


def test_versus_knows_the_direction() -> None:
    errors = board(np.random.default_rng(0), 3, (0.1,) * 3)[..., :N]
    comparison = Comparison(list(errors[:2]), ALL)
    better, worse = comparison.versus(0, 3 * errors[2, 0]), comparison.versus(0, errors[2, 0] / 3)
    assert better is not None
    assert worse is not None
    assert better.better == better.different < 0.01
    assert worse.different < 0.01
    assert worse.better == 1
    zero = comparison.versus(0, np.zeros(N))
    assert zero is not None
    assert zero.different < 0.01
    assert zero.better == 1


def test_p_values_are_corrected_for_all_pairs() -> None:
    errors = board(np.random.default_rng(0), 3, (0.2,) * 3)[..., :N] * np.array([1, 2, 4])[:, None, None]
    comparison = Comparison([*errors, errors[0, :1]], ALL)
    pairs = [(0, 1), (0, 2), (1, 2)]
    alone = [comparison.p_value(*pair) for pair in pairs]
    table = comparison.p_values()
    assert [table[pair] for pair in pairs] == pytest.approx(holm([p for p in alone if p is not None], 3))
    assert table == pytest.approx(table.T, nan_ok=True)
    assert np.isnan(table[3]).all()
    assert np.isnan(np.diag(table)).all()


def test_what_the_records_cannot_tell_is_withheld() -> None:
    errors = board(np.random.default_rng(0), 3, (0.1,) * 2)[..., :N]
    errors[1, :, 0] = 400
    comparison = Comparison(list(errors), ALL)
    assert comparison.withheld(0) == ""
    assert "one test image has" in comparison.withheld(1)
    assert comparison.interval(0) is not None
    assert comparison.interval(1) is None
    assert comparison.p_value(0, 1) is None
    assert comparison.versus(1, errors[0, 0]) is None
    with pytest.raises(ValueError, match="no rows"):
        Comparison([], ALL)
    few = Comparison(list(errors), ALL % 9)
    assert few.interval(0) is None
    assert few.p_value(0, 1) is None
    assert "only 1 " in Comparison([errors[0]], np.zeros(N)).withheld(0)
    assert "only 0 test images" in Comparison([np.zeros((3, N))], ALL).withheld(0)
    with pytest.raises(ValueError, match="number of images"):
        Comparison(list(errors), ALL[1:])


def test_rows_that_err_alike_do_not_differ() -> None:
    errors = board(np.random.default_rng(0), 3, (0.1,) * 2)[..., :N]
    assert Comparison([errors[0], errors[0]], ALL).p_value(0, 1) == pytest.approx(1)
    same = np.tile(errors[0, :1], (3, 1))
    assert Comparison([same, same], ALL).p_value(0, 1) == 1


def test_a_large_leaderboard_is_quick() -> None:
    rng = np.random.default_rng(0)
    errors = rng.lognormal(0, 1, (60, 3, 400))
    started = time.process_time()
    comparison = Comparison(list(errors), np.arange(400))
    assert all(comparison.interval(row) for row in range(60))
    assert np.isfinite(comparison.p_values()[np.triu_indices(60, 1)]).all()
    assert time.process_time() - started < 2
