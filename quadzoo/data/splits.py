"""Divide images into train, val and test, and count the images that are on two sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, train_test_split

from quadzoo.data.tables import listed, open_table, quoted
from quadzoo.errors import ConfigError, SplitError

_SEED = 42
_SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """One division of N images into three sides, each int64 (n,): positions of its images.

    ``leaked`` counts the test images that are, or are pixel-identical to, an image of train or val.
    ``hash`` identifies the division by ids; it is the same for all folds. Where ``train_share`` is below 1,
    train is a part of the images of train in the split with the hash ``whole_hash``.
    """

    name: str
    fold: int
    folds: int
    train: np.ndarray = field(repr=False)
    val: np.ndarray = field(repr=False)
    test: np.ndarray = field(repr=False)
    leaked: int
    hash: str
    train_share: float = 1.0
    whole_hash: str | None = None

    @property
    def leaky(self) -> bool:
        """Whether any test image is also in train or val."""
        return self.leaked > 0


def make_splits(
    split: str,
    ids: list[str],
    content_ids: np.ndarray,
    *,
    folds: int = 1,
    group_values: list[str] | None = None,
    names: list[str] | None = None,
) -> list[Split]:
    """Divide N images, given in the order of a ``Source``; one Split a fold.

    ``ids`` are what a split file names images by; ``names``, by default the ids, are what the hash names them
    by. ``content_ids`` is int64 (N,), one number for pixel-identical images. ``grouped`` keeps these, and
    rows that share a value of ``group_values``, on one side. ``article`` is the tutorial's own division,
    whose train and val are parts of its test. Any other ``split`` is the path of a CSV with the columns id
    and split. Raises ConfigError for parameters that do not fit together, and SplitError for a file that
    cannot be used or a side that would be empty.
    """
    if split != "grouped" and folds != 1:
        raise ConfigError(f"`folds` {folds} needs `split` grouped, not {split}")
    if split != "grouped" and group_values is not None:
        raise ConfigError(f"`group_column` needs `split` grouped, not {split}")
    groups = grouping(content_ids, group_values)
    if split == "grouped":
        divisions = _grouped(groups, folds)
    elif split == "article":
        divisions = [_article(len(ids))]
    else:
        divisions = [_from_file(Path(split), ids)]
    name = split if split in ("grouped", "article") else Path(split).stem
    for sides in divisions:
        for side, members in zip(_SIDES, sides, strict=True):
            if not len(members):
                raise SplitError(
                    f"`split` {split}: no image is left for {side}; {len(ids):,} images are too few, "
                    "or its file names none"
                )
    digest = hash_of_divisions(divisions, names or ids)
    return [
        Split(
            name,
            fold,
            len(divisions),
            train,
            val,
            test,
            len(repeated(content_ids, test, train, val)),
            digest,
        )
        for fold, (train, val, test) in enumerate(divisions)
    ]


Division = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Train, val and test: positions, int64, ascending but for the article's, whose shuffled order is its own."""


def hash_of_divisions(divisions: Sequence[Division], names: Sequence[str]) -> str:
    """Return the SHA-256, in hexadecimal, of what ``names`` say is on each side of each fold."""
    digest = hashlib.sha256()
    for sides in divisions:
        for side, members in zip(_SIDES, sides, strict=True):
            digest.update(side.encode() + b"".join(names[i].encode() + b"\0" for i in members))
    return digest.hexdigest()


def _grouped(groups: np.ndarray, folds: int) -> list[Division]:
    everyone = np.arange(len(groups))
    enough = max(3, folds)
    if (n_groups := len(np.unique(groups))) < enough:
        raise SplitError(
            f"`split` grouped needs at least {enough} different images or groups; there are {n_groups}"
        )
    if folds == 1:
        outer = GroupShuffleSplit(n_splits=1, test_size=0.2, random_state=_SEED)
    else:
        outer = GroupKFold(n_splits=folds, shuffle=True, random_state=_SEED)
    inner = GroupShuffleSplit(n_splits=1, test_size=0.2, random_state=_SEED)
    divisions = []
    for rest, test in outer.split(everyone, groups=groups):
        train, val = next(inner.split(rest, groups=groups[rest]))
        divisions.append((rest[train], rest[val], test))
    return divisions


def _article(n: int) -> Division:
    # The tutorial's two calls, in its order: the second divides the test set, not the training set.
    try:
        _, test = train_test_split(np.arange(n), test_size=0.2, random_state=_SEED)
        train, val = train_test_split(test, test_size=0.33, random_state=_SEED)
    except ValueError as error:
        raise SplitError(f"`split` article: {n} images are too few") from error
    return train, val, test


def _from_file(path: Path, ids: list[str]) -> Division:
    if not path.is_file():
        raise SplitError(f"`split` {path}: neither grouped nor article nor a file")
    position = {identity: index for index, identity in enumerate(ids)}
    sides: dict[str, set[int]] = {side: set() for side in _SIDES}
    with open_table(path) as (header, rows):
        if header.count("id") != 1 or header.count("split") != 1:
            raise SplitError(f"{path}: needs one column id and one column split, has {listed(header)}")
        id_at, split_at = header.index("id"), header.index("split")
        for line, cells in rows:
            if len(cells) != len(header):
                raise SplitError(f"{path}: row {line}: {len(cells)} cells where the header has {len(header)}")
            identity, side = cells[id_at].strip(), cells[split_at].strip()
            if identity not in position:
                raise SplitError(f"{path}: row {line}: id {quoted(identity)} is not in the data")
            if side not in sides:
                raise SplitError(f"{path}: row {line}: split {quoted(side)} is not train, val or test")
            if position[identity] in sides[side]:
                raise SplitError(f"{path}: row {line}: id {quoted(identity)} is in {side} twice")
            sides[side].add(position[identity])
    train, val, test = (np.array(sorted(sides[side]), dtype=np.int64) for side in _SIDES)
    return train, val, test


def repeated(content_ids: np.ndarray, rows: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Return those of ``rows`` that are also, pixel for pixel, in one of ``others``.

    ``content_ids`` is int64 (N,); ``rows``, each of ``others`` and the result are positions, int64 (n,).
    """
    return rows[np.isin(content_ids[rows], content_ids[np.concatenate(others)])]


def grouping(content_ids: np.ndarray, values: list[str] | None) -> np.ndarray:
    """Number the groups, int64 (N,): rows that share an image or a value, even through other rows.

    ``content_ids`` is int64 (N,); ``values`` are N texts, or None where there is no such column.
    """
    if values is None:
        return content_ids
    _, columns = np.unique(np.array(values), return_inverse=True)
    n_contents, n_columns = int(content_ids.max()) + 1, int(columns.max()) + 1
    edges = coo_array(
        (np.ones(len(content_ids)), (content_ids, n_contents + columns)), shape=(n_contents + n_columns,) * 2
    )
    _, component = connected_components(edges, directed=False)
    return np.asarray(component[content_ids], dtype=np.int64)
