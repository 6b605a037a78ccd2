"""Read a division of the images from a table, as people write them."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from quadzoo.data.finder import is_image, without_suffix
from quadzoo.data.rows import Fault, Kind, such_rows
from quadzoo.data.sides import side_column, side_of
from quadzoo.data.tables import no_header, open_table
from quadzoo.data.texts import key, listed, plural, quoted, where, without_zeros
from quadzoo.errors import SplitError

_NEARLY = 0.9  # as many images as the column of most
_MOST_ROWS = 5  # in a message


class BadDivision(SplitError):
    """A split file with rows that cannot be used, or without some images; its text is about the first.

    ``faults`` are the rows, and ``words`` counts those of them that are no side; ``missing`` are the
    positions of images that no row names. ``sides`` and ``unused`` are what the other rows say: train, val
    and test, int64 (n,) each, of which any may be empty, and a count.
    """

    def __init__(
        self,
        text: str,
        *,
        faults: list[Fault],
        words: Counter[str],
        missing: list[int],
        sides: list[np.ndarray],
        unused: int,
    ) -> None:
        super().__init__(text)
        self.faults, self.words, self.missing = faults, words, missing
        self.sides, self.unused = sides, unused


def read_division(
    path: Path,
    ids: Sequence[str],
    names: Sequence[str],
    files: Sequence[str],
    left_out: Iterable[str] = (),
    *,
    id_column: str | None = None,
    folder: Path | None = None,
) -> tuple[list[np.ndarray], int]:
    """Return the positions of train, val and test, int64 (n,) each, and how many images are left out.

    An image is named as its row in the table names it, or by its path, with or without suffix; the path may
    be absolute and lead into ``folder``. ``ids``, ``names`` and ``files`` are N texts. ``id_column`` is where
    the table of the data names the images; a split file that has it names them there too. Rows that name one
    of the ``left_out`` images say nothing. Raises BadDivision, naming file and row, for rows that cannot be
    used, and for images that no row names; SplitError for a file without the columns.
    """
    images = _Images(ids, names, files, folder)
    named: dict[int, tuple[str | None, int]] = {}  # the side and the row of an image
    known = {images.plain(one) for text in left_out for one in (text, without_suffix(text))}
    with open_table(path) as (header, lines):
        side_at = _side_column(path, header)
        rows = list(lines)
    whole = [(line, cells) for line, cells in rows if len(cells) == len(header)]
    id_at = _id_column(path, header, whole, images, side_at=side_at, named=id_column)
    bad, words = list[Fault](), Counter[str]()

    def fault(kind: Kind, line: int, text: str) -> None:
        bad.append(Fault(kind, line, f"{where(path)}: row {line}: {text}"))

    for line, cells in rows:
        if len(cells) != len(header):
            fault("row", line, f"{plural(len(cells), 'cell')} where the header has {len(header)}")
            continue
        if cells == header:
            fault("row", line, "the header again; delete this row")
            continue
        identity, word = key(cells[id_at]), key(cells[side_at])
        index, side = images.find(identity), side_of(word)
        if index is None and images.plain(identity) in known:
            continue
        if side is None:
            words[word] += 1
            what = f"{header[side_at]} {quoted(word)} is not train, val or test"
            fault("side", line, f"{what}; a row that is to be left out is unused")
        if index is None:
            fault("image", line, f"id {quoted(identity)} is not in the data{_meant(identity, ids)}")
        elif index in named:
            before, earlier = named[index]
            same = f"in {side} twice" if before == side else f"in {before} by row {earlier} and in {side}"
            if side and before:
                fault("repeated", line, f"id {quoted(identity)} is {same}; keep one row")
        else:
            named[index] = side, line
    sides = [
        np.array(sorted(index for index, (one, _) in named.items() if one == side), dtype=np.int64)
        for side in ("train", "val", "test")
    ]
    n_unused = sum(side == "unused" for side, _ in named.values())
    missing = [index for index in range(len(ids)) if index not in named]
    if bad or missing:
        text = _said(path, ids, bad, missing)
        raise BadDivision(text, faults=bad, words=words, missing=missing, sides=sides, unused=n_unused)
    return sides, n_unused


def _said(path: Path, ids: Sequence[str], bad: Sequence[Fault], missing: Sequence[int]) -> str:
    """Return one line about faulty rows, and images that no row names."""
    if bad:
        # A row that names no image is why one is missing.
        more = len(missing) > sum(one.kind in ("row", "image") for one in bad)
        return such_rows(bad, [f"{plural(len(missing), 'image')} left out"] * more)
    some = listed([ids[index] for index in missing[:_MOST_ROWS]]) + ", …" * (len(missing) > _MOST_ROWS)
    return (
        f"{where(path)}: leaves out {len(missing):,} of {len(ids):,} images ({some}); add them, or write "
        "unused as their split"
    )


class _Images:
    """The positions of images by each text that names one of them and no other."""

    def __init__(
        self, ids: Sequence[str], names: Sequence[str], files: Sequence[str], folder: Path | None
    ) -> None:
        self._folder = f"{posixpath.normpath(folder.absolute().as_posix())}/" if folder else ""
        found: dict[str, set[int]] = defaultdict(set)
        for index, texts in enumerate(zip(ids, names, files, strict=True)):
            for text in texts:
                found[self.plain(text)].add(index)
        self._positions = {text: indices.pop() for text, indices in found.items() if len(indices) == 1}

    def plain(self, cell: str) -> str:
        """Return the text that a cell names an image by: of an absolute path what is under the folder."""
        identity = key(cell)
        return posixpath.normpath(identity).removeprefix(self._folder) if identity else identity

    def find(self, cell: str) -> int | None:
        """Return the position of the image that a cell names; None where it names none."""
        return self._positions.get(self.plain(cell))

    def meant(self, cell: str) -> int | None:
        """Return the position of an image that a cell may mean, whatever the folder and the suffix."""
        return self._loose.get(_loose(key(cell)))

    @cached_property
    def _loose(self) -> dict[str, int]:
        found: dict[str, set[int]] = defaultdict(set)
        for text, at in self._positions.items():
            found[_loose(text)].add(at)
        return {text: indices.pop() for text, indices in found.items() if len(indices) == 1}


def _side_column(path: Path, header: list[str]) -> int:
    """Return the position of the column that names sides. Raises SplitError unless there is one."""
    found = side_column(header)
    if found is not None:
        return found
    row = "the first line seems to be a row: put one with names above it; "
    row = row if any(map(side_of, header)) else no_header(header)
    raise SplitError(f"{where(path)}: needs one column id and one column split; {row}it has {listed(header)}")


def _id_column(
    path: Path,
    header: list[str],
    rows: Sequence[tuple[int, list[str]]],
    images: _Images,
    *,
    side_at: int,
    named: str | None,
) -> int:
    """Return the position of the column that names images.

    That is the column ``named``, else the one whose cells name most images; ``id`` before others. Raises
    SplitError where there is none, or where two name different images.
    """
    others = [at for at in range(len(header)) if at != side_at]
    usual = [at for name in (named, "id") for at in others if header[at] == name and header.count(name) == 1]
    if usual and header[usual[0]] == named:
        return usual[0]
    found = {at: [images.find(cells[at]) for _, cells in rows] for at in others}
    often = {at: len({*found[at]} - {None}) for at in others}
    best = [at for at in (*usual, *others) if often[at] == max(often.values())]
    if not best or not (often[best[0]] or usual or len(others) == 1):
        raise SplitError(
            f"{where(path)}: needs one column id and one column split; it has {listed(header)} (none of its "
            "columns names images)"
        )
    for at in others:
        if often[at] < _NEARLY * often[best[0]]:  # ages, say: few different ones
            if not all(is_image(cells[at].strip()) for _, cells in rows):
                continue
            found[at] = [images.meant(cells[at]) for _, cells in rows]  # paths of another machine, say
        for (line, cells), one, other in zip(rows, found[best[0]], found[at], strict=True):
            if one != other and None not in (one, other):
                names = f"columns {quoted(header[best[0]])} and {quoted(header[at])} name different images"
                raise SplitError(
                    f"{where(path)}: row {line}: {names} ({quoted(cells[best[0]])} and {quoted(cells[at])}); "
                    "leave one of them out"
                )
    return best[0]


def _meant(identity: str, ids: Sequence[str]) -> str:
    """Return a hint: the one id that differs from this in case, suffix, folder, blanks or zeros alone."""
    found = [one for one in ids if _loose(one) == _loose(identity)]
    return f"; did you mean {quoted(found[0])}?" if len(found) == 1 else ""


def _loose(identity: str) -> str:
    """Return an id without folders, suffix, zeros and case."""
    name = identity.replace("\\", "/").rsplit("/", 1)[-1]
    stem, _, suffix = name.rpartition(".")
    return without_zeros(stem if stem and len(suffix) <= 4 else name)
