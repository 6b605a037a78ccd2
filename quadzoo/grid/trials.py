"""Short trainings that are scored on val alone, side by side, as many as a bench's runs."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from quadzoo.executors.base import Executor, Job, asked, is_overdue, why_it_ended
from quadzoo.grid.plan import Plan
from quadzoo.grid.slots import Slots
from quadzoo.records.tuning import Trial
from quadzoo.training.task import CHECKPOINT, TRIALS, Task

PERCENT = 100
_WORK = "quadzoo.training.trial:try_learning_rate"


@dataclass(eq=False)
class _Running:
    """A trial under way; ``percent`` is how much of it has been told."""

    task: Task
    job: Job
    ending: ExitStack
    timeout: float
    ended: Callable[[Trial, str], None]
    moved: Callable[[int], None]
    percent: int = 0


class TrialPool:
    """Starts trials and hears how they go and end. ``note`` is told what is worth knowing.

    One that takes long keeps a checkpoint in OUT/trials until it is over, as a run does in its folder.
    """

    def __init__(self, plan: Plan, executor: Executor, note: Callable[[str], None]) -> None:
        self._plan, self._executor, self._note = plan, executor, note
        self._slots = Slots(plan.slots, executor.at_once)
        self._running: list[_Running] = []

    @property
    def room(self) -> int:
        """How many more trials may be under way at once."""
        return self._slots.total - len(self._running)

    def start(self, task: Task, ended: Callable[[Trial, str], None], moved: Callable[[int], None]) -> None:
        """Start a trial by the task's recipe.

        ``moved`` is told by how many percent it goes on; ``ended`` gets what came of it, and the end of its
        log where it failed.
        """
        ending = ExitStack()
        device = self._slots.take()
        ending.callback(self._slots.give_back, device)  # after the job is over
        placement = self._plan.placement(task, device)
        needs = replace(placement.needs, checkpoint=self._folder(task).absolute() / CHECKPOINT)
        job = ending.enter_context(asked(self._executor, _WORK, (task, placement), needs))
        timeout = self._plan.config.timeout or math.inf
        self._running.append(_Running(task, job, ending, timeout, ended, moved))

    def wait(self) -> None:
        """Return when a trial has something to tell, or after a second."""
        self._executor.wait_for_any([one.job for one in self._running], timeout=1.0)

    def receive(self) -> None:
        """Tell how the trials go on, and which have ended."""
        for one in list(self._running):
            self._receive(one)

    def close(self) -> None:
        """End the trials under way."""
        with ExitStack() as ending:  # all of them, whatever happens to one
            for one in self._running:
                ending.callback(one.ending.close)

    def _receive(self, one: _Running) -> None:
        over = one.job.ended  # asked first: what it sent before its end has come in then
        trial, lr = None, one.task.recipe.lr
        for message in one.job.messages(timeout=0):
            if isinstance(message, Trial):
                trial = message
            elif isinstance(message, str):
                self._note(f"warning: {one.task.title}: {message}")
            else:
                percent = min(int(PERCENT * message[0]), PERCENT)
                one.moved(percent - one.percent)
                one.percent = percent
        if trial is None and is_overdue(one.job, one.timeout):
            error = f"TimedOut: not finished within {self._plan.config.timeout:g} seconds"
            trial = Trial(lr=lr, error=error)
        elif trial is None and over:
            trial = Trial(lr=lr, error=f"ProcessDied: {why_it_ended(one.job)}")
        if trial is None:
            return
        log = "" if trial.error is None else one.job.log_tail()
        one.ending.close()
        self._running.remove(one)
        one.moved(PERCENT - one.percent)
        one.ended(trial, log)
        if trial.is_final:
            shutil.rmtree(folder := self._folder(one.task), ignore_errors=True)
            with suppress(OSError):  # others are there
                folder.parent.rmdir()

    def _folder(self, task: Task) -> Path:
        return self._plan.config.out / TRIALS / task.key
