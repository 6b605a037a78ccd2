"""Complete a request for a table: where its images are, which column names them, which are targets."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from quadzoo.data.finder import ImageFinder, is_image
from quadzoo.data.findings import KEPT, Finding, Severity
from quadzoo.data.numbers import Column, is_missing, number
from quadzoo.data.spreadsheets import sheets
from quadzoo.data.tables import column, open_table
from quadzoo.data.texts import folded, key, listed, quoted, where

LEFT_OUT = "column-left-out"
_TEXT = "it holds text"
_MOSTLY = 0.5  # of the cells that are not empty
_WHOLE = 0.8  # of all cells: a column with fewer numbers would cost too many rows
_NO_NUMBERS = ("dates", "times", "true or false")  # which most tables do not mean as targets
_FEW = 0.05  # of the cells: so few that are written in another way are faults of their rows
_DIFFERENT = 0.9  # of the images that a column of plain names finds
_MOST_COLUMNS = 64  # all of which are looked at for names of images
_SAMPLE = 50  # ids that are looked for in each folder
_MOST_FOLDERS = 100  # beside a table
_MOST_TARGETS = 16  # more columns of numbers are features, or need a word
ROLES = frozenset({"split", "subset", "partition", "fold"})  # columns that say what a row is for
# Columns whose name has one of these words and whose cells are 1 to the number of rows, in any order.
_NUMBERING = re.compile(r"(?<![^\W_])(nr|no|num|number|nummer|n°|idx|index|id|row|lfd|serial)(?![^\W_])|#")
_FEWEST_COUNTED = 10  # rows: fewer targets may be 1, 2, 3 …
_ROW_NUMBERS = re.compile(r"|id|#|nr\.?|no\.?|row|index|idx|unnamed: ?\d+|level_0")
_ONE_OF_MANY = re.compile(
    r"(patient|subject|person|participant|proband|animal|case|site|hospital|clinic|center|centre|group|family"
    r"|session|series|scan|study|batch|plate|well|camera|device|plot|tree|plant|field|farm|location|user)"
    r"([ _-]?(id|nr|no|number|name|code))?"
)


@dataclass
class Guesses:
    """What is known of a table's images, its id column and its targets, and how it was found.

    ``told`` says in sentences what was taken; ``left_out`` are findings about columns that were not. A bench
    does not go on without being told where there are ``doubts``, or a warning about a column.
    """

    images: Path | None
    id_column: str | None
    targets: tuple[str, ...] | None
    group_column: str | None
    told: list[str] = field(default_factory=list)
    left_out: list[Finding] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def complete(
    table: Path,
    images: Path | None,
    id_column: str | None,
    targets: tuple[str, ...] | None,
    group_column: str | None,
    *,
    masked: bool = False,
) -> Guesses:
    """Find what is None of a table's images, id column and targets; nothing is taken for a group column.

    ``masked`` says that rows may lack targets: then cells are counted without empty ones. Targets may remain
    empty: no column can be one. Raises DataError for a table that cannot be read, or a folder or column that
    is not there.
    """
    known = Guesses(images, id_column, targets, group_column)
    with open_table(table) as (header, rows):
        if id_column:
            column(table, header, id_column, "id_column")
        first = [cells for _, cells in islice(rows, _SAMPLE)]
    if not (images and id_column):
        _find_images(table, known, header, first)
    known.id_column = known.id_column or "id"
    if targets is None:
        _find_targets(table, known, masked=masked)
    return known


def _find_images(table: Path, known: Guesses, header: list[str], rows: list[list[str]]) -> None:
    """Choose the folder and the column by which most of the first rows find their images.

    Any column may name them, even where there is one ``id``: that may number the rows.
    """
    whole = [cells for cells in rows if len(cells) == len(header)]
    names = [known.id_column] if known.id_column else _may_name(known, header, whole)
    columns = {name: [key(row[header.index(name)]) for row in whole] for name in names}
    found: list[_Found] = []
    for rank, folder in enumerate([known.images] if known.images else _folders(table.parent)):
        finder = ImageFinder(folder)
        for name, cells in columns.items():
            files = list(map(finder.file_of, cells))
            if any(files):  # the table's own folder goes before those in it
                found.append(_Found(finder, name, files, min(rank, 1), sum(map(is_image, cells))))
    if not found and (meant := _meant(known, table, columns)):
        known.images, known.id_column = meant.folder, meant.column  # each row will say what it means
        return
    if not found:
        _without_images(table, known, header, known.id_column or ("id" if header.count("id") == 1 else None))
        return
    best = max(found, key=lambda one: (one.often, one.column == "id", -one.rank, one.suffixes))
    clear = {one.column for one in found if one.folder == best.folder and one.often > _MOSTLY * best.often}
    found += [_loosely(best.finder, name, cells) for name, cells in columns.items() if name not in clear]
    if doubt := next((text for one in found if (text := _doubt(table, header, best, one))), None):
        known.doubts.append(doubt)
    if not known.images:
        known.told.append(f"the images are in {where(best.folder)}")
    if known.id_column is None and best.column != "id":
        known.told.append(f"column {quoted(best.column)} names the images")
    known.images, known.id_column = best.folder, best.column


def _meant(known: Guesses, table: Path, columns: dict[str, list[str]]) -> _Found | None:
    """Return the folder and the column whose names of files mean most of the first rows' images.

    They are written in another way, such as paths of another machine.
    """
    folders = [known.images] if known.images else _folders(table.parent)
    loose = [
        _loosely(ImageFinder(folder), name, cells) for folder in folders for name, cells in columns.items()
    ]
    best = max(loose, key=lambda one: one.often, default=None)
    return best if best and best.often > _MOSTLY * len(best.files) else None


def _may_name(known: Guesses, header: list[str], rows: list[list[str]]) -> list[str]:
    """Return the columns that may name images; of a wide table not those of decimals, to look at less."""
    asked = (known.group_column, *(known.targets or ()))
    free = [one for one in header if one and header.count(one) == 1 and (one == "id" or one not in asked)]
    if len(free) <= _MOST_COLUMNS:
        return free
    return [one for one in free if not all(number(row[header.index(one)]) % 1 > 0 for row in rows)]


@dataclass
class _Found:
    """The images that the first rows find in a folder by a column, None where one finds none.

    ``rank`` is 0 for the table's own folder and for one that was asked for, 2 for what is found loosely;
    ``suffixes`` counts cells that end as the names of images do.
    """

    finder: ImageFinder
    column: str
    files: list[str | None]
    rank: int
    suffixes: int

    def __post_init__(self) -> None:
        self.often = len(self.files) - self.files.count(None)
        self.folder = self.finder.folder

    def unlike(self, other: _Found) -> int | None:
        """Return the first row whose two images are different ones."""
        pairs = enumerate(zip(self.files, other.files, strict=True))
        return next(
            (row for row, (one, two) in pairs if one and two and self.folder / one != other.folder / two),
            None,
        )

    def may_be_meant(self, best: _Found) -> bool:
        """Say whether this may name the images, and not the best: names of files, or as many different ones.

        Numbers that happen to be names of images, in fewer rows than names of files, are not meant.
        """
        if self.suffixes > _MOSTLY * len(self.files):
            return self.often >= _MOSTLY * best.often
        if best.suffixes > _MOSTLY * len(best.files) and self.often < best.often and self.column != "id":
            return False
        return min(self.often, len({*self.files} - {None}) / _DIFFERENT) >= _DIFFERENT * best.often


def _loosely(finder: ImageFinder, column: str, cells: list[str]) -> _Found:
    """Return the images that names of image files mean, such as paths of another machine."""
    files = [finder.meant(cell) if is_image(cell) else None for cell in cells]
    return _Found(finder, column, files, 2, sum(map(is_image, cells)))


def _doubt(table: Path, header: list[str], best: _Found, other: _Found) -> str:
    """Say why another folder or column than the best may be meant; empty where there is no doubt."""
    level = (other.often, other.rank) == (best.often, best.rank)
    if other.column == best.column:
        places = f"{where(best.folder)} or {where(other.folder)}"
        return f"images may be in {places}; say which with `images`" if level and other is not best else ""
    both = f"columns {quoted(best.column)} and {quoted(other.column)}"
    row = best.unlike(other)
    if row is None and (other.folder == best.folder or any(map(_both, best.files, other.files))):
        return f"{both} name images; say which with `id_column`" if level and best.column != "id" else ""
    if not (other.may_be_meant(best) and _names_images(table, header, other)):
        return ""
    if other.folder != best.folder:
        places = f"{where(best.folder)} and {where(other.folder)}"
        return f"{both} name images, in {places}; say which with `id_column` and `images`"
    files = f"{quoted(str(best.files[row or 0]))} and {quoted(str(other.files[row or 0]))}"
    return f"{both} name different images ({files} in one row); say which with `id_column`"


def _both(one: str | None, other: str | None) -> bool:
    return bool(one and other)


def _names_images(table: Path, header: list[str], found: _Found) -> bool:
    """Say whether a column that finds images means them, and does not count or measure.

    It does where its cells have the suffixes of images, or are in nearly all rows the name of another one:
    ages, too, name images where these are numbered, but the same ones again and again.
    """
    at, files, suffixes = header.index(found.column), Counter[str](), 0
    with open_table(table) as (_, rows):
        for _, cells in rows:
            if len(cells) == len(header) and (file := found.finder.file_of(key(cells[at]))):
                files[file] += 1
                suffixes += is_image(cells[at].strip())
    if suffixes > _MOSTLY * files.total():
        return len(files) > 1
    return len(files) >= _DIFFERENT * files.total()


def _without_images(table: Path, known: Guesses, header: list[str], named: str | None) -> None:
    sheet = sheets(table)
    if not known.images:
        known.doubts.append(
            f"`images`: no image of the first rows is in {where(table.parent)} or a folder in it; name theirs"
            + f" ({sheet})" * bool(sheet)
        )
    if not named:
        has = sheet or f"it has {listed(header)}"
        known.doubts.append(f"no column 'id' (`id_column`), and none whose cells name images; {has}")
    known.images, known.id_column = known.images or table.parent, named or header[0]


def belongs_together(name: str) -> bool:
    """Say whether a column's name says what an image belongs to, such as a patient."""
    return _ONE_OF_MANY.fullmatch(name.lower()) is not None


def _folders(beside: Path) -> Iterator[Path]:
    """Yield the folder of a table and those in it."""
    yield beside
    try:
        inside = sorted(one for one in beside.iterdir() if one.is_dir() and not one.name.startswith("."))
    except OSError:
        return
    yield from inside[:_MOST_FOLDERS]


def _find_targets(table: Path, known: Guesses, *, masked: bool) -> None:
    """Take the columns that hold numbers in most rows, and say why the others are left out."""
    header, columns, n = _read(table)
    taken: list[str] = []
    reasons: dict[tuple[Severity, str], list[str]] = {}
    for name, seen in zip(header, columns, strict=True):
        if name in (known.id_column, known.group_column) or folded(name) in ROLES:
            continue
        reason = _reason(name, header, seen, n, masked=masked)
        if reason is None:
            taken.append(name)
        else:
            severity, why, example = reason
            reasons.setdefault((severity, why), []).append(f"{name or '(no name)'}{example}")
    known.targets = tuple(taken)
    for (severity, why), names in reasons.items():
        text = f"column that is not taken as a target, since {why}"
        known.left_out.append(
            Finding(severity=severity, code=LEFT_OUT, count=len(names), text=text, examples=names[:KEPT])
        )
    if taken:
        known.told.append(f"the target{'s are' * (len(taken) > 1) or ' is'} {listed(taken)}")
    if not taken:
        hint = next((f" ({names[0]}: {why})" for (_, why), names in reasons.items() if why != _TEXT), "")
        known.doubts.append(
            f"no column mostly holds numbers{hint}; name the targets with `targets`, of {listed(header)}"
        )
    elif len(taken) > _MOST_TARGETS:
        known.doubts.append(f"`targets`: {len(taken):,} columns hold numbers; name those to predict")


def _read(table: Path) -> tuple[list[str], list[_Cells], int]:
    n = 0
    with open_table(table) as (header, rows):
        columns = [_Cells(name) for name in header]
        for row, cells in rows:
            if len(cells) == len(header) and cells != header:
                n += 1
                for seen, cell in zip(columns, cells, strict=True):
                    seen.add(row, cell)
    return header, columns, n


@dataclass
class _Cells:
    """What the cells of a column are."""

    name: str
    low: float = math.inf
    high: float = -math.inf
    whole: bool = True
    texts: int = 0
    sums: tuple[float, float] = (0.0, 0.0)  # of the numbers, and of their squares

    def __post_init__(self) -> None:
        self.column = Column(self.name)

    def counts_up_to(self, n: int) -> bool:
        """Whether the cells of n rows are 1 to n, in any order, or 0 to n - 1."""
        all_there = n >= _FEWEST_COUNTED and self.low in (0, 1) and self.high - self.low == n - 1
        # Sums of values and of squares tell apart what repeats one and lacks another, but for freaks.
        values = range(int(self.low), int(self.low) + n) if all_there else ()
        return all_there and self.sums == (sum(values), sum(one * one for one in values))

    def add(self, row: int, cell: str) -> None:
        value = number(cell)
        if math.isnan(value):
            self.texts += 1
            if self.texts > 200 and not self.column.kinds["number"] and not is_missing(cell):  # words
                return
        else:
            self.low, self.high = min(self.low, value), max(self.high, value)
            self.whole = self.whole and value == math.floor(value)
            self.sums = self.sums[0] + value, self.sums[1] + value * value
        self.column.see(row, cell, value)


def _reason(
    name: str, header: list[str], seen: _Cells, n: int, *, masked: bool
) -> tuple[Severity, str, str] | None:
    """Say why a column is no target: how grave that is, why, and an example; None for one that is."""
    numbers, empty = seen.column.kinds["number"], seen.column.kinds["empty cells"]
    expected = n - empty if masked else n
    usual = {
        "it has no name": not name,
        "several have its name": header.count(name) > 1,
        "it is empty": empty == n,
        "it is the same number in every row": numbers >= _WHOLE * expected and seen.low == seen.high,
        "it numbers the rows": seen.whole
        and (
            _ROW_NUMBERS.fullmatch(name.lower()) is not None
            or (_NUMBERING.search(name.lower()) is not None and seen.counts_up_to(n))
        ),
        "it says what an image belongs to, by its name": seen.whole and belongs_together(name),
    }
    why = next((why for why, holds in usual.items() if holds), None)
    if why and (numbers >= _WHOLE * expected or empty == n or not name):
        return "note", why, ""
    return _mendable(seen.column, n) or (
        ("note", _TEXT, "")
        if numbers <= _MOSTLY * (n - empty)
        else _incomplete(seen.column, expected, 0 if masked else empty)
    )


def stops_a_bench(finding: Finding) -> bool:
    """Say whether a column was left out that may be a target, so that a bench is to be told which are."""
    return (finding.code, finding.severity) == (LEFT_OUT, "warning")


def _mendable(column: Column, n: int) -> tuple[Severity, str, str] | None:
    """Say how to mend a column whose cells are numbers written in another way."""
    kinds = column.kinds
    others = {kind: count for kind, count in kinds.items() if kind not in ("number", "empty cells", "text")}
    worst = max(others, key=others.__getitem__, default="")
    filled = n - kinds["empty cells"]
    if not worst or others[worst] + kinds["number"] <= _MOSTLY * filled or others[worst] <= _FEW * filled:
        return None
    row, text = column.first[worst]
    mend = column.mend(text)
    severity: Severity = "note" if worst in _NO_NUMBERS else "warning"
    return severity, f"it has {_named(column, worst)}", f" (row {row}: {quoted(text)}{mend and f'; {mend}'})"


def _incomplete(column: Column, n: int, empty: int) -> tuple[Severity, str, str] | None:
    """Say what keeps a column of numbers from being one in most of ``n`` rows, of which some are empty."""
    numbers = column.kinds["number"]
    if numbers >= _WHOLE * n:
        return None
    others = (kind for kind in column.first if kind not in ("points", "empty cells"))
    row, text = column.first["empty cells" if empty else next(others)]
    if empty:
        return "warning", "many of its cells are empty", f" ({empty:,} of {n:,}, as in row {row})"
    return (
        "warning",
        "many of its cells are no numbers",
        f" ({n - numbers:,} of {n:,}; row {row}: {quoted(text)})",
    )


def _named(column: Column, kind: str) -> str:
    if kind != "commas":
        return kind
    return {"thousands": "thousands separators", "decimals": "decimal commas"}.get(
        column.comma_is, "commas in numbers"
    )
