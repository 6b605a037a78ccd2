"""What a person sees of a bench: progress on stderr, the plan or the table on stdout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from quadzoo.bench.plan import Plan, RunPlan
from quadzoo.records import RunRecord
from quadzoo.report.leaderboard import Leaderboard
from quadzoo.report.tables import caption, cells, headings, to_json

_ESSENTIAL = 7  # columns that even a narrow terminal shows


class Display:
    """Hears how a bench goes and shows it on stderr: bars on a terminal, a line a run elsewhere."""

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
        self.failed = 0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print one line."""
        self._console.print(Text(f"quadzoo: {' '.join(text.split())}"), soft_wrap=True)

    def counting(self, what: str, total: int | None = None) -> Callable[[int], None]:
        """Return a function that moves a bar, which appears when it is first called."""
        task: list[TaskID] = []

        def advance(n: int) -> None:
            if not task:
                task.append(self._progress.add_task(what, total=total, score=""))
            self._progress.advance(task[0], n)

        return advance

    def planned(self, plan: Plan) -> None:
        """Say what will run, on what, and with which weights."""
        self._count = len(plan.to_do)
        first = plan.runs[0]
        done = f", {len(plan.done)} done already" if plan.done else ""
        self.note(
            f"{len(plan.runs)} runs{done}; {first.device.name} "
            f"({first.device.kind}, precision {first.precision})"
        )
        for run in {run.backbone: run for run in plan.runs}.values():
            start = "pretrained" if run.weights.kind == "pretrained" else "from scratch"
            self.note(f"{run.backbone} starts {start}: {run.weights.note}")
        if first.data.split.leaky:
            split = first.data.split
            self.note(
                f"warning: split {split.name} leaks: {split.leaked} of {len(split.test)} test pictures "
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
            self.note(f"{counter}: FAILED: {record.error.type}: {record.error.message}")
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
            "image_size": "x".join(map(str, run.data.pictures.geometry.size)),
            "precision": run.precision,
            "device": run.device.kind,
            "epochs": run.recipe.epochs,
            "status": "done" if run.key in plan.done else "to do",
        }
        for run in plan.runs
    ]
    if as_json:
        notes = {run.backbone: run.weights.note for run in plan.runs}
        click.echo(json.dumps({"runs": rows, "weights": notes}, indent=2, ensure_ascii=False))
        return
    table = Table(*rows[0], box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    _print(table)
    for run in {run.backbone: run for run in plan.runs}.values():
        click.echo(f"weights of {run.backbone}: {run.weights.kind} ({run.weights.note})")


def print_leaderboard(board: Leaderboard | None, out: Path, as_json: bool) -> None:
    """Print the leaderboard on stdout, and on stderr where its files are."""
    if board is None:
        return
    if as_json:
        click.echo(to_json(board), nl=False)
        return
    click.echo(caption(board).replace("**", ""))
    console = Console()
    columns = list(zip(headings(), *(cells(row) for row in board.rows), strict=True))
    table = _table(columns)
    while console.is_terminal and len(columns) > _ESSENTIAL and _width(table) > console.width:
        table = _table(columns := columns[:-1])
    _print(table)
    click.echo(
        f"quadzoo: {out / 'leaderboard.md'}, .csv and .json; one folder a run in {out / 'runs'}", err=True
    )


def _table(columns: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, *_ in columns:
        table.add_column(heading, justify="left" if heading in ("backbone", "head", "weights") else "right")
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _width(table: Table) -> int:
    return Console(width=10_000).measure(table).maximum


def _print(table: Table) -> None:
    # A pipe has no width: there, every row has its line.
    console = Console()
    (console if console.is_terminal else Console(width=_width(table))).print(table)
