"""Intervals against other code, and against simulated images."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from quadzoo.errors import ConfigError, DataError
from quadzoo.inference.calibration import Calibration, fewest
from quadzoo.inference.intervals import Intervals

Rng = np.random.Generator


def calibration(residuals: np.ndarray, **changes: object) -> Calibration:
    """Val predictions that are off by ``residuals``, float64 (n, T), of targets in 0…10."""
    n, targets = residuals.shape
    given: dict[str, object] = {
        "targets": tuple("uvwxyz"[:targets]),
        "ranges": np.full(targets, 10.0),
        "truth": np.full((n, targets), 5.0),
        "prediction": 5.0 + residuals,
        "ids": [f"v{row}" for row in range(n)],
        **changes,
    }
    return Calibration(**given)  # type: ignore[arg-type]


def order_statistic(values: np.ndarray, level: float) -> float:
    """The quantile of split conformal by numpy; the rank is computed in whole percents."""
    rank = -(-round(level * 100) * (len(values) + 1) // 100)
    return float(np.partition(values, rank - 1)[rank - 1])


@pytest.mark.parametrize("level", [0.5, 0.55, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", [19, 20, 99, 100, 328])
def test_half_widths_are_those_of_numpy(level: float, n: int) -> None:
    residuals = np.random.default_rng(n).standard_t(3, (n, 2))
    found = Intervals.of(calibration(residuals), level)
    assert not found.normalised
    expected = [order_statistic(np.abs(residuals[:, target]), level) for target in (0, 1)]
    assert found.half_widths[""] == pytest.approx(expected, rel=1e-12)
    low, high = found.around(np.array([[1.0, 2.0], [3.0, -4.0]]))
    assert (low.shape, low.dtype) == ((2, 2), np.float64)
    assert high - low == pytest.approx(np.array([expected, expected]) * 2)
    assert (low + high) / 2 == pytest.approx(np.array([[1.0, 2.0], [3.0, -4.0]]))


def full_conformal(residuals: np.ndarray, sizes: np.ndarray, level: float, new: np.ndarray) -> bool:
    """Whether new residuals (T,) conform, by the definition: every score is by the mean over all, too."""
    everyone = np.concatenate([np.abs(residuals), np.abs(new)[None]])
    scores = (everyone / (sizes + everyone.sum(axis=0))).max(axis=1)
    rank = math.ceil(round(level * len(everyone), 9))
    return bool(scores[-1] <= np.sort(scores[:-1])[rank - 1])


@pytest.mark.parametrize(("n", "least"), [(9, 0.7), (30, 0.85), (200, 0.95)])
def test_the_joint_box_holds_all_that_conforms(n: int, least: float) -> None:
    """It is the definition's region, but for a margin that shrinks with the number of images."""
    rng = np.random.default_rng(3)
    residuals, sizes = rng.normal(0, [1, 5, 0.1], (n, 3)), np.array([10.0, 20.0, 1.0])
    box = Intervals.of(calibration(residuals, ranges=sizes), 0.9).joint_half_widths[""]
    news = rng.normal(0, 3, (4000, 3)) * [1, 5, 0.1]
    inside = (np.abs(news) <= box).all(axis=1)
    conform = np.array([full_conformal(residuals, sizes, 0.9, new) for new in news])
    assert inside[conform].all()
    assert conform[inside].mean() > least
    assert 100 < conform.sum() < 3900


def coverage(
    level: float, n: int, draw: Callable[[Rng, int], np.ndarray], repeats: int, *, joint: bool
) -> float:
    """The share of new images that are inside, over draws of n val images and of the new ones."""
    rng, inside = np.random.default_rng(1), []
    for _ in range(repeats):
        drawn = draw(rng, n + 5)
        low, high = Intervals.of(calibration(drawn[:n]), level).around(drawn[n:], joint=joint)
        covers = (low <= 0) & (high >= 0)
        inside.append(covers.all(axis=1).mean() if joint else covers.mean())
    return float(np.mean(inside))


def heavy(rng: Rng, n: int) -> np.ndarray:
    return rng.standard_t(3, (n, 1))


@pytest.mark.parametrize(("level", "n"), [(0.9, 9), (0.9, 14), (0.8, 50)])
def test_singly_the_coverage_is_that_of_theory(level: float, n: int) -> None:
    """⌈(n + 1) level⌉ / (n + 1) for errors of any continuous distribution; ± 4 standard errors or less."""
    exact = math.ceil(round(level * (n + 1), 9)) / (n + 1)
    assert coverage(level, n, heavy, 1500, joint=False) == pytest.approx(exact, abs=0.015)


@pytest.mark.parametrize(("n", "most"), [(9, 0.96), (60, 0.93)])
def test_jointly_no_fewer_are_covered_than_promised(n: int, most: float) -> None:
    """Of six targets with errors of different sizes, which go together; a plain mean covers 79 % of n = 9."""

    def draw(rng: Rng, n: int) -> np.ndarray:
        return rng.standard_t(3, (n, 6)) * np.exp(rng.normal(0, 0.7, (n, 1))) * [1, 1, 2, 0.3, 0.05, 0.01]

    assert 0.89 < coverage(0.9, n, draw, 1200, joint=True) < most


def test_widths_follow_the_spread() -> None:
    rng = np.random.default_rng(2)
    spread = rng.uniform(0.1, 10, (4000, 2))
    drawn = rng.normal(0, 1, (4000, 2)) * spread
    given = calibration(drawn[:1000], spread=spread[:1000])
    found = Intervals.of(given, 0.9)
    assert found.normalised
    expected = [order_statistic(np.abs(drawn[:1000, t]) / spread[:1000, t], 0.9) for t in (0, 1)]
    assert found.half_widths[""] == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx([1.645, 1.645], abs=0.2)
    low, high = found.around(drawn[1000:], spread=spread[1000:])
    assert (high - low) / 2 == pytest.approx(expected * spread[1000:])
    hard = spread[1000:, 0] > 5
    for images in (hard, ~hard):  # without a spread the hard ones would be covered more rarely
        covers = (low[images, 0] <= 0) & (high[images, 0] >= 0)
        assert covers.mean() == pytest.approx(0.9, abs=0.03)
    low, high = found.around(drawn[1000:], spread=spread[1000:], joint=True)
    assert ((low <= 0) & (high >= 0)).all(axis=1).mean() == pytest.approx(0.9, abs=0.03)
    with pytest.raises(ConfigError, match="give `spread`"):
        found.around(drawn)


def test_each_group_has_intervals_of_its_own() -> None:
    residuals = np.concatenate([np.full((30, 2), 1.0), np.full((12, 2), 7.0)])
    kinds = ["easy"] * 30 + ["hard"] * 12
    given = calibration(residuals, labels={"image_kind": kinds})
    by_id = dict(zip(given.ids, kinds, strict=True))
    for groups in ("image_kind", by_id):
        found = Intervals.of(given, 0.9, groups=groups)
        low, high = found.around(np.zeros((3, 2)), groups=["hard", "easy", "hard"])
        assert (low.tolist(), high.tolist()) == ([[-7, -7], [-1, -1], [-7, -7]], [[7, 7], [1, 1], [7, 7]])
        low, high = found.around(np.zeros((2, 2)), groups=["hard", "easy"], joint=True)
        assert (high > [[7, 7], [1, 1]]).all()
        assert (high < [[9, 9], [1.5, 1.5]]).all()
    with pytest.raises(ConfigError, match="no val image is of group 'odd'"):
        found.around(np.zeros((1, 2)), groups=["odd"])
    with pytest.raises(ConfigError, match="give the `groups`"):
        found.around(np.zeros((1, 2)))
    with pytest.raises(ConfigError, match=r"no column 'age'.*it has image_kind"):
        Intervals.of(given, 0.9, groups="age")
    del by_id["v7"]
    with pytest.raises(ConfigError, match=r"no group for 1 val images, such as \['v7'\]"):
        Intervals.of(given, 0.9, groups=by_id)
    with pytest.raises(DataError, match="at least 19 val images of group 'hard', there are 12"):
        Intervals.of(given, 0.95, groups="image_kind")


@pytest.mark.parametrize(("level", "n"), [(0.5, 1), (0.55, 2), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_fewer_images_than_the_level_needs_are_refused(level: float, n: int) -> None:
    assert fewest(level) == n
    assert math.ceil(round((n + 1) * level, 9)) <= n < n + 1
    residuals = np.random.default_rng(0).normal(0, 1, (n, 1))
    found = Intervals.of(calibration(residuals), level)
    if level >= 0.8:  # it takes all of them
        assert found.half_widths[""] == pytest.approx([np.abs(residuals).max()])
    with pytest.raises(DataError, match=rf"needs at least {n} val images, there are {n - 1}; choose a lower"):
        Intervals.of(calibration(residuals[1:]), level)


@pytest.mark.parametrize("level", [0, 1, -0.5, 90, float("nan")])
def test_a_level_is_a_share(level: float) -> None:
    with pytest.raises(ConfigError, match=r"must be between 0 and 1, such as 0\.9"):
        Intervals.of(calibration(np.ones((50, 1))), level)


def test_unknown_truths_do_not_count() -> None:
    residuals = np.abs(np.random.default_rng(5).normal(0, 1, (40, 2)))
    truth = np.full((40, 2), 5.0)
    truth[:20, 0] = np.nan
    found = Intervals.of(calibration(residuals, truth=truth), 0.9)
    whole = Intervals.of(calibration(residuals[20:]), 0.9)
    assert found.half_widths[""][0] == whole.half_widths[""][0]
    assert found.half_widths[""][1] == pytest.approx(order_statistic(residuals[:, 1], 0.9))
    assert found.joint_half_widths[""] == pytest.approx(whole.joint_half_widths[""])
    truth[20:32, 1] = np.nan
    few = Intervals.of(calibration(residuals, truth=truth), 0.9)
    assert [*few.columns(np.zeros((1, 2)))] == ["u_low", "u_high", "v_low", "v_high"]
    with pytest.raises(ConfigError, match="fewer than 9 val images have all targets"):
        few.around(np.zeros((1, 2)), joint=True)
    truth[20:35, 0] = np.nan
    with pytest.raises(DataError, match="at least 9 val images with a value of 'u', there are 5"):
        Intervals.of(calibration(residuals, truth=truth), 0.9)


def test_a_target_that_is_always_right() -> None:
    residuals = np.zeros((50, 2))
    residuals[:, 1] = np.linspace(-1, 1, 50)
    found = Intervals.of(calibration(residuals), 0.9)
    assert found.half_widths[""][0] == 0
    assert np.isfinite(found.joint_half_widths[""]).all()
    residuals[1:, 1] = 0  # one image has all the error
    box = Intervals.of(calibration(residuals[:9]), 0.9).joint_half_widths[""]
    assert 1 <= box[1] < 2


def test_columns_of_a_table() -> None:
    residuals = np.random.default_rng(1).normal(0, 1, (30, 2))
    found = Intervals.of(calibration(residuals, targets=("y", "y_low")), 0.9)
    given = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    table = found.columns(given)
    assert [*table] == [
        "y_low (interval)", "y_high", "y_joint_low", "y_joint_high",
        "y_low_low", "y_low_high", "y_low_joint_low", "y_low_joint_high",
    ]  # fmt: skip
    for names, joint in ((("y_low (interval)", "y_high"), False), (("y_joint_low", "y_joint_high"), True)):
        for name, ends in zip(names, found.around(given, joint=joint), strict=True):
            assert table[name].tolist() == ends[:, 0].tolist()
    one = Intervals.of(calibration(residuals[:, :1]), 0.9)
    assert [*one.columns(given[:, :1])] == ["u_low", "u_high"]
    assert one.around(given[:, :1], joint=True)[0].tolist() == one.around(given[:, :1])[0].tolist()


def test_warnings_of_the_process_stay_as_they_were() -> None:
    script = """
import warnings
import numpy as np
import pandas, sklearn.neighbors, scipy.stats  # what changes filters of its own
from quadzoo.inference.calibration import Calibration
from quadzoo.inference.intervals import Intervals
before = list(warnings.filters)
one = np.arange(20.0)[:, None]
Intervals.of(Calibration(targets=("y",), ranges=np.ones(1), truth=one, prediction=one + 1), 0.9)
import sys
assert "crepes" in sys.modules and "torch" not in sys.modules
assert warnings.filters == before, (before, warnings.filters)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_few_groups_are_warned_of() -> None:
    zeros = np.zeros((30, 1))
    source = Calibration(
        targets=("y",),
        ranges=np.ones(1),
        truth=zeros,
        prediction=zeros,
        labels={"image_group": ["a", "b"] * 15},
    )
    (told,) = source.doubts(0.9)
    assert told.startswith("intervals rest on 30 val images of 2 groups")
    assert told.endswith("it takes 9 groups")
    assert source.doubts(0.5) == []
