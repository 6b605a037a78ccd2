"""Plain tables on stdout."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quadzoo.report.text import printable_line

_LONGEST_WORD = 40  # characters
_NARROW = 13  # characters, of which few words have more


def text_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[str] = (),
    *,
    narrow: bool = False,
) -> Table:
    """Return a table of literal texts; the headings in ``right`` are aligned to the right.

    With ``narrow``, long names are divided after ``_`` and ``-``, too.
    """
    headings, right = list(map(printable_line, headings)), {*map(printable_line, right)}
    rows = [[printable_line(cell) for cell in row] for row in rows]
    if narrow:
        rows = [[" ".join(map(_divided, cell.split(" "))) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        words = [word for cell in (heading, *(row[place] for row in rows)) for word in cell.split()]
        table.add_column(
            Text(heading),
            justify="right" if heading in right else "left",
            overflow="fold",
            # Words are not cut, but for very long ones.
            min_width=min(_LONGEST_WORD, max(map(cell_len, words), default=1)),
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _divided(word: str) -> str:
    """Return a word in lines; each is as long as a narrow column allows."""
    lines = [""]
    for part in re.findall(r"[^_-]*[_-]|[^_-]+", word):
        if lines[-1] and cell_len(lines[-1] + part) > _NARROW:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def width_of(table: Table, wrapped: bool = False) -> int:
    """Return the width of a table in characters, with its cells wrapped at every space or not at all."""
    measured = Console(width=10_000).measure(table)
    return measured.minimum if wrapped else measured.maximum


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal; without a terminal, every row is one line."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=width_of(table))
    elif width_of(table) > console.width >= width_of(table, wrapped=True):
        _share_out(table, console.width)
    console.print(table)


def _share_out(table: Table, width: int) -> None:
    """Set the widths of columns so that no word is cut: rich takes from all columns that can be wrapped."""
    lowest = [column.min_width or 1 for column in table.columns]
    widest = [
        max(cell_len(line) for cell in (column.header, *column.cells) for line in str(cell).split("\n"))
        for column in table.columns
    ]
    room = width - width_of(table, wrapped=True)
    # Those that need least are the first to be whole.
    for place in sorted(range(len(lowest)), key=lambda place: widest[place] - lowest[place]):
        more = min(room, widest[place] - lowest[place])
        table.columns[place].width = lowest[place] + more
        room -= more
