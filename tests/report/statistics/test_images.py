"""The part of the test images."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from quadzoo.report.statistics.images import Images


def test_ends_are_those_of_a_studentised_bootstrap() -> None:
    """Written out again, with loops and other random numbers."""
    rng = np.random.default_rng(1)
    errors, groups = rng.lognormal(0, 1.2, 120), np.arange(120) // 2
    low, high = Images([errors[None]], groups).bootstrapped(0.04, 0.99)[:, 0]

    def mean_and_error(chosen: np.ndarray) -> tuple[float, float]:
        totals = np.array([errors[2 * g : 2 * g + 2].sum() for g in chosen])
        mean = totals.sum() / (2 * len(chosen))
        squares = sum((total - 2 * mean) ** 2 for total in totals)
        return mean, np.sqrt(squares * 60 / 59) / 120

    mean, error = mean_and_error(np.arange(60))
    scaled = []
    for _ in range(4000):
        drawn, its_error = mean_and_error(rng.integers(0, 60, 60))
        scaled.append(-np.log(drawn / mean) / (its_error / drawn) * error / mean)
    assert [low, high] == pytest.approx(np.quantile(scaled, [0.04, 0.99]), rel=0.1)
    assert high > -1.5 * low


def test_images_of_one_group_count_once() -> None:
    errors = np.random.default_rng(0).lognormal(0, 1, (3, 50))
    once, twice = (
        Images([errors], np.arange(50)),
        Images([np.hstack([errors, errors])], np.tile(range(50), 2)),
    )
    assert twice.ends(0.05, 0.95) == pytest.approx(once.ends(0.05, 0.95), rel=1e-3)
    assert twice.influences == pytest.approx(once.influences)
    assert twice.noises == pytest.approx(once.noises)


def test_noise_is_the_variance_that_seeds_without_luck_have() -> None:
    """Every seed errs by chance alone: the variance between their means is all noise."""
    rng = np.random.default_rng(0)
    boards = rng.lognormal(0, 0.5, (400, 3, 60)) * rng.lognormal(0, 1, (400, 1, 60))
    noises = Images(list(boards), np.arange(60)).noises
    between = np.log(boards.mean(axis=2)).var(axis=1, ddof=1)
    assert noises.mean() == pytest.approx(between.mean(), rel=0.1)


def test_reasons() -> None:
    errors = np.ones((4, 1, 40))
    errors[1, 0, 0] = 100
    errors[2, 0, 9:] = 0
    images = Images(list(errors[:3]), np.arange(40))
    assert images.reason(0) == ""
    assert images.reason(1) == "one test image has 72% of the error"
    assert images.reason(2) == "only 9 test images or groups have an error: it takes 10"
    assert Images([errors[0]], np.arange(40) % 9).reason(0) == (
        "only 9 independent test images or groups: it takes 10"
    )
    grouped = Images([errors[1]], np.arange(40) // 2)
    assert grouped.reason(0) == "one test group of images has 73% of the error"


def test_errors_that_differ_in_a_few_images_alone_have_no_spread() -> None:
    """A third of the resamples has none of them, and the interval would reach 1e171."""
    errors = np.full((3, 1, 60), 4.0)
    errors[1, 0, 0], errors[2, 0, :10] = 5.3, 5.3
    images = Images(list(errors), np.arange(60))
    told = ["", "errors differ almost only in a few test images", ""]
    assert [images.unsteady(row) for row in range(3)] == told
    assert [images.reason(row) for row in range(3)] == [""] * 3
    assert np.exp(images.ends(0.04, 0.99)[1, 2]) < 1.1


def test_very_many_groups() -> None:
    errors = np.random.default_rng(0).lognormal(0, 1, (1, 30_000))
    tracemalloc.start()
    low, high = Images([errors], np.arange(30_000)).ends(0.025, 0.975)[:, 0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6  # bytes; 720e6 if all groups were resampled
    expected = 1.96 * errors.std() / errors.mean() / np.sqrt(30_000)
    assert [-low, high] == pytest.approx([expected, expected], rel=0.1)


def test_few_images_that_look_alike_may_have_missed_the_worst() -> None:
    """Of 12 images whose errors have a spread of 1.5 the intervals covered 85 %."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        errors = rng.lognormal(-(1.5**2) / 2, 1.5, (1, 12))  # whose true mean is 1
        images = Images([errors], np.arange(12))
        if not images.reason(0):
            low, high = images.ends(0.04, 0.99)[:, 0] + np.log(errors.mean())
            covered.append(low <= 0 <= high)
    assert len(covered) > 200
    assert np.mean(covered) > 0.92


def test_of_many_images_none_is_imagined() -> None:
    errors = np.random.default_rng(0).lognormal(0, 1.5, (1, 400))
    images = Images([errors], np.arange(400))
    assert images.ends(0.04, 0.99) == pytest.approx(images.bootstrapped(0.04, 0.99))
    few = Images([errors[:, :50]], np.arange(50))
    assert few.ends(0.04, 0.99)[1] > 1.1 * few.bootstrapped(0.04, 0.99)[1]


def test_images_that_all_have_the_same_error_need_no_other() -> None:
    images = Images([np.full((1, 20), 3.0)], np.arange(20))
    assert np.abs(images.ends(0.04, 0.99)).max() < 1e-3
