"""Nested shares of the training images, which say how much more images would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from quadzoo.data.splits import Split, hash_of_divisions, repeated
from quadzoo.errors import SplitError

_SEED = 42
_LEAST = 2  # training images
_LARGE = 0.05  # of the training images, in one group


def with_shares(
    splits: Sequence[Split],
    shares: Sequence[float],
    groups: np.ndarray,
    names: Sequence[str],
) -> list[Split]:
    """Return the splits, one a fold, with each share of their training images, in the order of ``shares``.

    Shares are above 0 and at most 1; at 1 a split stays as it is. ``groups`` is int64 (N,), numbers of what
    stays together; ``names`` are N texts, which the hash names images by. Val and test stay as they are. A
    smaller share lies in every larger one. Groups are drawn whole, in an order that depends on the split
    alone, and not on a run's seed or on the other shares.
    Raises SplitError for a share of fewer than two images, one that comes to all images, and two that come to
    the same.
    """
    drawn = [_drawing_order(split.train, groups) for split in splits]
    found: list[Split] = []
    for share in shares:
        if share == 1:
            found += splits
            continue
        parts = [_part(split.train, order, share) for split, order in zip(splits, drawn, strict=True)]
        for split, part in zip(splits, parts, strict=True):
            _check(share, split, part)
        digest = hash_of_divisions(
            [(part, split.val, split.test) for split, part in zip(splits, parts, strict=True)], names
        )
        twin = next((one for one in found if one.hash == digest), None)
        if twin:
            raise SplitError(
                f"`train_share` {twin.train_share:g} and {share:g} come to the same {len(twin.train):,} "
                "training images, since groups stay together; leave one out"
            )
        found += [
            replace(
                split,
                train=part,
                leaked=len(repeated(groups, split.test, part, split.val)),
                hash=digest,
                train_share=share,
                whole_hash=split.hash,
            )
            for split, part in zip(splits, parts, strict=True)
        ]
    return found


def _drawing_order(train: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """Return the training images, int64 (n,) for each group, in the order in which groups are drawn.

    It is random, but large groups come last: else the first of them could be most of a small share.
    """
    _, first, sizes = np.unique(groups[np.sort(train)], return_index=True, return_counts=True)
    labels = groups[np.sort(train)][first]
    chance = np.empty(len(labels))
    # By the place of a group's first image, whatever the groups are numbered like.
    chance[np.argsort(first)] = np.random.default_rng(_SEED).permutation(len(labels))
    order = np.lexsort((chance, sizes > _LARGE * len(train)))
    members: dict[int, list[int]] = {int(label): [] for label in labels}
    for row in train:
        members[int(groups[row])].append(int(row))
    return [np.array(members[int(labels[place])], dtype=np.int64) for place in order]


def _part(train: np.ndarray, order: Sequence[np.ndarray], share: float) -> np.ndarray:
    """Return the first groups, int64 (n,) in train's order, as near to a share of the images as they come."""
    totals = np.cumsum([len(group) for group in order])
    last = int(np.argmin(np.abs(totals - share * len(train))))
    return train[np.isin(train, np.concatenate(order[: last + 1]))]


def _check(share: float, split: Split, part: np.ndarray) -> None:
    of_all = f"of {len(split.train):,} training images"
    if len(part) < _LEAST:
        raise SplitError(f"`train_share` {share:g} is {len(part)} {of_all}; at least {_LEAST} are needed")
    if len(part) == len(split.train):
        raise SplitError(
            f"`train_share` {share:g} comes to all {len(split.train):,} training images, since groups stay "
            "together; give 1, or a smaller share"
        )
