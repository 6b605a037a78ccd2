"""The files that a suite's leaderboard is published as: html, md, csv and json."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from markupsafe import Markup

from quadzoo import __version__
from quadzoo.report import plots
from quadzoo.report.column import Column, RowT
from quadzoo.report.files import FORMATS
from quadzoo.report.markdown import escaped, line
from quadzoo.report.page import environment
from quadzoo.report.suite.board import SuiteBoard, SuiteRow
from quadzoo.report.suite.columns import all_columns, csv_columns, set_columns
from quadzoo.report.suite.sentences import answers, captions
from quadzoo.report.text import json_text
from quadzoo.storage import write_atomically

NAME = "leaderboard-suite"


def write_suite_report(
    to: Path, board: SuiteBoard, formats: Collection[str] = FORMATS, *, linked: bool = True
) -> list[Path]:
    """Write leaderboard-suite.html, .md, .csv and .json, each whole, and return their paths.

    ``linked`` says whether ``to`` is the suite's own folder, where each set has a page that can be linked to.
    Raises OSError where nothing can be written.
    """
    writers = {
        "html": lambda: to_html(board, linked=linked),
        "md": lambda: to_markdown(board),
        "csv": lambda: to_csv(board),
        "json": lambda: to_json(board),
    }
    paths = []
    for name in FORMATS:
        if name in formats:
            paths.append(to / f"{NAME}.{name}")
            write_atomically(paths[-1], writers[name]().encode())
    return paths


def to_csv(board: SuiteBoard) -> str:
    """Return the rows as CSV, each with its figures on every set."""
    columns = csv_columns(board)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    writer.writerows([column.value(row) for column in columns] for row in board.rows)
    return buffer.getvalue()


def to_json(board: SuiteBoard) -> str:
    """Return everything but the sets' own leaderboards, which are in the sets' folders, as JSON."""
    return json_text(board.model_dump(mode="json"), indent=1) + "\n"


def to_markdown(board: SuiteBoard) -> str:
    """Return the suite as one Markdown page: sentences, a table of rows × sets, and a table of sets."""
    lines = ["# Leaderboard over data sets"]
    for question, answer in answers(board).items():
        lines += ["", f"**{question}** {escaped(answer)}"]
    for caption in captions(board):
        text = escaped(caption.text)
        lines += ["", f"**{text}**" if caption.warning else text]
    lines += _table(all_columns(board), board.rows)
    lines += ["", "## Data sets"]
    lines += _table(set_columns(board), board.sets)
    return "\n".join(lines) + "\n"


def _table(columns: Sequence[Column[RowT]], rows: Sequence[RowT]) -> list[str]:
    head = ["", line([column.heading for column in columns]), line(["---"] * len(columns))]
    return [*head, *(line([column.text(row) for column in columns]) for row in rows)]


def to_html(board: SuiteBoard, *, linked: bool = False) -> str:
    """Return the page, one file that needs no other; ``linked`` names of sets lead to their own pages.

    The same records give the same bytes.
    """
    return (
        environment()
        .get_template("suite.html")
        .render(
            board=board,
            answers=answers(board),
            warnings=[caption.text for caption in captions(board) if caption.warning],
            notes=[caption.text for caption in captions(board) if not caption.warning],
            columns=all_columns(board),
            set_of={f"{one.name}.ratio": one.name for one in board.sets},
            set_columns=set_columns(board),
            whisker=_whiskers(board),
            linked=linked,
            version=__version__,
        )
    )


def _whiskers(board: SuiteBoard) -> Callable[[SuiteRow], Markup]:
    """Return a function that draws the interval of a row's mean rank; all are on one scale."""
    every = [1.0, float(max(2, len(board.ranked)))]

    def draw(row: SuiteRow) -> Markup:
        if row.mean_rank is None or row.mean_rank_low is None or row.mean_rank_high is None:
            return Markup("")
        return plots.whisker(row.mean_rank_low, row.mean_rank, row.mean_rank_high, every, log=False)

    return draw
