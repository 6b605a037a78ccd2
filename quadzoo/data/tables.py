"""Read a CSV as it was written: no guessing of types, no shifting of columns."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from quadzoo.errors import DataError

_DELIMITERS = (",", ";", "\t")
_LONGEST_QUOTE = 40  # characters of a cell in a message
_MOST = 8  # names of columns in a message


@contextmanager
def open_table(table: Path) -> Iterator[tuple[list[str], Iterator[tuple[int, list[str]]]]]:
    """Open a CSV; yield its header and its rows, each with the number of its (last) line.

    Cells stay text: pandas would read the id 001 as 1, 1e5 as 100000.0 and NA as missing, and would shift
    the columns of a row that has a cell too many. Cells are separated by commas, semicolons or tabs,
    whichever splits the header into most cells; empty lines are skipped. The text is UTF-8, or UTF-16 with
    a byte-order mark. Raises DataError for a file that cannot be read in this way or has no header.
    """
    try:
        with table.open("rb") as binary:
            utf16 = binary.read(2) in (b"\xff\xfe", b"\xfe\xff")
        with table.open(encoding="utf-16" if utf16 else "utf-8-sig", newline="") as file:
            beginning = list(islice((line for line in file if line.strip()), 2))
            file.seek(0)
            reader = csv.reader(file, delimiter=_delimiter(beginning), strict=True)
            rows = ((reader.line_num, cells) for cells in reader if any(cells))
            _, header = next(rows, (0, []))
            if not header:
                raise DataError(f"{table}: the file is empty")
            yield [cell.strip() for cell in header], rows
    except (OSError, UnicodeError) as error:
        raise DataError(f"{table}: cannot be read as UTF-8 text ({error})") from error
    except csv.Error as error:
        raise DataError(f"{table}: row {reader.line_num}: not a table ({error})") from error


def _delimiter(lines: list[str]) -> str:
    """Return what splits the header into most cells; of equals, what splits the next line into as many."""

    def cells(delimiter: str) -> tuple[int, bool]:
        header, *others = (len(row) for row in csv.reader(lines, delimiter=delimiter))
        return header, others[:1] == [header]

    return max(_DELIMITERS, key=cells) if lines else ","


def column(table: Path, header: list[str], name: str, parameter: str) -> int:
    """Return the position of the column that a parameter names.

    Raises DataError, naming the parameter, unless there is exactly one.
    """
    if header.count(name) != 1:
        problem = "no" if name not in header else "more than one"
        raise DataError(f"{table}: {problem} column {quoted(name)} (`{parameter}`); it has {listed(header)}")
    return header.index(name)


def quoted(text: str) -> str:
    """Return a text in quotes, on one line, cut off where it would make a message too long."""
    return repr(text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…")


def listed(names: Sequence[str]) -> str:
    """Return names with commas between them; of many only the first, and how many others there are."""
    shown = [name if len(name) <= _LONGEST_QUOTE else f"{name[:_LONGEST_QUOTE]}…" for name in names[:_MOST]]
    others = f" and {len(names) - _MOST:,} others" if len(names) > _MOST else ""
    return f"{', '.join(shown)}{others}"


def number(text: str) -> float:
    """Return the finite number that a text stands for; NaN where it is none."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    # float() also takes 1_000 and inf, which no table means as a number.
    return value if math.isfinite(value) and "_" not in text else math.nan
