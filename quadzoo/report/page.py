"""The leaderboard as one HTML file that needs no other: it opens from disk, and works without scripts."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from PIL import Image

from quadzoo import __version__
from quadzoo.records.predictions import of_targets
from quadzoo.records.record import N_WORST, WORST
from quadzoo.report import plots
from quadzoo.report.answer import answers
from quadzoo.report.baselines import in_words
from quadzoo.report.captions import captions, leak, left_out, size_text, units
from quadzoo.report.column import Value
from quadzoo.report.columns import shown_columns
from quadzoo.report.comparison import ImageComparison, comparison
from quadzoo.report.details import MOST_DETAILED, with_best_rows
from quadzoo.report.doubts import seen
from quadzoo.report.learning import explained, is_of, sentences, share_columns, share_rows
from quadzoo.report.results import Run
from quadzoo.report.rows import Leaderboard, Row, Unreadable
from quadzoo.report.text import percent, short
from quadzoo.storage import read_regular

_DETAILS_BYTES = 2_500_000  # for the details of all rows
_IMAGES_BYTES = 2_000_000
_COMPARISON_BYTES = 1_000_000
PAGE_ROWS = 1000  # of all tables together,
FEWEST_ROWS = 10  # but so many of each
_MOST_BOARDS = 50
_MOST_FAILURES = 200  # of a table
_MOST_TARGETS = 12  # that are shown one by one
_MOST_RMSE = 4  # targets whose RMSE a table keeps however narrow it is
_WIDE, _NARROW = (860, 440), (380, 360)  # pixels of a plot, and of the one for phones
_ALL_ROWS = "All are in leaderboard.csv and leaderboard.json, which `quadzoo report` writes beside this page."
_COSTS: dict[str, Callable[[Row], float | None]] = {
    "latency of one image, ms": lambda row: row.cost.latency_ms,
    "training, s": lambda row: row.cost.fit_seconds,
    "parameters, millions": lambda row: None if row.cost.params is None else row.cost.params / 1e6,
}


def to_html(boards: Sequence[Leaderboard], runs: Sequence[Run], unreadable: Sequence[Unreadable] = ()) -> str:
    """Return the page. ``runs`` are those of the leaderboards: their folders hold the thumbnails.

    The same records give the same bytes. A page of many rows leaves out the details of the last ones, and one
    of very many the last rows, too: it says how many there are, and where.
    ``unreadable`` is for folders without any leaderboard, since each leaderboard has its own.
    """
    page = _Page({run.record.key: run for run in runs}, _DETAILS_BYTES, _IMAGES_BYTES, _COMPARISON_BYTES)
    shown = boards[:_MOST_BOARDS]
    sections = [page.section(f"board-{number}", board) for number, board in enumerate(shown)]
    template = environment().get_template("page.html")
    return template.render(
        sections=sections,
        left_out=left_out(unreadable),
        more_boards=f"{len(shown)} of {len(boards):,} tables are shown, those with most runs. {_ALL_ROWS}"
        if len(shown) < len(boards)
        else "",
        strips=page.strips,
        positions=N_WORST,
        version=__version__,
        cut=page.is_full,
    )


@dataclass(frozen=True)
class Strip:
    """The thumbnails of one run (its key), one below the other, as a data URI.

    ``width`` and ``height`` are of one of them, in pixels; ``last`` is the position of the last one.
    """

    number: int
    run: str
    uri: str
    width: int
    height: int
    last: int


@dataclass
class _Page:
    """What the template needs; ``room`` and the like are the bytes that are left for details and the like."""

    runs: dict[str, Run]
    room: int
    image_room: int
    comparison_room: int
    row_room: int = PAGE_ROWS
    strips: list[Strip] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return self.room <= 0

    def section(self, identity: str, board: Leaderboard) -> dict[str, Any]:
        first, *others = captions(board)
        part = self.part(board)
        failures = [(row, one) for row in board.every_row for one in row.failures]
        return {
            "id": identity,
            "board": board,
            "rows": [(row, self.details(row)) for row in part.rows],
            "cut": _cut(board, part),
            "failures": failures[:_MOST_FAILURES],
            "more_failures": len(failures[_MOST_FAILURES:]),
            "task": first.text,
            "warnings": [caption.text for caption in others if caption.warning],
            "notes": [caption.text for caption in others if not caption.warning],
            "leak": " ".join(text for text in (leak(board), seen(board)) if text),
            "answers": answers(board),
            "columns": shown_columns(board, page=True),
            "units": units(board),
            "plots": _plots(part),
            "to_beat": to_beat[1] if (to_beat := _to_beat(board)) else "",
            "comparison": self.comparison(part),
            "shares": _shares(board),
            "whisker": _whiskers(part),
            "plugins": sorted({one for row in part.rows for one in row.plugins.split(", ")} - {"-"}),
        }

    def part(self, board: Leaderboard) -> Leaderboard:
        """Return a leaderboard with the rows that the page has room for: those that are best by val."""
        room = max(FEWEST_ROWS, min(MOST_DETAILED, self.row_room))
        part = with_best_rows(board, room)
        self.row_room -= len(part.rows)
        return part

    def details(self, row: Row) -> Markup:
        """Return the details of a row: nothing for an answer without any model, or on a full page."""
        if (row.head == "-" and not row.members) or self.is_full:
            return Markup("")
        keys = dict.fromkeys(worst.run for worst in row.details.worst)
        strips = {key: self.strip(self.runs[key]) for key in keys}
        images = [(worst, strips[worst.run]) for worst in row.details.worst]
        figures = [*_learning_curves(row), *self.clouds(row), *_error_bars(row)]
        html: Markup = (
            environment().get_template("details.html").module.details(row, images, figures, _MOST_TARGETS)  # type: ignore[attr-defined]
        )
        self.room -= len(html)
        return html

    def clouds(self, row: Row) -> list[tuple[str, Markup]]:
        """Return captions and plots of truth against prediction, of the row's seed with the best val MSE."""
        chosen = [self.runs[key] for key in row.details.runs if key in self.runs]
        if not chosen:
            return []
        targets = chosen[0].record.targets
        truths, predictions = of_targets(pd.concat([run.test for run in chosen]), targets)
        figures = []
        for target, fit in list(row.details.fits.items())[:_MOST_TARGETS]:
            place = targets.index(target)
            told = (
                f"R² {short(fit.r2) or '–'}, RMSE {short(fit.rmse)}, bias {fit.bias:+.3g}; "
                f"{percent(fit.near)} of {fit.n:,} images within a tenth of the range."
            )
            known = ~np.isnan(truths[:, place])
            cloud = plots.truth(
                truths[known, place],
                predictions[known, place],
                target,
                f"Truth against prediction of {target}",
                told,
            )
            about = (
                f"Truth against prediction of {target}, seed {row.details.worst_seed}: {told} {cloud.told}"
            )
            figures.append((about, cloud.plot))
        return figures

    def comparison(self, board: Leaderboard) -> ImageComparison | None:
        """Return what two rows are compared by, with the thumbnails that the details have."""
        found = comparison(board, self.runs, self.comparison_room)
        if found is None:
            return None
        strips = {strip.run: strip for strip in self.strips}
        thumbnails = {
            identity: [strip.number, position]
            for row in board.rows
            for key in row.details.runs
            if (strip := strips.get(key))
            for position, identity in enumerate(self.runs[key].record.worst)
        }
        places = [thumbnails.get(identity, 0) for identity in found.data["ids"]]
        found = replace(found, data={**found.data, "thumbnails": places})
        self.comparison_room -= found.size
        return found

    def strip(self, run: Run) -> Strip | None:
        """Return the thumbnails of a run; None where they cannot be read, or where the page is full."""
        if self.image_room <= 0:
            return None
        try:
            content = read_regular(run.folder / WORST, _IMAGES_BYTES)
            with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
                width, height = image.size
        except (
            OSError,
            ValueError,
            SyntaxError,
            Image.DecompressionBombError,
        ):  # UnidentifiedImageError, too
            return None
        uri = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
        self.image_room -= len(uri)
        n = max(1, len(run.record.worst))
        self.strips.append(Strip(len(self.strips), run.record.key, uri, width, height // n, n - 1))
        return self.strips[-1]


def _cut(board: Leaderboard, part: Leaderboard) -> str:
    """Say how many rows are shown, and where the others are; nothing where all are."""
    n, shown = len(board.rows), len(part.rows)
    if n == shown:
        return ""
    best = f"{shown:,} of {n:,} rows, those with the lowest val MSE."
    return f"Table, plots and comparison show {best} {_ALL_ROWS}"


def _learning_curves(row: Row) -> list[tuple[str, Markup]]:
    """Return caption and plot of a row's learning curves, where there are some."""
    runs = [
        (f"seed {one.seed}" + (f", fold {one.fold}" if one.fold else ""), one.train_mse, one.val_mse)
        for one in row.details.curves
    ]
    plot = plots.curves(runs, f"Learning curves of {row.name}")
    return [("Learning curves, one line per run: val solid, train dashed.", plot)] if plot else []


def _error_bars(row: Row) -> list[tuple[str, Markup]]:
    """Return captions and plots of the error over the range of each target."""
    figures = []
    for target, bins in list(row.details.bins.items())[:_MOST_TARGETS]:
        parts = [(one.low, one.high, one.rmse) for one in bins]
        figures.append(
            (f"Error over the range of {target}.", plots.bars(parts, target, f"RMSE over {target}"))
        )
    return figures


def _to_beat(board: Leaderboard) -> tuple[float, str] | None:
    """Return the test MSE of the best baseline by val, and what it is; None without one."""
    row = board.best_baseline
    return (row.test_mse, in_words(row.backbone)) if row and row.test_mse else None


def _plots(board: Leaderboard) -> list[tuple[str, Markup, Markup]]:
    """Return a plot of test MSE against each cost, for wide and narrow screens.

    They show the rows measured on the board's device.
    """
    device = board.devices[0] if board.devices else ""
    line = _to_beat(board)
    drawn = []
    for name, cost in _COSTS.items():
        points = [
            plots.Point(x, y, row.test_mse_low or y, row.test_mse_high or y, row.name)
            for row in board.rows
            if row.head != "-" and row.cost.device == device and (x := cost(row)) and (y := row.test_mse)
        ]
        if points:
            title = f"Test MSE against {name}: lower and further left is better"
            wide, narrow = (
                plots.scatter(points, name, "test MSE", line, title, size=size) for size in (_WIDE, _NARROW)
            )
            drawn.append((name, wide, narrow))
    return drawn


def _shares(board: Leaderboard) -> dict[str, Any] | None:
    """Return what the section of the shares of the training images shows; None where there are none."""
    if not board.shares:
        return None
    best = board.best
    lines = []
    for curve in board.shares:
        points = [
            plots.Point(row.n_train, y, row.test_mse_low or y, row.test_mse_high or y, row.name)
            for row in curve.rows
            if row.n_train and (y := row.test_mse)
        ]
        law = [(one.n_train, one.test_mse, one.low, one.high) for one in curve.law.line] if curve.law else []
        if points:
            is_best = best is not None and is_of(best, curve)
            lines.append(plots.ShareLine(points, law, is_best, model=curve.rows[0].head != "-"))
    return {
        "plot": plots.shares(lines, "Test MSE against number of training images") if lines else None,
        "text": explained(board),
        "sentences": sentences(board),
        "columns": share_columns(board),
        "rows": (rows := share_rows(board))[:MOST_DETAILED],
        "more_rows": len(rows[MOST_DETAILED:]),
    }


def _whiskers(board: Leaderboard) -> Callable[[Row], Markup]:
    """Return a function that draws a row's interval; all are on one scale."""
    ends = [end for row in board.rows for end in (row.test_mse_low, row.test_mse_high) if end]
    every = [min(ends), max(ends)] if ends else []

    def draw(row: Row) -> Markup:
        if not row.test_mse_low or not row.test_mse_high or not row.test_mse:
            return Markup("")
        return plots.whisker(row.test_mse_low, row.test_mse, row.test_mse_high, every)

    return draw


def _sort_key(value: Value) -> str:
    """Return what the page sorts a cell by: digits of a number, or a text in lower case."""
    if isinstance(value, float):
        return f"{value:.6g}"  # the last digits of a float differ from one kind of CPU to the next
    return "" if value is None else str(value).lower()


def _source(text: str) -> str:
    """Return a content security policy's name of an inline style or script: the hash of its text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def environment() -> jinja2.Environment:
    """Return what renders the templates."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["size_text"] = size_text
    environment.filters.update(short=short, percent=percent, sort_key=_sort_key, source=_source)
    return environment
