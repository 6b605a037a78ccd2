"""The leaderboard as one HTML file that needs no other: it opens from disk, and works without scripts."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image, UnidentifiedImageError

from quadzoo import __version__
from quadzoo.records.record import WORST
from quadzoo.report import plots
from quadzoo.report.answer import answers
from quadzoo.report.captions import captions, leak, left_out, seen
from quadzoo.report.columns import Value, shown_columns
from quadzoo.report.learning import explained, is_of, sentences, share_columns, share_rows
from quadzoo.report.results import Run
from quadzoo.report.rows import Leaderboard, Row, Unreadable, share_of
from quadzoo.report.text import percent, short

_DETAILS_BYTES = 2_500_000  # for the details of all rows
_IMAGES_BYTES = 2_000_000
_MOST_TARGETS = 12  # that are shown one by one
_COSTS: dict[str, Callable[[Row], float | None]] = {
    "latency of one image, ms": lambda row: row.cost.latency_ms,
    "training, s": lambda row: row.cost.fit_seconds,
    "parameters, millions": lambda row: None if row.cost.params is None else row.cost.params / 1e6,
}


def to_html(boards: Sequence[Leaderboard], runs: Sequence[Run], unreadable: Sequence[Unreadable] = ()) -> str:
    """Return the page. ``runs`` are those of the leaderboards: their folders hold the thumbnails.

    The same records give the same bytes. A page of many rows leaves out the details of the last ones.
    ``unreadable`` is for folders without any leaderboard, since each leaderboard has its own.
    """
    page = _Page({run.record.key: run for run in runs}, _DETAILS_BYTES, _IMAGES_BYTES)
    sections = [page.section(f"board-{number}", board) for number, board in enumerate(boards)]
    template = environment().get_template("page.html")
    return template.render(
        sections=sections,
        left_out=left_out(unreadable),
        strips=page.strips,
        version=__version__,
        cut=page.is_full,
    )


@dataclass(frozen=True)
class Strip:
    """The thumbnails of one run, one below the other, as a data URI; sizes in pixels."""

    number: int
    uri: str
    width: int
    height: int


@dataclass
class _Page:
    """What the template needs; ``room`` and ``image_room`` are the bytes that are left for details."""

    runs: dict[str, Run]
    room: int
    image_room: int
    strips: list[Strip] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return self.room <= 0

    def section(self, identity: str, board: Leaderboard) -> dict[str, Any]:
        first, *others = captions(board)
        return {
            "id": identity,
            "board": board,
            "rows": [(row, self.details(row)) for row in board.rows],
            "task": first.text,
            "warnings": [caption.text for caption in others if caption.warning],
            "notes": [caption.text for caption in others if not caption.warning],
            "leak": " ".join(text for text in (leak(board), seen(board)) if text),
            "answers": answers(board),
            "columns": shown_columns(board),
            "plots": _plots(board),
            "shares": _shares(board),
            "whisker": _whiskers(board),
            "plugins": sorted({one for row in board.rows for one in row.plugins.split(", ")} - {"-"}),
        }

    def details(self, row: Row) -> Markup:
        """Return the details of a row: nothing for a row without a model, or on a full page."""
        if row.head == "-" or self.is_full:
            return Markup("")
        keys = dict.fromkeys(worst.run for worst in row.details.worst)
        strips = {key: self.strip(self.runs[key]) for key in keys}
        images = [(worst, strips[worst.run]) for worst in row.details.worst]
        html: Markup = (
            environment()
            .get_template("details.html")
            .module.details(  # type: ignore[attr-defined]
                row, images, _row_plots(row), _MOST_TARGETS
            )
        )
        self.room -= len(html)
        return html

    def strip(self, run: Run) -> Strip | None:
        """Return the thumbnails of a run; None where they cannot be read, or where the page is full."""
        if self.image_room <= 0:
            return None
        try:
            content = (run.folder / WORST).read_bytes()
            with Image.open(io.BytesIO(content)) as image:
                width, height = image.size
        except (OSError, UnidentifiedImageError):
            return None
        uri = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
        self.image_room -= len(uri)
        self.strips.append(Strip(len(self.strips), uri, width, height // max(1, len(run.record.worst))))
        return self.strips[-1]


def _row_plots(row: Row) -> list[tuple[str, Markup]]:
    """Return captions and plots of a row: learning curves, and the error over the range of each target."""
    runs = [
        (f"seed {one.seed}" + (f", fold {one.fold}" if one.fold else ""), one.train_mse, one.val_mse)
        for one in row.details.curves
    ]
    learning = plots.curves(runs, f"Learning curves of {row.name}")
    figures = [("Learning curves, one line per run: val solid, train dashed.", learning)] if learning else []
    for target, bins in list(row.details.bins.items())[:_MOST_TARGETS]:
        parts = [(one.low, one.high, one.rmse) for one in bins]
        figures.append(
            (f"Error over the range of {target}.", plots.bars(parts, target, f"RMSE over {target}"))
        )
    return figures


def _plots(board: Leaderboard) -> list[tuple[str, Markup]]:
    """Return a plot of test MSE against each cost, of the rows measured on the board's device."""
    device = board.devices[0] if board.devices else ""
    mean = next((row.test_mse for row in board.rows if row.backbone == "mean-of-train"), None)
    line = (mean, "always predicting the mean") if mean else None
    drawn = []
    for name, cost in _COSTS.items():
        points = [
            plots.Point(x, y, row.test_mse_low or y, row.test_mse_high or y, row.name)
            for row in board.rows
            if row.head != "-" and row.cost.device == device and (x := cost(row)) and (y := row.test_mse)
        ]
        if points:
            title = f"Test MSE against {name}: lower and further left is better"
            drawn.append((name, plots.scatter(points, name, "test MSE", line, title)))
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
        "rows": share_rows(board),
    }


def _whiskers(board: Leaderboard) -> Callable[[Row], Markup]:
    """Return a function that draws a row's interval; all are on one scale."""
    every = [end for row in board.rows for end in (row.test_mse_low, row.test_mse_high) if end]

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
    environment.filters.update(short=short, percent=percent, sort_key=_sort_key, share_of=share_of)
    return environment
