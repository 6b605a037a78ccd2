"""The files that a leaderboard is published as."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from quadzoo.errors import QuadzooError
from quadzoo.report.markdown import to_markdown
from quadzoo.report.page import to_html
from quadzoo.report.results import Results
from quadzoo.report.rows import Leaderboard
from quadzoo.report.tables import shares_to_csv, to_csv, to_json
from quadzoo.report.text import listed, printable
from quadzoo.storage import lock, read_regular, write_atomically

FORMATS = ("html", "md", "csv", "json")
SHARES = "learning-curve.csv"

_MOST_BYTES = 1 << 26  # of a leaderboard.json that is looked at


def dropped(out: Path, boards: Sequence[Leaderboard]) -> str:
    """Return the warning that outside predictors of OUT's leaderboard are not in these; nothing without any.

    They are in no record, so every new leaderboard begins without them.
    """
    try:
        before = json.loads(read_regular(out / "leaderboard.json", _MOST_BYTES))
        rows = [row for board in (before, *before["more"]) for row in board["rows"]]
        names = list(dict.fromkeys(str(row["backbone"]) for row in rows if row["outside"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError, QuadzooError):
        return ""
    kept = {row.backbone for board in boards for row in board.rows if row.outside}
    gone = [name for name in names if name not in kept]
    if not gone:
        return ""
    return f"the leaderboard is now without {listed(gone)}: `quadzoo report --external` adds predictions"


def reporting(out: Path) -> AbstractContextManager[object]:
    """Return the lock under which records are read and OUT's leaderboard is written.

    Else of two commands the one that read first might write last, and the table lacks what the other has
    finished. A folder without runs has none: its table is of other folders, and it is for publishing.
    """
    return lock(out / ".leaderboard.lock") if (out / "runs").is_dir() else nullcontext()


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
        "html": lambda: printable(to_html(boards, runs, unreadable)),
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
