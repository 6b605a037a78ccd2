"""Divide images into train, val and test, and count the images that are on two sides."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from quadzoo.data.balance import TOLERANCE, balanced, deviation
from quadzoo.data.sources import Source
from quadzoo.data.split_files import BadDivision, read_division
from quadzoo.data.texts import where
from quadzoo.errors import ConfigError, SplitError

_SEED = 42
_SIDES = ("train", "val", "test")
_TEST, _VAL = 0.2, 0.2  # of all rows; of those that are not tested
_LEVEL = 1e-9
_WORDS = ("grouped", "article")
FEWEST_GROUPS = 10
"""Of fewer independent test images or groups nothing is said of how sure a score is."""
TEST_DATA = "test-data"


@dataclass(frozen=True)
class Split:
    """One division of N images into three sides, each int64 (n,): positions of its images.

    ``leaked`` counts the test images that are, or are pixel-identical to, an image of train or val, or are of
    a group with one. ``unused`` counts images that a file leaves out. ``warning`` says what is wrong with the
    division. ``hash`` identifies the division by ids; it is the same for all folds. Where ``train_share`` is
    below 1, train is a part of the images of train in the split with the hash ``whole_hash``.
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
    unused: int = 0
    warning: str = ""

    @property
    def leaky(self) -> bool:
        """Whether any test image is also in train or val."""
        return self.leaked > 0


def check_parameters(split: str, folds: int, *, grouped: bool, tests: bool) -> None:
    """Check that the parameters of a split fit together.

    ``grouped`` says whether there is a group column, ``tests`` whether a table of test images. Raises
    ConfigError where they do not, and SplitError for a file that is not there.
    """
    if split != "grouped" and folds != 1:
        raise ConfigError(f"`folds` {folds} needs `split` grouped, not {split}")
    if split == "article" and grouped:
        raise ConfigError("`group_column` needs `split` grouped or a file, not article")
    if tests and (split != "grouped" or folds != 1):
        other = f"`split` {split}" if split != "grouped" else f"`folds` {folds}"
        raise ConfigError(
            f"`test_data` says which images are tested, and so does {other}; leave one of them out"
        )
    if split not in _WORDS and not os.path.isfile(split):
        raise SplitError(f"`split` {where(Path(split))}: neither grouped nor article nor a file")


def make_splits(
    split: str,
    ids: list[str],
    content_ids: np.ndarray,
    *,
    folds: int = 1,
    group_values: list[str] | None = None,
    names: list[str] | None = None,
    files: list[str] | None = None,
    targets: np.ndarray | None = None,
    tests: np.ndarray | None = None,
    left_out: Iterable[str] = (),
    id_column: str | None = None,
    folder: Path | None = None,
) -> list[Split]:
    """Divide N images, given in the order of a ``Source``; one Split a fold.

    ``ids``, ``names`` and ``files`` are what a split file names images by; ``names``, by default the ids, are
    what the hash names them by; it may also name ``left_out`` ones, has them in ``id_column`` where it has
    that, and may name them by absolute paths into ``folder``. ``content_ids`` is int64 (N,), one number
    for pixel-identical images. ``grouped`` keeps these, and rows that share a value of ``group_values``, on
    one side; of another division it is counted where they are not. ``targets``, float64 (N, T) with NaN where
    one is missing, are spread over the sides where a division at random is too uneven. ``article`` is the
    tutorial's own division, whose train and val are parts of its test. Any other ``split`` is the path of a
    table with the columns id and split. Where
    ``tests``, bool (N,), says which images are tested, the others are divided. Raises ConfigError for
    parameters that do not fit together, and SplitError for a file that cannot be used or a side that would be
    empty.
    """
    check_parameters(split, folds, grouped=group_values is not None, tests=tests is not None)
    groups, names, unused, warning = grouping(content_ids, group_values), names or ids, 0, ""
    if tests is not None:
        divisions, warning = _tested(groups, tests, targets)
    elif split == "grouped":
        divisions, warning = _grouped(groups, content_ids, folds, targets)
        warning = "; ".join(filter(None, (warning, _twins(divisions))))
    elif split == "article":
        divisions = [_article(len(ids))]
    else:
        sides, unused = read_division(
            Path(split), ids, names, files or names, left_out, id_column=id_column, folder=folder
        )
        divisions = [(sides[0], sides[1], sides[2])]
    name = TEST_DATA if tests is not None else split if split in _WORDS else Path(split).stem
    for sides_of in divisions:
        for side, members in zip(_SIDES, sides_of, strict=True):
            if not len(members):
                raise SplitError(
                    f"`split` {split}: no image is left for {side}; {len(ids):,} images are too few, "
                    "or its file names none"
                )
    digest = hash_of_divisions(divisions, names)
    if group_values is not None and (tests is not None or split != "grouped"):
        # The sides do not follow from the groups, but what is said of them does.
        pairs = sorted(zip(names, group_values, strict=True))
        digest = hashlib.sha256("\0".join([digest, *chain.from_iterable(pairs)]).encode()).hexdigest()
    return [
        Split(
            name,
            fold,
            len(divisions),
            train,
            val,
            test,
            len(repeated(groups, test, train, val)),
            digest,
            unused=unused,
            warning=warning,
        )
        for fold, (train, val, test) in enumerate(divisions)
    ]


def splits_of(source: Source, split: str, content_ids: np.ndarray, folds: int = 1) -> list[Split]:
    """Divide the images of a source; ``content_ids`` is int64 (N,). Raises what `make_splits` raises."""
    return make_splits(
        split,
        source.ids,
        content_ids,
        folds=folds,
        group_values=source.group_values,
        names=source.names,
        files=source.files,
        targets=source.targets,
        tests=source.tests,
        left_out=source.left_out,
        id_column=source.id_column,
        folder=source.folder,
    )


Division = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Train, val and test: positions, int64, ascending but for the article's, whose shuffled order is its own."""


def hash_of_divisions(divisions: Sequence[Division], names: Sequence[str]) -> str:
    """Return the SHA-256, in hexadecimal, of what ``names`` say is on each side of each fold."""
    digest = hashlib.sha256()
    for sides in divisions:
        for side, members in zip(_SIDES, sides, strict=True):
            digest.update(side.encode() + b"".join(names[i].encode() + b"\0" for i in members))
    return digest.hexdigest()


def partial_split(source: Source, split: str, content_ids: np.ndarray, bad: BadDivision) -> Split | None:
    """Return what the usable rows of a split file say, to look for leaks; None where a side has no image.

    ``content_ids`` is int64 (N,). No bench takes such a split, and it has no hash.
    """
    train, val, test = bad.sides
    if not (len(train) and len(val) and len(test)):
        return None
    leaked = repeated(grouping(content_ids, source.group_values), test, train, val)
    return Split(Path(split).stem, 0, 1, train, val, test, len(leaked), "", unused=bad.unused)


def _shares(folds: int) -> tuple[float, float, float]:
    """Return the shares of train, val and test that are wanted."""
    test = _TEST if folds == 1 else 1 / folds
    return (1 - test) * (1 - _VAL), (1 - test) * _VAL, test


def _grouped(
    groups: np.ndarray, content_ids: np.ndarray, folds: int, targets: np.ndarray | None
) -> tuple[list[Division], str]:
    """Return a division for each fold, and a warning where it is far from the shares that are wanted.

    Groups are drawn at random, each as likely as the others, and that division stays where it is within 5
    points; else groups are divided by their rows, if that comes nearer.
    """
    n_groups, shares = len(np.unique(groups)), _shares(folds)
    if n_groups < max(2, folds) or len(np.unique(content_ids)) < max(3, folds):
        asked = f"`folds` {folds}" if folds > 1 else "`split` grouped"
        raise SplitError(
            f"{asked} needs at least {max(3, folds)} different images or groups; there are "
            f"{min(n_groups, len(np.unique(content_ids)))}"
        )
    if n_groups == 2:
        # One is tested; train and val are images of the other.
        divisions = _outer(groups, content_ids, folds, targets)
        return divisions, (
            "there are only two groups: val images are of a group of train, and say little about a new one; "
            f"reached are {_reached(divisions, shares)}"
        )
    drawn = _drawn(groups, folds)
    if _worst(drawn, shares) <= TOLERANCE + _LEVEL:
        return drawn, ""
    even = _outer(groups, groups, folds, targets)
    divisions = even if _worst(even, shares) < _worst(drawn, shares) else drawn
    if _worst(divisions, shares) <= TOLERANCE + _LEVEL:
        return divisions, ""
    largest = np.bincount(groups).max()
    why = f"{n_groups:,} groups of up to {largest:,} images stay together"
    why = why if largest > 1 else f"there are {n_groups:,} images"
    return divisions, (
        f"the sides are not as large as wanted, since {why}; reached are {_reached(divisions, shares)}"
    )


def _twins(divisions: list[Division]) -> str:
    """Say which folds train on the same images, with val and test the other way round; nothing for none."""
    folds: dict[bytes, list[str]] = {}
    for fold, (train, _, _) in enumerate(divisions):
        folds.setdefault(train.tobytes(), []).append(f"{fold}")
    same = [" and ".join(numbers) for numbers in folds.values() if len(numbers) > 1]
    if not same:
        return ""
    return f"folds {', '.join(same)} train on the same images, since groups are few: they count for less"


# scikit-learn takes a second to import; processes that train read this module and have no need of that.
def _drawn(groups: np.ndarray, folds: int) -> list[Division]:
    from sklearn.model_selection import GroupKFold, GroupShuffleSplit

    everyone = np.arange(len(groups))
    if folds == 1:
        outer = GroupShuffleSplit(n_splits=1, test_size=_TEST, random_state=_SEED)
    else:
        outer = GroupKFold(n_splits=folds, shuffle=True, random_state=_SEED)
    inner = GroupShuffleSplit(n_splits=1, test_size=_VAL, random_state=_SEED)
    divisions = []
    for rest, test in outer.split(everyone, groups=groups):
        train, val = next(inner.split(rest, groups=groups[rest]))
        divisions.append((rest[train], rest[val], test))
    return divisions


def _outer(groups: np.ndarray, inner: np.ndarray, folds: int, targets: np.ndarray | None) -> list[Division]:
    """Divide by rows: ``groups`` into test and the rest, that by ``inner`` groups into train and val."""
    if folds == 1 and inner is groups:
        train, val, test = balanced(groups, _shares(1), targets)
        return [(train, val, test)]
    shares = [1 / folds] * folds if folds > 1 else [_TEST, 1 - _TEST]
    divisions = []
    for test in balanced(groups, shares, targets)[: folds if folds > 1 else 1]:
        rest = np.setdiff1d(np.arange(len(groups)), test)
        train, val = _halves(inner, rest, targets)
        divisions.append((train, val, test))
    return divisions


def _halves(
    groups: np.ndarray, rest: np.ndarray, targets: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Divide the images at ``rest``, int64 (n,), into train and val by rows."""
    train, val = balanced(groups[rest], (1 - _VAL, _VAL), None if targets is None else targets[rest])
    return rest[train], rest[val]


def _tested(groups: np.ndarray, tests: np.ndarray, targets: np.ndarray | None) -> tuple[list[Division], str]:
    """Return a division whose test side is given; the rest is drawn as for a holdout."""
    from sklearn.model_selection import GroupShuffleSplit

    rest = np.flatnonzero(~tests)
    if len(np.unique(groups[rest])) < 2:
        raise SplitError("`test_data`: train and val need at least 2 different images or groups in `data`")
    shares = (1 - _VAL, _VAL)
    inner = GroupShuffleSplit(n_splits=1, test_size=_VAL, random_state=_SEED)
    train, val = (rest[side] for side in next(inner.split(rest, groups=groups[rest])))
    if deviation([len(train), len(val)], shares) > TOLERANCE + _LEVEL:
        train, val = _halves(groups, rest, targets)
    warning = ""
    if deviation([len(train), len(val)], shares) > TOLERANCE + _LEVEL:
        warning = (
            f"val is {len(val) / len(rest):.0%} of the images that are not tested, wanted {_VAL:.0%}, since "
            "groups stay together"
        )
    return [(train, val, np.flatnonzero(tests))], warning


def _worst(divisions: Sequence[Division], shares: Sequence[float]) -> float:
    return max(deviation([len(side) for side in sides], shares) for sides in divisions)


def _reached(divisions: Sequence[Division], shares: Sequence[float]) -> str:
    """Return the shares of the fold that is farthest off, and those that were wanted."""
    fold = max(range(len(divisions)), key=lambda one: _worst(divisions[one : one + 1], shares))
    total = sum(map(len, divisions[fold]))
    reached = [f"{len(side) / total:.0%} {name}" for name, side in zip(_SIDES, divisions[fold], strict=True)]
    wanted = "/".join(f"{100 * share:.0f}" for share in shares)
    return f"{', '.join(reached)}{f' in fold {fold}' * (len(divisions) > 1)}, wanted {wanted}"


def _article(n: int) -> Division:
    from sklearn.model_selection import train_test_split

    # The tutorial's two calls, in its order: the second divides the test set, not the training set.
    try:
        _, test = train_test_split(np.arange(n), test_size=0.2, random_state=_SEED)
        train, val = train_test_split(test, test_size=0.33, random_state=_SEED)
    except ValueError as error:
        raise SplitError(f"`split` article: {n} images are too few") from error
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
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, columns = np.unique(np.array(values), return_inverse=True)
    n_contents, n_columns = int(content_ids.max()) + 1, int(columns.max()) + 1
    edges = coo_array(
        (np.ones(len(content_ids)), (content_ids, n_contents + columns)), shape=(n_contents + n_columns,) * 2
    )
    _, component = connected_components(edges, directed=False)
    return np.asarray(component[content_ids], dtype=np.int64)
