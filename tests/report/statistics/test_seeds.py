"""The variance of a row's seeds, seen beside that of other rows."""

from __future__ import annotations

import numpy as np
import pytest

from quadzoo.report.statistics.seeds import prior_freedom, seed_variances


def table(*logs: float) -> np.ndarray:
    """Errors of ten images, the same for all, of one seed for each logarithm."""
    return np.exp(np.array(logs))[:, None] * np.ones(10)


def test_prior_by_hand() -> None:
    """With 2 degrees of freedom: the variance of the logarithms is trigamma(1) + trigamma(d0 / 2).

    trigamma(1) = pi² / 6, trigamma(2) = pi² / 6 - 1, trigamma(1 / 2) = pi² / 2.
    """
    for expected, trigamma in ((4.0, np.pi**2 / 6 - 1), (2.0, np.pi**2 / 6), (1.0, np.pi**2 / 2)):
        step = np.sqrt(np.pi**2 / 6 + trigamma)  # three values so far apart have a variance of its square
        variances = 0.01 * np.exp(np.array([-step, 0.0, step]))
        assert prior_freedom(variances, np.full(3, 2.0)) == pytest.approx(expected, rel=1e-6)


def test_prior_of_other_freedoms_is_the_one_that_was_drawn_from() -> None:
    """Variances s0² d0 / chi²(d0), each estimated with 2 to 5 degrees of freedom."""
    rng = np.random.default_rng(0)
    freedoms = np.tile([2.0, 3.0, 4.0, 5.0], 5000)
    variances = 0.1 * 6 / rng.chisquare(6, 20000) * rng.chisquare(freedoms) / freedoms
    assert prior_freedom(variances, freedoms) == pytest.approx(6, rel=0.1)


def test_variances_that_differ_by_chance_alone_have_an_infinite_prior() -> None:
    assert prior_freedom(np.array([0.9, 1.0, 1.1]), np.full(3, 2.0)) == np.inf
    assert prior_freedom(np.zeros(3), np.full(3, 2.0)) == np.inf
    assert prior_freedom(np.array([1e-6, 1.0]), np.full(2, 2.0)) == 0  # two rows: nothing to fit


def test_a_row_is_no_steadier_than_the_rows_are_on_average() -> None:
    errors = [table(0, 0.01, 0.02), table(-0.3, 0, 0.3), table(-0.2, -0.1, 0, 0.1)]
    found = seed_variances(errors, np.zeros(3))
    relative = [np.var(one[:, 0] / one[:, 0].mean(), ddof=1) for one in errors]
    logs = [np.var(np.log(one[:, 0]), ddof=1) for one in errors]
    own = np.maximum(relative, logs)
    mean = own.mean()
    assert own[0] < own[2] < mean < own[1]
    assert found.variance == pytest.approx([mean, own[1], mean])
    assert found.freedom[[0, 2]] == pytest.approx([6.75, 6.75])
    prior = prior_freedom(own, np.array([2.0, 2.0, 3.0]))
    assert 0 < prior < 4
    assert found.freedom[1] == pytest.approx(2 + prior)
    assert found.own_freedom == pytest.approx([2 + prior, 2 + prior, 3 + prior])


def test_what_images_explain_is_taken_off() -> None:
    errors = [table(-0.3, 0, 0.3), table(-0.3, 0, 0.3)]
    (all_of_it, less) = seed_variances(errors, np.array([0.0, 0.04])).variance
    assert all_of_it - less == pytest.approx(0.04)
    assert seed_variances(errors, np.array([9.0, 9.0])).variance == pytest.approx([0, 0])


def test_rows_without_enough_seeds_or_without_spread_take_no_part() -> None:
    errors = [table(0, 0, 0), table(0), table(0, 3), table(-0.1, 0, 0.1)]
    found = seed_variances(errors, np.zeros(4))
    assert (found.variance[:3] == 0).all()
    assert found.variance[3] > 0
    assert found.freedom.tolist() == [2, 0, 0, 2]
    assert found.own_freedom.tolist() == [2, 0, 0, 2]


def test_one_bad_seed_counts_for_more_than_its_logarithm() -> None:
    errors = [table(0, 0, 1.6)]
    means = errors[0][:, 0]
    expected = np.var(means / means.mean(), ddof=1)
    assert np.var(np.log(means), ddof=1) < 0.9 * expected
    assert seed_variances(errors, np.zeros(1)).variance == pytest.approx([expected])


def test_a_seed_without_error_counts() -> None:
    errors = [np.array([[0.0] * 10, [1.0] * 10, [2.0] * 10])]
    assert seed_variances(errors, np.zeros(1)).variance == pytest.approx([1.0])  # of 0, 1 and 2
    assert seed_variances([np.zeros((3, 10))], np.zeros(1)).variance == pytest.approx([0.0])
