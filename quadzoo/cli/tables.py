"""Plain tables on stdout."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> Table:
    """Return a table of literal texts; the headings in ``right`` are aligned to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def width_of(table: Table) -> int:
    """Return the width of a table whose cells are not wrapped, in characters."""
    return Console(width=10_000).measure(table).maximum


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal; without a terminal, every row is one line."""
    console = Console()
    (console if console.is_terminal else Console(width=width_of(table))).print(table)
