"""What a person sees while a bench runs: on stderr, or in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from statistics import fmean
from types import TracebackType
from typing import IO, Any, Self, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from quadzoo.grid.halving import in_words as halving_in_words
from quadzoo.grid.plan import Plan
from quadzoo.grid.slots import in_words as slots_in_words
from quadzoo.grid.tuning import in_words
from quadzoo.notebook_bars import Bar, NotebookBars
from quadzoo.records.record import RunRecord
from quadzoo.report.text import duration, one_line, printable
from quadzoo.training.task import Task

_LINE = 300  # characters of a failure; the record has more
_SPEED_OVER = (
    300.0  # seconds: of the last few batches alone, the time left follows what else the machine does
)
_SECONDS_A_LINE = 60  # where no bar can move, in a log
_STARTS = {"pretrained": "pretrained weights", "file": "weights of a file", "none": "random weights"}


class _Stderr:
    """The standard error stream; what cannot be written to it is lost, and costs no run.

    A terminal may be closed while a bench goes on.
    """

    def write(self, text: str) -> int:
        with suppress(OSError, AttributeError):  # a program may have none
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, AttributeError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


class Display:
    """Shows how a bench goes: bars on a terminal and in a notebook, now and then a line elsewhere.

    All but a notebook's is on stderr.
    ``wording`` is applied to every line; the command line has it write parameters as flags.
    """

    def __init__(self, wording: Callable[[str], str] = str) -> None:
        self._wording = wording
        self._console = Console(file=cast(IO[str], _Stderr()))
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[score]}"),
            console=self._console,
            speed_estimate_period=_SPEED_OVER,
        )
        self._notebook = NotebookBars(self._bars) if self._console.is_jupyter else None
        self._tasks: dict[str, TaskID] = {}
        self._shares: dict[str, float] = {}
        self._total: TaskID | None = None
        self._count = 0
        self._ended = 0
        # Seconds by the estimate: a long run counts for more. Of each run, of those that ended, of all.
        self._costs: dict[str, float] = {}
        self._spent = self._sum = 0.0
        self._begun: float | None = None
        self._last_line = time.monotonic()
        self.failed = 0

    def __enter__(self) -> Self:
        if self._notebook:
            self._notebook.start()
        elif self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._notebook:
            self._notebook.stop()
        elif self._console.is_terminal:
            self._progress.stop()

    def note(self, text: str) -> None:
        """Print one line."""
        self._last_line = time.monotonic()
        line = printable(" ".join(self._wording(text).split()))
        self._console.print(Text(f"quadzoo: {line}"), soft_wrap=True)

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        """Return a function that moves a bar, which is only seen while it moves; elsewhere it is a line."""
        task = self._progress.add_task(what, total=total, score="", visible=False)
        done = 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            self._progress.update(task, completed=done, visible=done < total)
            self._refresh(lambda: f"{what}: {done / total:.0%}")

        return advance

    def planned(self, plan: Plan) -> None:
        """Say what will run, on what, and with which weights; in a suite, once for each set."""
        self._count, self._ended, self._begun = len(plan.to_do), 0, None
        usual = fmean(plan.costs.values()) if plan.costs else 1.0  # for what could not be timed
        self._costs = {task.key: plan.costs.get(task.key, usual) for task in plan.to_do}
        self._spent, self._sum = 0.0, sum(self._costs.values())
        if self._total is not None:
            self._progress.remove_task(self._total)
            self._total = None
        done = f", {len(plan.done)} done already" if plan.done else ""
        self.note(f"{len(plan.tasks)} run{'s' * (len(plan.tasks) > 1)}{done}; {slots_in_words(plan.slots)}")
        for told in filter(None, (halving_in_words(plan), in_words(plan))):
            self.note(told)
        if plan.estimate and plan.to_do:
            self.note(plan.estimate.text)
        for task in {task.backbone: task for task in plan.tasks}.values():
            kind = task.identity.weights
            start = _STARTS.get(kind, kind)
            self.note(
                f"{task.backbone} starts from {start} ({task.weights_note}); precision {task.precision} "
                f"({task.precision_note})"
            )
        largest = max(plan.tasks, key=lambda task: task.split.train_share)
        split, initial = largest.split, largest.initial
        if split.leaky:
            self.note(
                f"warning: split {split.name} leaks: {split.leaked} of {split.n_test} test images "
                f"{split.also_in_training}"
            )
        if initial and initial.overlap is None:
            self.note(
                f"warning: {plan.tasks[0].identity.weights} does not say which images it was trained on; "
                "it may have seen test images"
            )
        elif initial and (initial.overlap or initial.overlap_val):
            self.note(
                f"warning: {plan.tasks[0].identity.weights} was trained or selected on {initial.overlap} of "
                f"{split.n_test} test images and trained on {initial.overlap_val} of {split.n_val} val images"
            )
        if self._count > 1:
            self._total = self._progress.add_task("all runs", total=self._sum, score="")

    def progressed(self, run: Task, share: float, val_mse: float | None) -> None:
        """Move a run's bar."""
        if run.key not in self._tasks:
            self._tasks[run.key] = self._progress.add_task(run.title, total=1.0, score="")
        score = "" if val_mse is None else f"val MSE {val_mse:.3g}"
        self._progress.update(self._tasks[run.key], completed=share, score=score)
        self._shares[run.key] = share
        self._move_total()

        def line() -> str:
            (task,) = (task for task in self._progress.tasks if task.id == self._tasks[run.key])
            left = "" if task.time_remaining is None else f", {timedelta(seconds=task.time_remaining)} left"
            return f"{run.title}: {share:.0%}{left} {score}"

        self._refresh(line)

    def ended(self, run: Task, record: RunRecord) -> None:
        """Print how a run ended."""
        if run.key in self._tasks:
            self._progress.remove_task(self._tasks.pop(run.key))
        self._shares.pop(run.key, None)
        self._ended += 1
        if record.found.halved:  # it took no time
            self._sum -= self._costs.pop(run.key, 0.0)
        self._spent += self._costs.get(run.key, 0.0)
        self._move_total()
        counter = f"[{self._ended}/{self._count}] {run.title}"
        if record.found.halved:
            self.note(f"{counter}: not trained in full: {record.found.halved.text}")
        elif record.error:
            self.failed += 1
            strangers = {n: v for n, v in record.environment.plugins.items() if n != "quadzoo"}
            plugins = "".join(f" (plugin {name} {version})" for name, version in strangers.items())
            self.note(
                one_line(f"{counter}{plugins}: FAILED: {record.error.type}: {record.error.message}", _LINE)
            )
        else:
            self.note(
                f"{counter}: val MSE {record.metrics.val_mse:.3g}, test MSE {record.metrics.test_mse:.3g}, "
                f"{record.cost.fit_seconds:.0f} s{self._left()}"
            )

    def _refresh(self, line: Callable[[], str]) -> None:
        """Show in a notebook where the bars are; where no bar can move, print a line now and then."""
        if self._notebook:
            self._notebook.refresh()
        elif not self._console.is_terminal and time.monotonic() - self._last_line > _SECONDS_A_LINE:
            self.note(line())

    def _bars(self) -> list[Bar]:
        return [
            Bar(task.description, task.percentage / 100, task.fields["score"])
            for task in self._progress.tasks
            if task.visible
        ]

    def _done(self) -> float:
        """Return how much is done, in seconds by the estimate."""
        return self._spent + sum(share * self._costs.get(key, 0.0) for key, share in self._shares.items())

    def _left(self) -> str:
        """Return how long the other runs will take where no bar says so: as the estimate went until now."""
        done, total = self._done(), self._sum
        if self._begun is None or self._console.is_terminal or self._notebook or not 0 < done < total:
            return ""
        return f", about {duration((time.monotonic() - self._begun) * (total - done) / done)} left"

    def _move_total(self) -> None:
        self._begun = self._begun or time.monotonic()
        if self._total is not None:
            self._progress.update(self._total, completed=self._done(), total=self._sum)
