"""Read a division of the images from a table, as people write them."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from quadzoo.data.tables import no_header, open_table
from quadzoo.data.texts import folded, key, listed, plural, quoted, where, without_zeros
from quadzoo.errors import SplitError

_SIDES = {
    "train": ("train", "training", "trainset", "trn", "tr", "learn"),
    "val": ("val", "valid", "validation", "validate", "dev", "devel", "development", "tune", "valset"),
    "test": ("test", "testing", "tst", "te", "testset", "holdout", "heldout"),
    "unused": ("unused", "exclude", "excluded", "ignore", "ignored", "skip", "skipped"),
}
_SIDE_OF = {word: side for side, words in _SIDES.items() for word in words}
_NAMES = ("split", "subset", "set", "partition", "side", "phase", "usage", "fold")
_MOST_ROWS = 5  # in a message


def read_division(
    path: Path,
    ids: Sequence[str],
    names: Sequence[str],
    files: Sequence[str],
    left_out: Iterable[str] = (),
) -> tuple[list[np.ndarray], int]:
    """Return the positions of train, val and test, int64 (n,) each, and how many images are left out.

    An image is named as its row in the table names it, or by its path, with or without suffix. ``ids``,
    ``names`` and ``files`` are N texts. Rows that name one of the ``left_out`` images say nothing. Raises
    SplitError, naming file and row, for a row that cannot be used, and for images that no row names.
    """
    position = _positions(ids, names, files)
    side_of: dict[int, tuple[str, int]] = {}
    known = {_plain(key(text)) for text in left_out}
    with open_table(path) as (header, lines):
        side_at = _side_column(path, header)
        rows = list(lines)
    id_at = _id_column(
        path, header, [cells for _, cells in rows if len(cells) == len(header)], side_at, position
    )
    for line, cells in rows:
        if len(cells) != len(header):
            raise SplitError(
                f"{where(path)}: row {line}: {plural(len(cells), 'cell')} where the header has {len(header)}"
            )
        if cells == header:
            raise SplitError(f"{where(path)}: row {line}: the header again; delete this row")
        identity = key(cells[id_at])
        index = position.get(_plain(identity))
        if index is None and _plain(identity) in known:
            continue
        if index is None:
            raise SplitError(
                f"{where(path)}: row {line}: id {quoted(identity)} is not in the data{_meant(identity, ids)}"
            )
        side = _side(path, line, header[side_at], cells[side_at])
        if index in side_of:
            before, earlier = side_of[index]
            same = f"in {side} twice" if before == side else f"in {before} by row {earlier} and in {side}"
            raise SplitError(f"{where(path)}: row {line}: id {quoted(identity)} is {same}; keep one row")
        side_of[index] = side, line
    _check_complete(path, ids, side_of)
    counts = Counter(side for side, _ in side_of.values())
    sides = [
        np.array(sorted(index for index, (one, _) in side_of.items() if one == side), dtype=np.int64)
        for side in ("train", "val", "test")
    ]
    return sides, counts["unused"]


def _positions(ids: Sequence[str], names: Sequence[str], files: Sequence[str]) -> dict[str, int]:
    """Return the position of an image by each text that names it and no other."""
    found: dict[str, set[int]] = defaultdict(set)
    for index, texts in enumerate(zip(ids, names, files, strict=True)):
        for text in texts:
            found[_plain(key(text))].add(index)
    return {text: indices.pop() for text, indices in found.items() if len(indices) == 1}


def _plain(identity: str) -> str:
    return posixpath.normpath(identity) if identity else identity


def _side_column(path: Path, header: list[str]) -> int:
    """Return the position of the column that names sides. Raises SplitError unless there is one."""
    for name in _NAMES:
        found = [at for at, one in enumerate(header) if folded(one) == name]
        if len(found) == 1:
            return found[0]
    row = "the first line seems to be a row: put one with names above it; "
    row = row if any(folded(one) in _SIDE_OF for one in header) else no_header(header)
    raise SplitError(f"{where(path)}: needs one column id and one column split; {row}it has {listed(header)}")


def _id_column(
    path: Path, header: list[str], rows: Sequence[list[str]], side_at: int, position: dict[str, int]
) -> int:
    """Return the position of the column ``id``, else of that whose cells name images. Raises SplitError."""
    if header.count("id") == 1:
        return header.index("id")
    others = [at for at in range(len(header)) if at != side_at]
    hits = {at: sum(_plain(key(cells[at])) in position for cells in rows) for at in others}
    best = [at for at in others if hits[at] == max(hits.values())]
    if len(best) == 1:
        return best[0]
    names = (
        listed([header[at] for at in best]) if best and hits[best[0]] else "none of its columns names images"
    )
    raise SplitError(
        f"{where(path)}: needs one column id and one column split; it has {listed(header)} ({names})"
    )


def _side(path: Path, line: int, name: str, cell: str) -> str:
    side = folded(cell).replace("-", "").replace("_", "")
    if side in _SIDE_OF:
        return _SIDE_OF[side]
    what = f"{name} {quoted(key(cell))} is not train, val or test"
    raise SplitError(f"{where(path)}: row {line}: {what}; a row that is to be left out is unused")


def _meant(identity: str, ids: Sequence[str]) -> str:
    """Return a hint: the one id that differs from this in case, suffix, folder, blanks or zeros alone."""

    def loose(text: str) -> str:
        name = text.replace("\\", "/").rsplit("/", 1)[-1]
        stem, _, suffix = name.rpartition(".")
        return without_zeros(stem if stem and len(suffix) <= 4 else name)

    found = [one for one in ids if loose(one) == loose(identity)]
    return f"; did you mean {quoted(found[0])}?" if len(found) == 1 else ""


def _check_complete(path: Path, ids: Sequence[str], side_of: dict[int, tuple[str, int]]) -> None:
    missing = [identity for index, identity in enumerate(ids) if index not in side_of]
    if missing:
        raise SplitError(
            f"{where(path)}: leaves out {len(missing):,} of {len(ids):,} images "
            f"({listed(missing[:_MOST_ROWS])}{', …' * (len(missing) > _MOST_ROWS)}); add them, or write "
            "unused as their split"
        )
