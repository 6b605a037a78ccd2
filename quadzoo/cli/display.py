"""What a person sees of a bench: progress on stderr, the plan or the table on stdout."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from quadzoo.cli.tables import print_table, text_table, width_of
from quadzoo.grid.plan import Plan, RunPlan
from quadzoo.records.record import RunRecord
from quadzoo.report.captions import captions
from quadzoo.report.columns import Column, shown_columns
from quadzoo.report.rows import Leaderboard

_SECONDS_A_LINE = 60  # where no bar can move, in a log


class Display:
    """Hears how a bench goes and shows it on stderr: bars on a terminal, now and then a line elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[score]}"),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._shares: dict[str, float] = {}
        self._total: TaskID | None = None
        self._count = 0
        self._ended = 0
        self._last_line = time.monotonic()
        self.failed = 0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._progress.stop()

    def note(self, text: str) -> None:
        """Print one line."""
        self._last_line = time.monotonic()
        self._console.print(Text(f"quadzoo: {' '.join(text.split())}"), soft_wrap=True)

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        """Return a function that moves a bar, which is only seen while it moves; elsewhere it is a line."""
        task = self._progress.add_task(what, total=total, score="", visible=False)
        done = 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            self._progress.update(task, completed=done, visible=done < total)
            if not self._console.is_terminal and time.monotonic() - self._last_line > _SECONDS_A_LINE:
                self.note(f"{what}: {done / total:.0%}")

        return advance

    def planned(self, plan: Plan) -> None:
        """Say what will run, on what, and with which weights."""
        self._count = len(plan.to_do)
        first = plan.runs[0]
        done = f", {len(plan.done)} done already" if plan.done else ""
        self.note(
            f"{len(plan.runs)} run{'s' * (len(plan.runs) > 1)}{done}; "
            f"{first.device.name} ({first.device.kind})"
        )
        for run in {run.backbone: run for run in plan.runs}.values():
            start = {"pretrained": "pretrained", "none": "from scratch"}.get(
                run.weights.kind, f"from {run.weights.kind}"
            )
            self.note(
                f"{run.backbone} starts {start}: {run.weights.note}; precision {run.precision}: "
                f"{run.precision_note}"
            )
        if first.data.split.leaky:
            split = first.data.split
            self.note(
                f"warning: split {split.name} leaks: {split.leaked} of {len(split.test)} test images "
                "also stand in train or val"
            )
        if self._count > 1:
            self._total = self._progress.add_task("all runs", total=self._count, score="")

    def progressed(self, run: RunPlan, share: float, val_mse: float | None) -> None:
        """Move a run's bar."""
        if run.key not in self._tasks:
            self._tasks[run.key] = self._progress.add_task(run.title, total=1.0, score="")
        score = "" if val_mse is None else f"val MSE {val_mse:.3g}"
        self._progress.update(self._tasks[run.key], completed=share, score=score)
        self._shares[run.key] = share
        self._move_total()
        if not self._console.is_terminal and time.monotonic() - self._last_line > _SECONDS_A_LINE:
            (task,) = (task for task in self._progress.tasks if task.id == self._tasks[run.key])
            left = "" if task.time_remaining is None else f", {timedelta(seconds=task.time_remaining)} left"
            self.note(f"{run.title}: {share:.0%}{left} {score}")

    def ended(self, run: RunPlan, record: RunRecord) -> None:
        """Print how a run ended."""
        if run.key in self._tasks:
            self._progress.remove_task(self._tasks.pop(run.key))
        self._shares.pop(run.key, None)
        self._ended += 1
        self._move_total()
        counter = f"[{self._ended}/{self._count}] {run.title}"
        if record.error:
            self.failed += 1
            strangers = {n: v for n, v in record.environment.plugins.items() if n != "quadzoo"}
            plugins = "".join(f" (plugin {name} {version})" for name, version in strangers.items())
            self.note(f"{counter}{plugins}: FAILED: {record.error.type}: {record.error.message}")
        else:
            self.note(
                f"{counter}: val MSE {record.metrics.val_mse:.3g}, test MSE {record.metrics.test_mse:.3g}, "
                f"{record.cost.fit_seconds:.0f} s"
            )

    def _move_total(self) -> None:
        if self._total is not None:
            self._progress.update(self._total, completed=self._ended + sum(self._shares.values()))


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print the plan on stdout."""
    rows = [
        {
            "key": run.key,
            "backbone": run.backbone,
            "head": run.head,
            "seed": run.seed,
            "fold": run.data.split.fold,
            "weights": run.weights.kind,
            "image_size": "x".join(map(str, run.data.images.geometry.size)),
            "precision": run.precision,
            "device": run.device.kind,
            "epochs": run.recipe.epochs,
            "status": "done" if run.key in plan.done else "to do",
        }
        for run in plan.runs
    ]
    firsts = {run.backbone: run for run in plan.runs}
    if as_json:
        notes = {
            "weights": {backbone: run.weights.note for backbone, run in firsts.items()},
            "precision": {backbone: run.precision_note for backbone, run in firsts.items()},
        }
        click.echo(json.dumps({"runs": rows, **notes}, indent=2, ensure_ascii=False))
        return
    print_table(text_table(list(rows[0]), [[str(value) for value in row.values()] for row in rows]))
    for backbone, run in firsts.items():
        click.echo(f"weights of {backbone}: {run.weights.kind} ({run.weights.note})")
        click.echo(f"precision of {backbone}: {run.precision} ({run.precision_note})")


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
