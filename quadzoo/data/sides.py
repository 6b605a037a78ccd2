"""The words for the sides of a division, and columns of the data's own table that seem to hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from quadzoo.data.numbers import number
from quadzoo.data.texts import folded, key, listed, where

_SIDES = {
    "train": ("train", "training", "trainset", "trn", "tr", "learn"),
    "val": ("val", "valid", "validation", "validate", "dev", "devel", "development", "tune", "valset"),
    "test": ("test", "testing", "tst", "te", "testset", "holdout", "heldout"),
    "unused": ("unused", "exclude", "excluded", "ignore", "ignored", "skip", "skipped"),
}
_SIDE_OF = {word: side for side, words in _SIDES.items() for word in words}
_NAMES = ("split", "subset", "set", "partition", "side", "phase", "usage", "fold")
_OWN_NAMES = frozenset({"split", "subset", "set", "partition", "fold"})  # the others may be left and right
_MOST_VALUES = 20  # of a column that divides


def side_of(cell: str) -> str | None:
    """Return the side that a cell names: train, val, test or unused; None where it names none."""
    return _SIDE_OF.get(folded(cell).replace("-", "").replace("_", ""))


def side_column(header: Sequence[str]) -> int | None:
    """Return the position of the column of a split file that names sides; None where none is named so."""
    for name in _NAMES:
        found = [at for at, one in enumerate(header) if folded(one) == name]
        if len(found) == 1:
            return found[0]
    return None


class OwnDivisions:
    """Finds the columns of a table that seem to divide its images, while its rows are read.

    These are columns all of whose cells name sides, and those named split, subset, set, partition or fold
    that have few different values. ``used`` are the positions of columns that something else is known of.
    """

    def __init__(self, header: Sequence[str], used: Collection[int]) -> None:
        self._header = header
        self._counts = {at: Counter[str]() for at, name in enumerate(header) if name and at not in used}

    def see(self, cells: Sequence[str]) -> None:
        """Take in the cells of a row."""
        for at in list(self._counts):
            counts, side = self._counts[at], side_of(cells[at])
            counts[side or key(cells[at])] += 1
            if len(counts) > _MOST_VALUES or not (side or folded(self._header[at]) in _OWN_NAMES):
                del self._counts[at]

    def found(self, table: Path) -> dict[str, str]:
        """Return the columns that divide, and of each what it holds and how it can be used."""
        chosen = side_column(self._header)
        return {
            self._header[at]: _advice(self._header[at], counts, table, chosen=at == chosen)
            for at, counts in self._counts.items()
            if _divides(self._header[at], counts)
        }


def _divides(name: str, counts: Counter[str]) -> bool:
    """Whether values repeat as those of a division do; of a column with another name, train and another."""
    if folded(name) in _OWN_NAMES:
        return 1 < len(counts) <= counts.total() / 2
    return len(counts) > 1 and "train" in counts


def _advice(name: str, counts: Counter[str], table: Path, *, chosen: bool) -> str:
    """Say what a column holds, and how it can be used."""
    if all(number(value) % 1 == 0 for value in counts) and (len(counts) > 2 or folded(name) == "fold"):
        n = len(counts)
        return (
            f"{name} ({n} numbers): `group_column` {name} with `folds` {n} tests each of them in turn; "
            "`split` takes a file with train, val and test"
        )
    if not all(map(side_of, counts)):
        return (
            f"{name} ({listed([value or 'empty' for value in counts])}): write train, val, test or unused in "
            f"it, then `split` {where(table)} uses it"
        )
    held = ", ".join(f"{counts[side]:,} {side}" for side in _SIDES if counts[side])
    lacking = [side for side in ("train", "val", "test") if not counts[side]]
    steps = [f"write {' and '.join(lacking)} for some rows"] if lacking else []
    steps += [] if chosen else ["name the column split, and no other"]
    then = f"{', '.join(steps)}, then " if steps else ""
    return f"{name} ({held}): {then}`split` {where(table)} uses it"
