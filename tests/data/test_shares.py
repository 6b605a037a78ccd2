"""Nested shares of the training images."""

from __future__ import annotations

import numpy as np
import pytest

from quadzoo.data.shares import with_shares
from quadzoo.data.splits import Split, grouping, make_splits
from quadzoo.errors import SplitError

N = 600
IDS = [f"p{i:03d}" for i in range(N)]
RNG = np.random.default_rng(0)
CONTENT_IDS = RNG.integers(0, 500, N)  # some images occur twice or more
PEOPLE = [f"person {i}" for i in RNG.integers(0, 90, N)]
GROUPS = grouping(np.arange(N), PEOPLE)


def shares_of(splits: list[Split], *shares: float, groups: np.ndarray = CONTENT_IDS) -> dict[float, Split]:
    """The first fold's split for each share."""
    found = with_shares(splits, shares, groups, IDS)
    return {split.train_share: split for split in found if split.fold == 0}


def divided(split: str = "grouped", **given: object) -> list[Split]:
    return make_splits(split, IDS, CONTENT_IDS, **given)  # type: ignore[arg-type]


def test_shares_are_nested_and_leave_val_and_test_alone() -> None:
    splits = divided()
    found = shares_of(splits, 0.1, 0.25, 0.5, 0.75, 1)
    assert found[1] is splits[0]
    smaller: set[int] = set()
    for share, split in found.items():
        train = set(split.train.tolist())
        assert smaller < train
        assert len(train) == pytest.approx(share * len(splits[0].train), abs=2)
        assert split.val.tolist() == splits[0].val.tolist()
        assert split.test.tolist() == splits[0].test.tolist()
        assert (split.name, split.leaked) == ("grouped", 0)
        smaller = train
    assert len({split.hash for split in found.values()}) == 5
    assert {split.whole_hash for share, split in found.items() if share < 1} == {splits[0].hash}
    assert splits[0].whole_hash is None


def test_groups_are_drawn_whole() -> None:
    (split,) = make_splits("grouped", IDS, np.arange(N), group_values=PEOPLE)
    for share in (0.2, 0.5, 0.8):
        train = shares_of([split], share, groups=GROUPS)[share].train
        left = np.setdiff1d(split.train, train)
        assert not set(GROUPS[train]) & set(GROUPS[left])
        largest = np.bincount(GROUPS[split.train]).max()
        assert abs(len(train) - share * len(split.train)) <= largest / 2


def test_a_share_does_not_depend_on_the_others() -> None:
    alone, among = shares_of(divided(), 0.3)[0.3], shares_of(divided(), 0.9, 0.3, 1, 0.1)[0.3]
    assert alone.train.tolist() == among.train.tolist()
    assert alone.hash == among.hash


def test_the_numbers_of_groups_do_not_matter() -> None:
    (split,) = make_splits("grouped", IDS, np.arange(N), group_values=PEOPLE)
    renumbered = RNG.permutation(GROUPS.max() + 1)[GROUPS]
    one, other = (shares_of([split], 0.4, groups=groups)[0.4] for groups in (GROUPS, renumbered))
    assert one.train.tolist() == other.train.tolist()


def test_one_large_group_does_not_fill_a_small_share() -> None:
    content_ids = np.arange(200)
    groups = np.where(content_ids < 120, 0, content_ids)  # 120 images of one person, and 80 of others
    split = Split("mine", 0, 1, np.arange(180), np.arange(180, 190), np.arange(190, 200), 0, "h")
    names = [str(i) for i in range(200)]
    found = with_shares([split], [0.1, 0.25, 0.5], groups, names)
    assert [len(one.train) for one in found] == [18, 45, 60]  # of 180; then the large group
    assert not any(0 in groups[one.train] for one in found)


def test_each_fold_has_its_share_and_all_have_one_hash() -> None:
    splits = divided(folds=3)
    found = with_shares(splits, [0.5, 1], CONTENT_IDS, IDS)
    assert [(one.train_share, one.fold) for one in found] == [
        (0.5, 0), (0.5, 1), (0.5, 2), (1.0, 0), (1.0, 1), (1.0, 2),
    ]  # fmt: skip
    for half, whole in zip(found[:3], found[3:], strict=True):
        assert set(half.train.tolist()) < set(whole.train.tolist())
    assert len({one.hash for one in found[:3]}) == 1


def test_images_that_leave_train_no_longer_leak() -> None:
    splits = divided("article")
    half = shares_of(splits, 0.5)[0.5]
    assert 0 < half.leaked <= splits[0].leaked
    seen = set(CONTENT_IDS[np.concatenate([half.train, half.val])])
    assert half.leaked == sum(int(content) in seen for content in CONTENT_IDS[half.test])
    order = splits[0].train.tolist()
    assert half.train.tolist() == [row for row in order if row in set(half.train.tolist())]


def test_shares_that_the_images_cannot_give() -> None:
    splits = divided()
    n = len(splits[0].train)
    with pytest.raises(SplitError, match=f"`train_share` 0.001 is 1 of {n} training images; at least 2"):
        shares_of(splits, 0.001)
    with pytest.raises(SplitError, match=f"`train_share` 0.9999 comes to all {n} training images"):
        shares_of(splits, 0.9999)
    with pytest.raises(SplitError, match=r"`train_share` 0.3 and 0.3001 come to the same"):
        shares_of(splits, 0.3, 0.3001)
