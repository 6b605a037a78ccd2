"""Intervals cover what they say, ties are as rare as promised: simulated, with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest

from quadzoo.report.statistics import compare, holm, interval

N = 300


def rows(rng: np.random.Generator, seeds: int, spread: float, rows: int = 1) -> list[np.ndarray]:
    """Errors (S, N) of rows with mean 1: images, seeds, rows on images and noise, all log-normal."""
    hard = rng.normal(-0.5, 1, N)
    made = []
    for _ in range(rows):
        parts = rng.normal(0, spread, (seeds, 1)), rng.normal(0, 0.3, N), rng.normal(0, 0.5, (seeds, N))
        shift = (spread**2 + 0.3**2 + 0.5**2) / 2
        made.append(np.exp(hard + sum(parts) - shift))
    return made


@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (3, 0.1), (3, 0.3), (6, 0.1)])
def test_interval_covers_the_mean(seeds: int, spread: float) -> None:
    rng = np.random.default_rng(seeds)
    groups = np.arange(N)
    found = [interval(*rows(rng, seeds, spread), groups) for _ in range(800)]
    covered = np.mean([one is not None and one.low <= 1 <= one.high for one in found])
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.1), (3, 0.3), (6, 0.1)])
def test_equal_rows_are_seldom_told_apart(seeds: int, spread: float) -> None:
    """Six equal rows; the one that does best on other images is compared with the five others."""
    rng = np.random.default_rng(seeds)
    half, wrong = N // 2, 0
    for _ in range(400):
        six = rows(rng, seeds, spread, rows=6)
        best, *others = sorted(six, key=lambda one: float(one[:, half:].mean()))
        p_values = [compare(one[:, :half], best[:, :half], np.arange(half)) for one in others]
        assert None not in p_values
        wrong += min(holm([p for p in p_values if p is not None], tests=15)) < 0.05
    assert wrong / 400 <= 0.05


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(100):
        one, other = rows(rng, 6, 0.1, rows=2)
        p = compare(1.6 * one, other, np.arange(N))
        assert p is not None
        found += p < 0.05 / 15
    assert found > 80


def test_pairing_counts() -> None:
    """Rows that err on the same images are told apart where strangers to each other are not."""
    rng = np.random.default_rng(0)
    hard = np.exp(rng.normal(0, 1.5, (1, N)))
    paired = compare(1.1 * hard, hard, np.arange(N))
    shuffled = compare(1.1 * hard, rng.permutation(hard, axis=1), np.arange(N))
    assert paired is not None
    assert shuffled is not None
    assert paired < 0.001
    assert shuffled > 0.2


def test_too_little_to_say() -> None:
    one = np.array([[1.0, 2.0]])
    assert interval(one, np.array(["a", "a"])) is None
    assert compare(one, one, np.array(["a", "a"])) is None
    assert interval(np.zeros((2, 3)), np.arange(3)) == (0.0, 0.0)
    assert compare(np.zeros((2, 3)), np.zeros((2, 3)), np.arange(3)) == 1.0
    few = interval(np.array([[1.0, 2.0, 1e6]]), np.arange(3))
    assert few is not None
    assert 0 < few.low < 1e6 / 3 < few.high < np.inf
    almost = np.zeros((1, 40))
    almost[0, 0] = 1.0  # all errors in one image
    found = interval(almost, np.arange(40))
    assert found is not None
    assert found.low < 1 / 40 < found.high
