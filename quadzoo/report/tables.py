"""Leaderboards as csv and json."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from quadzoo.report.columns import TASK, csv_columns
from quadzoo.report.learning import share_rows
from quadzoo.report.rows import Conflict, Leaderboard, Row, Unreadable
from quadzoo.report.text import json_text, printable

_FORMULA = re.compile(r"\s*[=+@-].")
_NOTHING: dict[str, object] = {
    "data": None, "split": None, "evidence": None, "devices": [], "versions": {}, "rows": [],
}  # fmt: skip


def to_csv(boards: Sequence[Leaderboard]) -> str:
    """Return the rows of all leaderboards as CSV, with the columns of `COLUMNS` and `TASK`."""
    return _csv([(board, board.rows) for board in boards])


def shares_to_csv(boards: Sequence[Leaderboard]) -> str:
    """Return the rows of all leaderboards on each share of the training images, with the same columns."""
    return _csv([(board, share_rows(board)) for board in boards])


def _csv(parts: Sequence[tuple[Leaderboard, Sequence[Row]]]) -> str:
    columns = csv_columns([board for board, _ in parts])
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*(_cell(column.name) for column in columns), *(one.name for one in TASK)])
    for board, rows in parts:
        task = [one.value(board) for one in TASK]
        writer.writerows([*map(_cell, (*(column.value(row) for column in columns), *task))] for row in rows)
    return buffer.getvalue()


def _cell(value: object) -> object:
    """Return a value for a cell; a text that a spreadsheet would calculate gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    # The writer does not quote a lone carriage return, at which readers break the line.
    text = printable(value.replace("\r", " "))
    return f"'{text}" if _FORMULA.match(text) else text


def to_json(
    boards: Sequence[Leaderboard], conflicts: Sequence[Conflict] = (), unreadable: Sequence[Unreadable] = ()
) -> str:
    """Return everything as JSON: the first leaderboard, and the ``more`` there are in the same shape.

    ``unreadable`` is for folders without any leaderboard, since each leaderboard has its own.
    """
    first, *more = (
        (board.model_dump(mode="json") for board in boards)
        if boards
        else (_NOTHING | {"unreadable": [one.model_dump(mode="json") for one in unreadable]},)
    )
    document = {**first, "more": more, "conflicts": [one.model_dump(mode="json") for one in conflicts]}
    return json_text(document, indent=1) + "\n"
