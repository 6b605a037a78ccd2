"""Divisions by rows, where groups are of very different size."""

from __future__ import annotations

import numpy as np
import pytest

from quadzoo.data.balance import balanced, deviation
from quadzoo.data.splits import Split, make_splits
from quadzoo.errors import SplitError

HOSPITALS = [55, 20, 10, 5, 4, 3, 2, 1]


def groups_of(sizes: list[int]) -> list[str]:
    return [f"H{k}" for k, n in enumerate(sizes) for _ in range(n)]


def divided(sizes: list[int], folds: int = 1, targets: np.ndarray | None = None) -> list[Split]:
    values = groups_of(sizes)
    ids = [f"p{i}" for i in range(len(values))]
    return make_splits("grouped", ids, np.arange(len(ids)), folds=folds, group_values=values, targets=targets)


def sizes_of(split: Split) -> tuple[int, int, int]:
    return len(split.train), len(split.val), len(split.test)


def assert_whole(split: Split, values: list[str]) -> None:
    sides = [{values[i] for i in side} for side in (split.train, split.val, split.test)]
    assert sum(map(len, sides)) == len(set().union(*sides)) == len(set(values))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (HOSPITALS, (64, 16, 20)),
        ([50, 20, 10, 5, 5, 4, 3, 2, 1], None),
        ([30, 30, 10, 10, 10, 5, 5], None),
        ([64, 16, 20], (64, 16, 20)),
        ([1] * 10 + [90], None),  # as near as it comes
        ([200, 100, 40, 30, *[2] * 30], None),
    ],
)
def test_sides_have_their_share_of_the_rows_as_far_as_groups_allow(
    sizes: list[int], expected: tuple[int, int, int] | None
) -> None:
    (split,) = divided(sizes)
    assert_whole(split, groups_of(sizes))
    if expected:
        assert sizes_of(split) == expected
    shares = [n / sum(sizes) for n in sizes_of(split)]
    within = deviation(sizes_of(split), (0.64, 0.16, 0.2)) <= 0.05
    assert within == (not split.warning)
    assert within or max(sizes) > 0.69 * sum(sizes)
    assert min(shares) > 0
    (again,) = divided(sizes)
    assert again.hash == split.hash


def test_folds_have_their_share_of_the_rows_as_far_as_groups_allow() -> None:
    splits = divided(HOSPITALS, folds=4)
    assert [len(split.test) for split in splits] == [55, 20, 13, 12]
    for split in splits:
        assert_whole(split, groups_of(HOSPITALS))
        assert abs(len(split.val) / (100 - len(split.test)) - 0.2) <= 0.05
    assert sorted(np.concatenate([split.test for split in splits]).tolist()) == list(range(100))
    assert "reached are 36% train, 9% val, 55% test in fold 0, wanted 60/15/25" in splits[0].warning
    even = divided([20, 18, 17, 12, 10, 9, 8, 6, 4, 3, 3], folds=3)
    assert all(abs(len(split.test) - 110 / 3) <= 5 for split in even)


def test_a_division_that_is_near_enough_stays_what_it_was() -> None:
    values = [f"g{i // 3}" for i in range(300)]
    ids = [f"p{i}" for i in range(300)]
    targets = np.random.default_rng(0).normal(size=(300, 1))
    (plain,) = make_splits("grouped", ids, np.arange(300), group_values=values)
    (same,) = make_splits("grouped", ids, np.arange(300), group_values=values, targets=targets)
    assert plain.hash == same.hash
    assert plain.hash.startswith("107dd70d5bb6")
    folds = make_splits("grouped", ids, np.arange(300), group_values=values, targets=targets, folds=4)
    assert folds[0].hash.startswith("8a71631819ef")


@pytest.mark.parametrize(("seed", "stays"), [(0, "2c4884f656e0"), (5, "4a76f5645ec6"), (1, ""), (4, "")])
def test_only_a_division_that_is_too_uneven_is_made_anew(seed: int, stays: str) -> None:
    sizes = np.random.default_rng(seed).integers(1, 14, 40).tolist()
    (split,) = divided(sizes)
    if stays:
        assert split.hash.startswith(stays)
    else:
        assert deviation(sizes_of(split), (0.64, 0.16, 0.2)) < 0.01


def test_few_rows_are_spread_over_the_range_of_the_target() -> None:
    targets = np.arange(12.0)[:, None]
    train, val, test = balanced(np.arange(12), (0.64, 0.16, 0.2), targets)
    assert (len(train), len(val), len(test)) == (8, 2, 2)
    for side in (train, val, test):
        assert abs(targets[side].mean() - 5.5) <= 1
        assert np.ptp(targets[side]) >= 4
    missing = targets.copy()
    missing[3:6] = np.nan
    assert [len(side) for side in balanced(np.arange(12), (0.64, 0.16, 0.2), missing)] == [8, 2, 2]


def test_two_groups_are_divided_with_a_warning_and_one_is_refused() -> None:
    (split,) = divided([20, 20])
    values = groups_of([20, 20])
    assert not {values[i] for i in split.test} & {values[i] for i in [*split.train, *split.val]}
    assert sizes_of(split) == (16, 4, 20)
    assert "only two groups" in split.warning
    assert split.leaked == 0
    with pytest.raises(SplitError, match="at least 3 different images or groups; there are 1"):
        divided([40])
    with pytest.raises(SplitError, match="at least 4 different images or groups; there are 2"):
        divided([20, 20], folds=4)
    twins = np.array([0] * 20 + [1] * 20)
    with pytest.raises(SplitError, match="at least 3 different"):  # two images, however often
        make_splits("grouped", [f"p{i}" for i in range(40)], twins, group_values=values)


@pytest.mark.parametrize("n", range(3, 16))
def test_a_handful_of_images(n: int) -> None:
    (split,) = divided([1] * n, targets=np.arange(float(n))[:, None])
    assert sum(sizes_of(split)) == n
    assert min(sizes_of(split)) >= 1
    assert ("images" in split.warning) == (deviation(sizes_of(split), (0.64, 0.16, 0.2)) > 0.05 + 1e-9)
