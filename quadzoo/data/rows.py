"""Read the rows of a table: which image, which targets, which group; and what is wrong with the others."""

from __future__ import annotations

import csv
import math
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from quadzoo.data.finder import ImageFinder, NotFound
from quadzoo.data.numbers import LARGEST, Column, is_missing, number
from quadzoo.data.sides import OwnDivisions
from quadzoo.data.tables import column, names_image, no_header, open_table
from quadzoo.data.texts import folded, key, listed, plural, quoted, where

Kind = Literal["row", "id", "repeated", "missing target", "target", "group", "image", "side"]

_NO_GROUP = frozenset({"", "nan", "<na>", "null", "none", "n/a", "#n/a"})  # NA may be North America
_NO_NUMBER = "write the number, or leave the cell empty and say `missing_targets` mask"
_MOST_REPEATED = 64  # columns whose values are counted, to suggest a group column
_DIFFERENT = 64  # values that a column may have before it is asked whether most are different


@dataclass(frozen=True)
class Fault:
    """A row that cannot be used, and its image where it has one; ``text`` is the message."""

    kind: Kind
    row: int
    text: str
    file: str | None = None


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are read; ``kind_of`` returns an image's sort by a cell of ``kind_column``.

    ``masked`` says that rows may lack targets.
    """

    id_column: str
    targets: tuple[str, ...]
    group_column: str | None
    kind_column: str | None = None
    kind_of: Callable[[str], str] = str
    masked: bool = False


@dataclass
class TableRows:
    """The N usable rows of a table, and the faults of the others.

    ``values`` has N × T numbers, NaN where rows may lack a target; rows that lack all are in ``unlabelled``,
    by line, with the id and the file of the image. ``columns`` say how those of each target are written;
    ``repeated`` has the columns whose values repeat, with their counts; ``divisions`` those that seem to
    divide the images, with what they hold.
    """

    table: Path
    ids: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    lines: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    groups: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    repeated: dict[str, Counter[str]] = field(default_factory=dict)
    divisions: dict[str, str] = field(default_factory=dict)
    unlabelled: dict[int, tuple[str, str]] = field(default_factory=dict)


class _Unusable(Exception):
    """Why a row cannot be used."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def read_rows(table: Path, finder: ImageFinder, wanted: Columns) -> TableRows:
    """Return the rows of a table. Raises DataError for one that cannot be read or lacks a column."""
    with open_table(table) as (header, rows):
        reader = _RowReader(table, header, finder, wanted)
        for line, cells in rows:
            reader.read(line, cells)
    return reader.finished()


class _RowReader:
    """Reads the rows of one table, one after the other."""

    def __init__(self, table: Path, header: list[str], finder: ImageFinder, wanted: Columns) -> None:
        self.found = TableRows(table)
        self._header, self._finder, self._wanted = header, finder, wanted
        self._id_at = column(table, header, wanted.id_column, "id_column")
        self._targets_at = [column(table, header, target, "targets") for target in wanted.targets]
        self._group_at = (
            column(table, header, wanted.group_column, "group_column") if wanted.group_column else None
        )
        if no_header(header) and finder.finds(header[self._id_at]):
            self._fault("row", 1, names_image(header, self._id_at))
        self._kind_at = header.index(wanted.kind_column) if wanted.kind_column in header else None
        self.found.columns = [Column(target) for target in wanted.targets]
        used = {self._id_at, *self._targets_at}
        others = [at for at, name in enumerate(header) if at not in used and header.count(name) == 1 and name]
        self._others = {} if wanted.group_column else {at: Counter[str]() for at in others[:_MOST_REPEATED]}
        known = used if self._group_at is None else {*used, self._group_at}
        self._divisions = OwnDivisions(header, known)
        self._place: dict[str, int] = {}  # of a file, in the rows
        self._unread: list[tuple[int, int, str]] = []  # fault, target, cell
        self._with_lines: list[tuple[int, str, list[str]]] = []  # row, column, lines of a cell

    def read(self, line: int, cells: list[str]) -> None:
        """Read a row."""
        file = None
        try:
            if len(cells) != len(self._header):
                wide = f"{plural(len(cells), 'cell')} where the header has {len(self._header)}"
                raise _Unusable("row", wide)
            if cells == self._header and len(set(cells)) == len(cells):
                raise _Unusable("row", "the header again; delete this row")
            if any("\n" in cell for cell in cells):
                self._note_lines(line, cells)
            identity = key(cells[self._id_at])
            if "\n" in identity:
                raise _Unusable(
                    "row", f'the id goes over several lines ({quoted(identity)}); delete the stray "'
                )
            try:
                file = self._finder.find(identity)
            except NotFound as error:
                raise _Unusable("id" if error.is_id else "image", str(error)) from None
            if self._lacks_all(cells):
                self.found.unlabelled[line] = identity, file
                return
            if file in self._place:
                raise _Unusable("repeated", self._again(identity, self._place[file], cells))
            numbers = [self._number(index, line, cells[at]) for index, at in enumerate(self._targets_at)]
            group = self._group(cells)
        except _Unusable as error:
            self._fault(error.kind, line, str(error), file)
            return
        found = self.found
        self._place[file] = len(found.ids)
        found.ids.append(identity)
        found.files.append(file)
        found.lines.append(line)
        found.values.extend(numbers)
        if group is not None:
            found.groups.append(group)
        if self._kind_at is not None:
            found.kinds.append(self._wanted.kind_of(cells[self._kind_at]))
        self._count(cells)
        self._divisions.see(cells)

    def finished(self) -> TableRows:
        """Return all that was read."""
        found = self.found
        for index, target, cell in self._unread:  # how to mend a cell depends on the others of its column
            mend = found.columns[target].mend(cell) or _NO_NUMBER
            found.faults[index] = replace(found.faults[index], text=f"{found.faults[index].text}; {mend}")
        for line, name, lines in self._with_lines:
            if lost := self._swallowed(lines):
                self._fault(
                    "row", line, f"a quote that begins in column {quoted(name)} swallows the rows of "
                    f'{listed(lost)}; delete the stray "',
                )  # fmt: skip
        found.faults.sort(key=lambda fault: fault.row)
        n = len(found.ids)
        found.repeated = {
            self._header[at]: counts for at, counts in self._others.items() if len(counts) <= n / 2
        }
        found.divisions = self._divisions.found(found.table)
        return found

    def _fault(self, kind: Kind, line: int, text: str, file: str | None = None) -> None:
        self.found.faults.append(Fault(kind, line, f"{where(self.found.table)}: row {line}: {text}", file))

    def _number(self, target: int, line: int, cell: str) -> float:
        value = number(cell)
        seen = self.found.columns[target]
        seen.see(line, cell, value)
        said = f"target {quoted(seen.name)} is {quoted(cell)}"
        if math.isnan(value):
            if is_missing(cell):
                if self._wanted.masked:
                    return value
                raise _Unusable(
                    "missing target", f"{said}, not a finite number; `missing_targets` mask trains without it"
                )
            self._unread.append((len(self.found.faults), target, cell))
            raise _Unusable("target", f"{said}, not a finite number")
        if abs(value) > LARGEST:
            raise _Unusable("target", f"{said}, beyond {LARGEST:g}; give it in a larger unit")
        return value

    def _lacks_all(self, cells: list[str]) -> bool:
        """Whether a row lacks all targets, and may."""
        masked = self._wanted.masked and bool(self._targets_at)
        return masked and all(is_missing(cells[at]) for at in self._targets_at)

    def _group(self, cells: list[str]) -> str | None:
        if self._group_at is None:
            return None
        group = key(cells[self._group_at])
        if group.lower() in _NO_GROUP:
            raise _Unusable(
                "group",
                f"group {quoted(self._header[self._group_at])} is {quoted(group)}; write its group, or"
                " a name of its own",
            )
        return group

    def _again(self, identity: str, before: int, cells: list[str]) -> str:
        """Say that an image has a row already, and whether that has the same targets."""
        found, n = self.found, len(self._targets_at)
        earlier = found.ids[before]
        said = f"id {quoted(identity)} is also in row {found.lines[before]}"
        said += f" (as {quoted(earlier)})" * (identity != earlier)
        mine = [number(cells[at]) for at in self._targets_at]
        theirs = list(found.values[before * n : (before + 1) * n])
        differing = [at for at in range(n) if not _same(mine[at], theirs[at])]
        if not differing:
            return f"{said}; delete one of the rows"
        name, first, second = found.columns[differing[0]].name, theirs[differing[0]], mine[differing[0]]
        there, here = ("missing" if math.isnan(one) else f"{one:g}" for one in (first, second))
        differ = f"{quoted(name)} is {there} there and {here} here"
        return f"{said}, and targets differ ({differ}); keep one row an image"

    def _count(self, cells: list[str]) -> None:
        """Count the values of columns that may say what belongs together."""
        n = len(self.found.ids)
        for at in list(self._others):
            counts = self._others[at]
            counts[key(cells[at])] += 1
            if len(counts) > _DIFFERENT + n / 2:  # most are different
                del self._others[at]

    def _note_lines(self, line: int, cells: list[str]) -> None:
        for name, cell in zip(self._header, cells, strict=True):
            if "\n" in cell:
                self._with_lines.append((line, name, cell.split("\n")[1:]))

    def _swallowed(self, lines: Sequence[str]) -> list[str]:
        """Return those lines of a cell that look like rows of images that have no row of their own."""
        lost = []
        for line in lines:
            for delimiter in ",;\t|":
                cells = next(csv.reader([line.replace('"', "")], delimiter=delimiter), [])
                identity = key(cells[self._id_at]) if 1 < len(cells) > self._id_at else ""
                if identity and self._finder.finds(identity):
                    if self._finder.find(identity) not in self._place:
                        lost.append(identity)
                    break
        return lost


def _same(one: float, other: float) -> bool:
    """Whether two targets are equal, or both missing."""
    return one == other or (math.isnan(one) and math.isnan(other))


def such_rows(faults: Sequence[Fault], also: Sequence[str] = ()) -> str:
    """Return a message about the first fault, with how many others there are and in which rows.

    ``also`` says what else is wrong.
    """
    first = faults[0]
    same = [str(fault.row) for fault in faults if fault.kind == first.kind]
    others = len(faults) - len(same)
    counts = [f"{len(same):,} such rows: {', '.join(same[:4])}{', …' * (len(same) > 4)}"] * (len(same) > 1)
    counts += [f"{others:,} other fault{'s' * (others > 1)}"] * (others > 0)
    counts += also
    return (
        f"{first.text} ({'; '.join(counts)}; quadzoo data check as JSON shows up to 1,000 of each)"
        if counts
        else first.text
    )


def is_vague(group: str) -> bool:
    """Say whether a group's name may stand for no group: NA, unknown, ?."""
    return is_missing(group) or folded(group) in ("unknown", "unbekannt", "other", "misc")
