"""Who trains, who validates, who tests: and whether an image stands on two sides."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, train_test_split

from quadzoo.errors import ConfigError, SplitError

_SEED = 42
_SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Positions of the images on each side, and how many test images were seen in training.

    ``leaked`` counts the test images that are pixel-identical to one in train or val, or are one.
    ``hash`` is the same for all folds of one division.
    """

    name: str
    fold: int
    folds: int
    train: np.ndarray = field(repr=False)
    val: np.ndarray = field(repr=False)
    test: np.ndarray = field(repr=False)
    leaked: int
    hash: str

    @property
    def leaky(self) -> bool:
        """Whether any image stands on two sides."""
        return self.leaked > 0


def make_splits(
    split: str,
    ids: list[str],
    pixels: np.ndarray,
    *,
    folds: int = 1,
    group_values: list[str] | None = None,
) -> list[Split]:
    """Divide N images; one Split a fold.

    ``pixels`` (N,) gives pixel-identical images one number; ``grouped`` keeps them, and rows that
    share a value of ``group_values``, on one side. ``article`` is the tutorial's own division, in which
    train and val are parts of test. Anything else is a CSV with the columns id and split.
    Raises ConfigError for flags that do not fit together and SplitError where a side would be empty.
    """
    if split != "grouped" and (folds != 1 or group_values is not None):
        raise ConfigError(f"--folds and --group-column need --split grouped, not --split {split}")
    groups = grouping(pixels, group_values)
    if split == "grouped":
        divisions = _grouped(groups, folds)
    elif split == "article":
        divisions = [_article(len(ids))]
    else:
        divisions = [_from_file(Path(split), ids)]
    name = split if split in ("grouped", "article") else Path(split).stem
    digest = hashlib.sha256()
    for sides in divisions:
        for side, members in zip(_SIDES, sides, strict=True):
            if not len(members):
                raise SplitError(f"--split {split}: no image left for {side}; {len(ids)} are too few")
            digest.update(side.encode() + b"".join(ids[i].encode() + b"\0" for i in members))
    return [
        Split(
            name,
            fold,
            len(divisions),
            train,
            val,
            test,
            len(repeated(pixels, test, train, val)),
            digest.hexdigest(),
        )
        for fold, (train, val, test) in enumerate(divisions)
    ]


Division = tuple[np.ndarray, np.ndarray, np.ndarray]


def _grouped(groups: np.ndarray, folds: int) -> list[Division]:
    everyone = np.arange(len(groups))
    enough = max(3, folds)
    if len(np.unique(groups)) < enough:
        raise SplitError(f"--split grouped needs at least {enough} different images or groups")
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
        raise SplitError(f"--split article: {n} images are too few") from error
    return train, val, test


def _from_file(path: Path, ids: list[str]) -> Division:
    if not path.is_file():
        raise SplitError(f"--split {path}: neither grouped nor article nor a file")
    position = {identity: index for index, identity in enumerate(ids)}
    sides: dict[str, list[int]] = {side: [] for side in _SIDES}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"id", "split"} <= set(reader.fieldnames or ()):
            raise SplitError(f"{path}: needs the columns id and split, has {reader.fieldnames}")
        for row in reader:
            identity, side = row["id"], row["split"]
            if identity not in position:
                raise SplitError(f"{path}: row {reader.line_num}: id {identity!r} is not in the data")
            if side not in sides:
                raise SplitError(f"{path}: row {reader.line_num}: split {side!r} is not train, val or test")
            if position[identity] in sides[side]:
                raise SplitError(f"{path}: row {reader.line_num}: id {identity!r} is in {side} twice")
            sides[side].append(position[identity])
    train, val, test = (np.array(sides[side], dtype=np.int64) for side in _SIDES)
    return train, val, test


def repeated(pixels: np.ndarray, rows: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Return those of the rows that also stand, pixel for pixel, among the others."""
    return rows[np.isin(pixels[rows], pixels[np.concatenate(others)])]


def grouping(pixels: np.ndarray, values: list[str] | None) -> np.ndarray:
    """Number the groups (N,): whoever shares an image or a value, however indirectly, is in one group."""
    if values is None:
        return pixels
    _, columns = np.unique(np.array(values), return_inverse=True)
    n_pixels, n_columns = int(pixels.max()) + 1, int(columns.max()) + 1
    edges = coo_array((np.ones(len(pixels)), (pixels, n_pixels + columns)), shape=(n_pixels + n_columns,) * 2)
    _, component = connected_components(edges, directed=False)
    return np.asarray(component[pixels])
