"""The law of error against training images: exact cases, and how often its intervals hold."""

from __future__ import annotations

import numpy as np
import pytest

from quadzoo.report.powerlaw import Samples, fitted, without_largest

EXPONENT = 0.6


def drawn(
    rng: np.random.Generator,
    *,
    shares: int,
    seeds: int,
    seed_spread: float,
    deviation: float = 0.0,
    images: int = 120,
) -> Samples:
    """Errors that fall by a law: images differ in difficulty, and seeds and shares each by a spread."""
    sizes = [100.0 * 2**k for k in range(shares)]
    difficulty = rng.lognormal(0, 1, images)
    errors = []
    for size in sizes:
        level = size**-EXPONENT * np.exp(rng.normal(0, deviation))
        of_seeds = level * np.exp(rng.normal(0, seed_spread, seeds))
        errors.append(of_seeds[:, None] * difficulty * rng.chisquare(1, (seeds, images)))
    return Samples(sizes, errors, np.arange(images))


def coverage(trials: int, **given: float) -> tuple[float, float]:
    """How often the interval of the factor holds the truth, and that of the withheld share what was seen."""
    rng = np.random.default_rng(0)
    factors = withheld = 0
    for _ in range(trials):
        samples = drawn(rng, **given)  # type: ignore[arg-type]
        law = fitted(samples)
        assert law
        factor = law.factor()
        factors += factor.low <= 2**-EXPONENT <= factor.high
        if found := without_largest(samples):
            withheld += found[0].low <= found[1] <= found[0].high
    return factors / trials, withheld / trials


def test_a_law_without_noise_is_found() -> None:
    sizes, groups = [50, 100, 400], np.arange(30)
    difficulty = np.linspace(1, 2, 30)
    samples = Samples(sizes, [np.tile(3 * n**-0.5 * difficulty, (3, 1)) for n in sizes], groups)
    law = fitted(samples)
    assert law
    assert law.exponent == pytest.approx(0.5)
    assert law.factor() == pytest.approx((2**-0.5,) * 3)  # the images are the same, and so cancel
    at = law.at(800)
    assert at.value == pytest.approx(3 * 800**-0.5 * 1.5)
    assert at.low < at.value < at.high  # but other images would have other errors
    found = without_largest(samples)
    assert found
    assert found[0].value == pytest.approx(found[1])


@pytest.mark.parametrize("shares", [3, 4])
@pytest.mark.parametrize("seed_spread", [0.05, 0.3])
def test_intervals_hold_where_errors_follow_the_law(shares: int, seed_spread: float) -> None:
    factor, withheld = coverage(250, shares=shares, seeds=3, seed_spread=seed_spread)
    assert factor >= 0.93
    assert withheld >= 0.92


def test_intervals_hold_about_where_shares_deviate() -> None:
    """Each share's images are drawn once: its error is off by as much as seeds differ, in all of its runs."""
    factor, withheld = coverage(250, shares=4, seeds=3, seed_spread=0.2, deviation=0.15)
    assert factor >= 0.9
    assert withheld >= 0.88
    factor, _ = coverage(250, shares=3, seeds=1, seed_spread=0.2)
    assert factor >= 0.85


def test_few_points_give_wide_intervals() -> None:
    rng = np.random.default_rng(3)
    widths = {}
    for shares, seeds in ((3, 1), (3, 3), (5, 3)):
        found = []
        for _ in range(60):
            law = fitted(drawn(rng, shares=shares, seeds=seeds, seed_spread=0.2))
            assert law
            found.append(np.log(law.factor().high / law.factor().low))
        widths[shares, seeds] = np.median(found)
    assert widths[3, 1] > 1.2 * widths[3, 3] > 1.2 * 1.5 * widths[5, 3]


def test_no_law_of_two_shares_or_of_no_error() -> None:
    rng = np.random.default_rng(0)
    samples = drawn(rng, shares=4, seeds=2, seed_spread=0.1)
    assert fitted(samples.of([0, 3])) is None
    assert fitted(samples.of([0, 1, 3])) is not None
    assert (
        fitted(Samples(samples.sizes, [*samples.errors[:3], samples.errors[3] * 0], samples.groups)) is None
    )
    assert fitted(Samples(samples.sizes, samples.errors, np.zeros(120))) is None  # one group
    single = Samples(samples.sizes, [errors[:1] for errors in samples.errors], samples.groups)
    assert fitted(single.of([0, 1, 2])) is not None
    assert (
        without_largest(single.of([0, 1, 2])) is None
    )  # two shares of one seed say nothing about themselves
    assert without_largest(single) is not None


def test_images_of_a_group_count_once() -> None:
    samples = drawn(np.random.default_rng(0), shares=3, seeds=3, seed_spread=0.01, images=40)
    twice = [np.concatenate([errors, errors], axis=1) for errors in samples.errors]
    law, twins, strangers = (
        fitted(one)
        for one in (
            samples,
            Samples(samples.sizes, twice, np.tile(samples.groups, 2)),
            Samples(samples.sizes, twice, np.arange(80)),
        )
    )
    assert law
    assert twins
    assert strangers
    assert twins.factor() == pytest.approx(law.factor())
    assert strangers.factor().high < twins.factor().high


def test_no_interval_overflows() -> None:
    rng = np.random.default_rng(0)
    law = fitted(drawn(rng, shares=3, seeds=1, seed_spread=20))
    assert law
    assert np.isfinite([law.factor(), law.at(1e9)]).all()
