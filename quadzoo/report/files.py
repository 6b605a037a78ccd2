"""The files that a leaderboard is published as."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from quadzoo.report.markdown import to_markdown
from quadzoo.report.page import to_html
from quadzoo.report.results import Results
from quadzoo.report.rows import Leaderboard
from quadzoo.report.tables import shares_to_csv, to_csv, to_json
from quadzoo.storage import write_atomically

FORMATS = ("html", "md", "csv", "json")
SHARES = "learning-curve.csv"


def write_report(
    out: Path,
    boards: Sequence[Leaderboard],
    results: Results,
    formats: Collection[str] = FORMATS,
) -> list[Path]:
    """Write OUT/leaderboard.html, .md, .csv and .json, each whole, and return their paths.

    With csv also OUT/learning-curve.csv, where runs were trained on shares of the training images. Where none
    were, one from before is deleted: it would belong to another table. ``results`` are those that the
    leaderboards were made from.
    """
    runs, conflicts, unreadable, _ = results
    writers = {
        "html": lambda: to_html(boards, runs, unreadable),
        "md": lambda: to_markdown(boards, unreadable),
        "csv": lambda: to_csv(boards),
        "json": lambda: to_json(boards, conflicts, unreadable),
    }
    paths = []
    for name in FORMATS:
        if name in formats:
            paths.append(out / f"leaderboard.{name}")
            write_atomically(paths[-1], writers[name]().encode())
    if "csv" in formats:
        if any(board.shares for board in boards):
            paths.append(out / SHARES)
            write_atomically(paths[-1], shares_to_csv(boards).encode())
        else:
            (out / SHARES).unlink(missing_ok=True)
    return paths
