"""The one reader of tables: cells as they were written, no guessing of types, no shifting of columns."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from quadzoo.data.spreadsheets import SPREADSHEETS, sheets, spreadsheet
from quadzoo.data.texts import key, listed, nearest, quoted, where
from quadzoo.errors import DataError
from quadzoo.storage import open_regular

_DELIMITERS = (",", ";", "\t", "|")
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # how spreadsheets note the delimiter
_SAMPLE, _LONGEST_SAMPLE = 50, 1 << 20  # lines that are looked at for what separates cells; characters
_LONGEST_CELL = 64 << 20  # characters
_ODD_ENDS = {
    "\x0b": "vertical tabs",
    "\x0c": "form feeds",
    "\x1e": "record separators",
    "\x85": "next-line signs",
    "\u2028": "line separators",
    "\u2029": "paragraph separators",
}
_NO_TABLES = {
    codecs.BOM_UTF32_LE: "text in UTF-32; save it as CSV, encoded as UTF-8",  # begins like UTF-16
    codecs.BOM_UTF32_BE: "text in UTF-32; save it as CSV, encoded as UTF-8",
    b"\x1f\x8b": "a gzip file; unpack it first (gunzip)",
    b"BZh": "a bzip2 file; unpack it first",
    b"\xfd7zXZ": "an xz file; unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstd file; unpack it first",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save it as CSV (UTF-8) or xlsx",
    b"SQLite format 3": "a database; save a table of it as CSV",
    b"%PDF": "a PDF; name a table",
    b"\x89PNG": "an image; name a table",
    b"\xff\xd8\xff": "an image; name a table",
    b"{": "JSON; save it as CSV",
    b"[": "JSON; save it as CSV",
    b"<": "HTML or XML; save it as CSV",
}

Rows = Iterator[tuple[int, list[str]]]

csv.field_size_limit(_LONGEST_CELL)


@contextmanager
def open_table(table: Path) -> Iterator[tuple[list[str], Rows]]:
    """Open a table; yield its header and its rows, each with the number of its first line.

    Cells stay text: pandas would read the id 001 as 1, 1e5 as 100000.0 and NA as missing, and would shift
    the columns of a row that has a cell too many. Cells are separated by what a first line ``sep=;`` says,
    else by commas, semicolons, tabs or |, whichever splits most of the first rows into as many cells as the
    header, then the header into most; empty lines are skipped. The text is UTF-8, or UTF-16 with a byte-order
    mark. An xlsx or parquet file is read by what it shows. Raises DataError for a file that cannot be read in
    these ways or has no header, and for a pipe or a device, whose reading might never end.
    """
    try:
        with open_regular(table, follow=True) as binary:
            beginning = binary.read(2048)
            utf16 = beginning[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            kind = next((kind for magic, kind in SPREADSHEETS.items() if beginning.startswith(magic)), None)
            if kind:
                yield _with_header(table, spreadsheet(table, kind))
                return
            _refuse(table, beginning, utf16)
            binary.seek(0)
            file = io.TextIOWrapper(binary, encoding="utf-16" if utf16 else "utf-8-sig", newline="")
            lines = _first(line for line in _lines(table, file) if line.strip())
            _refuse_odd_ends(table, lines)
            said = _SEP.fullmatch(lines[0]) if lines else None
            file.seek(0)
            delimiter = said[1] if said else _delimiter(lines)
            reader = csv.reader(_lines(table, file), delimiter=delimiter, strict=True)
            yield _with_header(table, _rows(table, reader, said))
    except UnicodeError as error:
        raise DataError(f"{where(table)}: {_not_text(table, error)}") from error
    except OSError as error:
        raise DataError(f"{where(table)}: cannot be read ({error.strerror or error})") from error


def _refuse_odd_ends(table: Path, lines: Sequence[str]) -> None:
    """Raise DataError for a text whose lines end in what is no end of a line in CSV."""
    if len(lines) == 1:
        for sign, name in _ODD_ENDS.items():
            if sign in lines[0].strip():
                code = f"U+{ord(sign):04X}"
                raise DataError(
                    f"{where(table)}: its lines end in {name} ({code}); save it with line feeds (U+000A)"
                )


def _lines(table: Path, file: IO[str]) -> Iterator[str]:
    """Yield the lines of a text. Raises DataError for one that is too long to be held in memory."""
    while line := file.readline(_LONGEST_CELL):
        if len(line) == _LONGEST_CELL:
            raise DataError(f"{where(table)}: not a table: it has a line of {_LONGEST_CELL:,} characters")
        yield line


def _with_header(table: Path, rows: Rows) -> tuple[list[str], Rows]:
    _, header = next(rows, (0, []))
    names = [key(cell) for cell in header]
    if not any(names):
        what = "its first line names no columns" if header else "the file is empty"
        raise DataError(f"{where(table)}: {what}; a table has the names of its columns above its rows")
    return names, rows


def _rows(table: Path, reader: Iterator[list[str]], said: re.Match[str] | None) -> Rows:
    """Yield the rows of a CSV. Raises DataError, naming the row where a broken one begins."""
    begins = 1
    try:
        while True:
            begins = reader.line_num + 1  # type: ignore[attr-defined]
            cells = next(reader, None)
            if cells is None:
                return
            if not any(cells) or (said and begins == 1):
                continue
            if "\0" in "".join(cells):
                if not "".join(cells).strip("\0"):  # a file that was padded
                    continue
                raise DataError(
                    f"{where(table)}: row {begins}: holds a NUL character; save the table as text"
                )
            yield begins, cells
    except csv.Error as error:
        ends = reader.line_num  # type: ignore[attr-defined]
        until = f" and goes on to row {ends}" if ends > begins else ""
        raise DataError(
            f"{where(table)}: row {begins}: not a table: a quoted cell begins there{until} ({error}); close "
            'its quotes, and write a quote inside it twice: ""'
        ) from error


def _refuse(table: Path, beginning: bytes, utf16: bool) -> None:
    """Raise DataError for a file that is no text, by how it begins."""
    for magic, what in _NO_TABLES.items():
        if beginning.startswith(magic):
            raise DataError(f"{where(table)}: this is {what}")
    if not utf16 and b"\0" in beginning.rstrip(b"\0"):
        raise DataError(
            f"{where(table)}: not text, or UTF-16 without a byte-order mark; save it as CSV, encoded as UTF-8"
        )


def _not_text(table: Path, error: UnicodeError) -> str:
    """Say in which row a file is not the text that it should be."""
    said = "save the table as UTF-8 (in Excel: CSV UTF-8)"
    if not isinstance(error, UnicodeDecodeError) or error.encoding.startswith("utf-16"):
        return f"cannot be read as UTF-16 text ({error}); {said}"
    with open_regular(table, follow=True) as binary:
        for row, line in enumerate(iter(lambda: binary.readline(_LONGEST_CELL), b""), 1):
            try:
                line.decode("utf-8-sig")
            except UnicodeDecodeError as bad:
                around = line[max(0, bad.start - 12) : bad.start + 12].decode("cp1252", "replace")
                byte = f"byte 0x{line[bad.start]:02x}, in {quoted(around.strip())}"
                return f"row {row}: cannot be read as UTF-8 text ({byte}); {said}"
    return f"cannot be read as UTF-8 text ({error}); {said}"


def _first(lines: Iterator[str]) -> list[str]:
    """Return the first lines: enough to see how cells are separated, and no more than memory bears."""
    first: list[str] = []
    for line in islice(lines, _SAMPLE):
        first.append(line)
        if sum(map(len, first)) > _LONGEST_SAMPLE:
            break
    return first


def _delimiter(lines: list[str]) -> str:
    """Return what splits most of the rows into as many cells as the header, then the header into most."""

    def fit(delimiter: str) -> tuple[bool, float, int]:
        header, *others = (len(row) for row in csv.reader(lines, delimiter=delimiter))
        others = others[: _SAMPLE // 2] if len(lines) == _SAMPLE else others  # a quote may be open at the end
        alike = sum(cells == header for cells in others) / max(1, len(others))
        return header > 1, alike, header

    return max(_DELIMITERS, key=fit) if lines else ","


def column(table: Path, header: list[str], name: str, parameter: str) -> int:
    """Return the position of the column that a parameter names.

    Raises DataError, naming the parameter and the nearest names, unless there is exactly one.
    """
    name = key(name)
    if header.count(name) > 1:
        raise DataError(
            f"{where(table)}: more than one column {quoted(name)} (`{parameter}`): columns "
            f"{listed([str(at) for at, one in enumerate(header, 1) if one == name])}; rename all but one"
        )
    if name not in header:
        near = [quoted(one) for one in nearest(name, header)]
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        if not near and (said := sheets(table)):
            meant = f"{said}; "
        raise DataError(
            f"{where(table)}: no column {quoted(name)} (`{parameter}`); {meant}{no_header(header)}it has "
            f"{listed(header)}"
        )
    return header.index(name)


def names_image(header: Sequence[str], at: int) -> str:
    """Say that the first line of a table names an image in that column, and how to mend it."""
    name = quoted(header[at])
    return f"names an image ({name}), not columns; put a line with the names of the columns above it"


def no_header(header: Sequence[str]) -> str:
    """Say that the first line of a table seems to be a row, where one of its cells is a number."""
    at = next((cell for cell in header if re.fullmatch(r"[+-]?\d+([.,]\d+)?", cell)), None)
    return f"the first line seems to be a row ({quoted(at)}): put one with names above it; " if at else ""
