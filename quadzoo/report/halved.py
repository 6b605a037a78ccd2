"""Rows that `halving` has stopped before they were trained in full."""

from __future__ import annotations

from quadzoo.report.column import Column
from quadzoo.report.rows import Leaderboard, Row


def _text(row: Row) -> str:
    return row.halved.text if row.halved else ""


HALVED: Column[Row] = Column(
    name="halved",
    heading="stopped",
    meaning="where `--halving` stopped the row: its val MSE after a part of the epochs on one seed, its "
    "place by that, and how many went on; such a row is incomplete, and has no rank",
    value=lambda row: row.halved.text if row.halved else None,
    text=_text,
    number=False,
    priority=3,
)


def halved(board: Leaderboard) -> str:
    """Return how many rows were not trained in full, and why; nothing where all were."""
    rows = [row for row in board.rows if row.halved]
    if not rows:
        return ""
    were = "row was" if len(rows) == 1 else "rows were"
    before = " Scores that some of them have are of runs from before." * any(
        row.val_mse is not None for row in rows
    )
    return (
        f"{len(rows)} {were} not trained in full: successive halving compared rows by their val MSE after a "
        f"part of the epochs on one seed. In full they may have done better; they have no rank.{before}"
    )
