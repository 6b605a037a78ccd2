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
from quadzoo.report.captions import captions
from quadzoo.report.columns import Column, share_columns, shown_columns
from quadzoo.report.learning import explained, sentences
from quadzoo.report.rows import Leaderboard, Row


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print the plan on stdout."""
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
            "epochs": task.recipe.epochs,
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
        estimate = {
            "estimated_seconds": plan.estimate and plan.estimate.seconds,
            "estimate": plan.estimate and plan.estimate.text,
        }
        document = {"runs": rows, **notes, **estimate}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    hidden = () if any(task.split.train_share < 1 for task in plan.tasks) else ("train_share", "n_train")
    shown = [name for name in rows[0] if name not in hidden]
    print_table(text_table(shown, [[str(row[name]) for name in shown] for row in rows]))
    for backbone, task in firsts.items():
        click.echo(with_flags(f"weights of {backbone}: {task.identity.weights} ({task.weights_note})"))
        click.echo(f"precision of {backbone}: {task.precision} ({task.precision_note})")
    if plan.estimate:
        click.echo(with_flags(plan.estimate.text))


def print_leaderboards(boards: Sequence[Leaderboard]) -> None:
    """Print leaderboards on stdout, as wide as the terminal allows."""
    console = Console()
    for board in boards:
        for caption in captions(board):
            click.echo(caption.text)
        columns = shown_columns(board)
        table = _table(columns, board.rows)
        while console.is_terminal and width_of(table) > console.width:
            last = max(reversed(columns), key=lambda column: column.priority)
            if not last.priority:
                break
            columns.remove(last)
            table = _table(columns, board.rows)
        print_table(table)
        if board.shares:
            click.echo(f"\nError against number of training images. {explained(board)}")
            for text in sentences(board):
                click.echo(text)
            print_table(_table(share_columns(), [row for curve in board.shares for row in curve.rows]))


def _table(columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    return text_table(
        [column.heading for column in columns],
        [[column.text(row) for column in columns] for row in rows],
        right=[column.heading for column in columns if column.number],
    )
