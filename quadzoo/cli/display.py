"""Plans and leaderboards on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from quadzoo.cli.options import with_flags
from quadzoo.cli.output import say, say_json, say_wrapped
from quadzoo.cli.tables import print_table, text_table, width_of
from quadzoo.grid.halving import in_words as halving_in_words
from quadzoo.grid.halving import outlook
from quadzoo.grid.halving import rungs as halving_rungs
from quadzoo.grid.plan import Plan
from quadzoo.grid.tuning import in_words, trials_to_do
from quadzoo.report.answer import errors_in_words
from quadzoo.report.board_columns import Metric
from quadzoo.report.captions import captions, units
from quadzoo.report.column import Column, RowT
from quadzoo.report.columns import NAME, shown_columns
from quadzoo.report.details import MOST_DETAILED, with_best_rows
from quadzoo.report.learning import explained, sentences, share_columns, share_rows
from quadzoo.report.rows import Leaderboard
from quadzoo.report.suite.board import SuiteBoard
from quadzoo.report.suite.columns import place_columns, row_columns, set_columns
from quadzoo.report.suite.sentences import answers
from quadzoo.report.suite.sentences import captions as suite_captions
from quadzoo.training.task import Task


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON-like data: its runs, their time, and why weights and precisions are so."""
    shares = outlook(plan).shares

    def status(task: Task) -> str:
        if task.key in plan.done:
            return "done"
        return "to do" if shares[task.key] else "stopped"

    rows = [
        {
            "key": task.key,
            "backbone": task.backbone,
            "head": task.head,
            "seed": task.seed,
            "fold": task.split.fold,
            "train_share": task.split.train_share,
            "n_train": task.split.n_train,
            "weights": task.identity.weights,
            "image_size": "x".join(map(str, task.identity.image.size)),
            "precision": task.precision,
            "device": plan.device.kind,
            "epochs": 0 if task.closed_form else task.epochs,  # it takes no steps
            "status": status(task),
        }
        for task in plan.tasks
    ]
    firsts = {task.backbone: task for task in plan.tasks}
    notes = {
        "weights": {backbone: task.weights_note for backbone, task in firsts.items()},
        "precision": {backbone: task.precision_note for backbone, task in firsts.items()},
    }
    estimate = {
        "estimated_seconds": plan.estimate and plan.estimate.seconds,
        "estimate": plan.estimate and plan.estimate.text,
    }
    halving = [one._asdict() for one in halving_rungs(plan)]
    return {"runs": rows, "halving": halving, "trials": trials_to_do(plan), **notes, **estimate}


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print the plan on stdout."""
    document = plan_document(plan)
    if as_json:
        say_json(document)
        return
    rows, firsts = document["runs"], {task.backbone: task for task in plan.tasks}
    hidden = () if any(task.split.train_share < 1 for task in plan.tasks) else ("train_share", "n_train")
    shown = [name for name in rows[0] if name not in hidden]
    print_table(text_table(shown, [[str(row[name]) for name in shown] for row in rows]))
    for told in filter(None, (halving_in_words(plan), in_words(plan))):
        say(told)
    for backbone, task in firsts.items():
        say(with_flags(f"weights of {backbone}: {task.identity.weights} ({task.weights_note})"))
        say(f"precision of {backbone}: {task.precision} ({task.precision_note})")
    if plan.estimate:
        say(with_flags(plan.estimate.text))


def print_leaderboards(boards: Sequence[Leaderboard], metric: Metric = "rmse") -> None:
    """Print leaderboards on stdout, as wide as the terminal allows; ``metric`` is shown of each target."""
    for board in boards:
        for caption in captions(board):
            say_wrapped(caption.text)
        columns, rows = shown_columns(board, metric), with_best_rows(board, MOST_DETAILED).rows
        kept = _fitting(columns, rows)
        if _too_wide(_table(kept, rows, narrow=True), wrapped=True):
            columns = [NAME, *(column for column in columns if column.name not in ("backbone", "head"))]
            columns.sort(key=lambda column: column.name != "rank")
            kept = _fitting(columns, rows)
        _print(kept, rows)
        if len(rows) < len(board.rows):
            told = f"{len(rows):,} of {len(board.rows):,} rows, those with the lowest val MSE"
            say_wrapped(f"{told}. leaderboard.md has all.")
        say_wrapped(units(board))
        hidden = [column.heading for column in columns if column not in kept]
        if board.best and any(one.startswith(f"{name}: ") for name in board.targets for one in hidden):
            say_wrapped(f"{board.best.name}: {errors_in_words(board.best)}.")
        if hidden:
            say_wrapped(f"No room here for: {', '.join(hidden)}. leaderboard.md has them.")
        if board.shares:
            say()
            say_wrapped(f"Error against number of training images. {explained(board)}")
            for text in sentences(board):
                say_wrapped(text)
            points = share_rows(board)
            _print(_fitting(share_columns(board), points), points)


def print_suite(board: SuiteBoard) -> None:
    """Print the leaderboard of a suite on stdout: what it says, its rows, and its sets."""
    for text in [*answers(board).values(), *(caption.text for caption in suite_captions(board))]:
        say_wrapped(text)
    if not board.rows:
        return
    _print(_fitting(row_columns(board), board.rows), board.rows)
    say()
    places = place_columns(board)
    columns = _fitting([*set_columns(board), *places], board.sets)
    hidden = 0
    while _too_wide(_table(columns, board.sets)) and hidden < len(places):
        hidden += 1
        columns.pop()
    print_table(_table(columns, board.sets))
    if places:
        told = f"row 1{f' to row {len(places)}' * (len(places) > 1)}: the rows above, from top to bottom."
        told += f" The last {hidden} have no room here; leaderboard-suite.md has them." * (hidden > 0)
        say_wrapped(told)


def _fitting(columns: Sequence[Column[RowT]], rows: Sequence[RowT]) -> list[Column[RowT]]:
    """Return the columns for which the terminal is wide enough; those without a priority stay.

    Before one with the priority 1 or 2 goes, cells are wrapped, at spaces and within long names.
    """
    kept = list(columns)
    for lowest, narrow in ((3, False), (1, True)):
        while _too_wide(_table(kept, rows, narrow=narrow), wrapped=narrow):
            last = max(reversed(kept), key=lambda column: column.priority)
            if last.priority < lowest:
                break
            kept.remove(last)
    return kept


def _too_wide(table: Table, wrapped: bool = False) -> bool:
    console = Console()
    return console.is_terminal and width_of(table, wrapped) > console.width


def _print(columns: Sequence[Column[RowT]], rows: Sequence[RowT]) -> None:
    """Print a table; where it has no room, names are divided, and then it becomes a paragraph a row."""
    table = _table(columns, rows)
    if _too_wide(table, wrapped=True):
        table = _table(columns, rows, narrow=True)
    if not _too_wide(table, wrapped=True):
        print_table(table)
        return
    for row in rows:  # no table has room
        cells = [(column.heading, column.text(row)) for column in columns]
        say_wrapped("; ".join(f"{heading}: {text}" for heading, text in cells if text))


def _table(columns: Sequence[Column[RowT]], rows: Sequence[RowT], *, narrow: bool = False) -> Table:
    return text_table(
        [column.heading for column in columns],
        [[column.text(row) for column in columns] for row in rows],
        right=[column.heading for column in columns if column.number],
        narrow=narrow,
    )
