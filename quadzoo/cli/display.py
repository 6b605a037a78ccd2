"""Plans and leaderboards on stdout."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table

from quadzoo.cli.options import with_flags
from quadzoo.cli.tables import print_table, text_table, width_of
from quadzoo.grid.plan import Plan
from quadzoo.grid.tuning import in_words, trials_to_do
from quadzoo.report.captions import captions
from quadzoo.report.columns import Column, shown_columns
from quadzoo.report.rows import Leaderboard


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print the plan on stdout."""
    rows = [
        {
            "key": task.key,
            "backbone": task.backbone,
            "head": task.head,
            "seed": task.seed,
            "fold": task.split.fold,
            "weights": task.identity.weights,
            "image_size": "x".join(map(str, task.identity.image.size)),
            "precision": task.precision,
            "device": plan.device.kind,
            "epochs": task.epochs,
            "status": "done" if task.key in plan.done else "to do",
        }
        for task in plan.tasks
    ]
    firsts = {task.backbone: task for task in plan.tasks}
    if as_json:
        notes = {
            "weights": {backbone: task.weights_note for backbone, task in firsts.items()},
            "precision": {backbone: task.precision_note for backbone, task in firsts.items()},
        }
        document = {"runs": rows, "trials": trials_to_do(plan), **notes}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    print_table(text_table(list(rows[0]), [[str(value) for value in row.values()] for row in rows]))
    if trials := in_words(plan):
        click.echo(trials)
    for backbone, task in firsts.items():
        click.echo(with_flags(f"weights of {backbone}: {task.identity.weights} ({task.weights_note})"))
        click.echo(f"precision of {backbone}: {task.precision} ({task.precision_note})")


def print_leaderboards(boards: Sequence[Leaderboard]) -> None:
    """Print leaderboards on stdout, as wide as the terminal allows."""
    console = Console()
    for board in boards:
        for caption in captions(board):
            click.echo(caption.text)
        columns = shown_columns(board)
        table = _table(columns, board)
        while console.is_terminal and width_of(table) > console.width:
            last = max(reversed(columns), key=lambda column: column.priority)
            if not last.priority:
                break
            columns.remove(last)
            table = _table(columns, board)
        print_table(table)


def _table(columns: Sequence[Column], board: Leaderboard) -> Table:
    return text_table(
        [column.heading for column in columns],
        [[column.text(row) for column in columns] for row in board.rows],
        right=[column.heading for column in columns if column.number],
    )
