"""The loop over a bench's runs: start what is not done, hear how it goes, keep what ends."""

from __future__ import annotations

import errno
import math
import os
import stat
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from quadzoo import storage
from quadzoo.errors import FAILING_DISK, DataError
from quadzoo.executors.base import Executor, Job, is_overdue, why_it_ended
from quadzoo.grid.interrupts import Interrupts
from quadzoo.grid.observer import Observer
from quadzoo.grid.plan import Plan, longest_first
from quadzoo.grid.slots import Slots
from quadzoo.records.record import RECORD, Failure, RunRecord, is_done, read_record, run_folder, write_record
from quadzoo.storage import file_identity
from quadzoo.training.outcome import failure, record_of
from quadzoo.training.task import CHECKPOINT, Placement, Task

_LOG = "run.log"
_LOG_BYTES = 16 << 20
_LOOK = 1.0  # seconds between two looks at all runs


@dataclass(eq=False)
class _Running:
    """A task under way.

    ``record_before`` tells the record file that was there from one that the run writes.
    """

    task: Task
    placement: Placement
    job: Job
    lock: FileLock
    started: datetime
    timeout: float
    record_before: tuple[int, int] | None

    @property
    def log(self) -> Path:
        return run_folder(self.placement.out, self.task.key) / _LOG

    @property
    def checkpoint(self) -> Path:
        return _checkpoint(self.placement.out, self.task)

    @property
    def overdue(self) -> bool:
        return is_overdue(self.job, self.timeout)


class Loop:
    """Runs what is not done of a plan, as many runs at a time as the plan has slots.

    An interrupt ends the runs under way, says what is kept, and is raised again. Raises OSError where files
    cannot be written any more.
    """

    def __init__(self, plan: Plan, executor: Executor, observer: Observer, interrupts: Interrupts) -> None:
        self._plan, self._executor = plan, executor
        self._observer, self._interrupts = observer, interrupts
        self._slots = Slots(plan.slots, executor.at_once)
        # One after the other takes as long in any order: then that of the plan.
        at_once = self._slots.total > 1
        self._waiting = deque(longest_first(plan.to_do, plan.costs) if at_once else plan.to_do)
        self._running: list[_Running] = []
        self._elsewhere: set[str] = set()
        self._finished = len(plan.done)
        self._looked = -math.inf

    def run(self) -> None:
        """Return when all runs have a record."""
        self._delete_left_over()
        try:
            while self._waiting or self._running:
                self._start_some()
                news = self._executor.wait_for_any([one.job for one in self._running], timeout=_LOOK)
                self._interrupts.check()
                self._end_some(self._to_look_at(news))
        except KeyboardInterrupt:
            self._observer.note(what_is_kept(self._plan, self._finished, self._running))
            raise
        finally:
            with ExitStack() as ending:  # all of them, whatever happens to one
                for one in self._running:
                    ending.callback(one.lock.release)
                    ending.callback(one.job.cancel)

    def _delete_left_over(self) -> None:
        """Delete the checkpoints of runs that were killed when they had just written their records."""
        for task in self._plan.tasks:
            path = _checkpoint(self._plan.config.out, task)
            if (
                task.key in self._plan.done
                and path.is_file()
                and (lock := _lock(self._plan.config.out, task))
            ):
                path.unlink(missing_ok=True)
                lock.release()

    def _start_some(self) -> None:
        for _ in range(len(self._waiting)):
            if not self._slots:
                return
            task = self._waiting.popleft()
            lock = _lock(self._plan.config.out, task)
            if lock:
                self._take(task, lock)
                continue
            if task.key not in self._elsewhere:
                self._observer.note(f"{task.title} is being run by another bench; waiting for it")
            self._elsewhere.add(task.key)
            self._waiting.append(task)

    def _take(self, task: Task, lock: FileLock) -> None:
        """Start a run that is now ours, unless it is done, or cannot be trained."""
        plan, out = self._plan, self._plan.config.out
        if not plan.config.force and is_done(out, task.key):
            self._finished += 1
            self._observer.note(f"{task.title}: another bench has finished it")
            lock.release()
        elif error := plan.failures.get(task.key):
            record = record_of(task, plan.placement(task), datetime.now(UTC), error=error)
            write_record(out, record)
            lock.release()
            self._observer.ended(task, record)
        else:
            placement = plan.placement(task, self._slots.take())
            self._running.append(_start(plan, task, placement, lock, self._executor))

    def _to_look_at(self, news: Sequence[Job]) -> list[_Running]:
        """Return the runs that have news; from time to time all: their logs grow, and their time runs out."""
        if time.monotonic() - self._looked > _LOOK:
            self._looked = time.monotonic()
            return list(self._running)
        known = set(map(id, news))
        return [one for one in self._running if id(one.job) in known]

    def _end_some(self, some: Sequence[_Running]) -> None:
        for one in some:
            _receive(one, self._observer)
            storage.shorten(one.log, _LOG_BYTES)
            if one.job.ended:
                _receive(one, self._observer)  # what it sent at its end
                record = _finish(one, self._plan.config.timeout, self._interrupts)
                self._running.remove(one)
                self._slots.give_back(one.placement.device)
                self._finished += record.status == "ok"
                self._observer.ended(one.task, record)
                if record.error and (number := _failing_disk(record.error)):
                    raise OSError(number, os.strerror(number), str(self._plan.config.out))


def _checkpoint(out: Path, task: Task) -> Path:
    return run_folder(out, task.key) / CHECKPOINT


def _failing_disk(error: Failure) -> int | None:
    """Return the number of the OSError that a run failed with where any other run would, too."""
    started = ((n, f"[Errno {n}] {os.strerror(n)}") for n in FAILING_DISK)
    return next((n for n, text in started if error.message.startswith(text)), None)


def what_is_kept(plan: Plan, finished: int, running: Sequence[_Running] = ()) -> str:
    """Say after an interrupt how much of the work is kept; a run may have written its record this moment."""
    written = [one for one in running if (record := _written_by(one)) and record.status == "ok"]
    finished, running = finished + len(written), [one for one in running if one not in written]
    text = f"{finished} of {len(plan.tasks)} runs are finished and kept"
    if plan.config.force:
        return f"{text}; with `force` the same command trains all of them again, from the start"
    ages = [age for one in running if (age := _age(one.checkpoint)) is not None]
    if ages:
        text += (
            f"; of {len(running)} under way {len(ages)} can go on from a checkpoint, "
            f"{max(ages) / 60:.0f} min old"
        )
    elif running:
        text += f"; {len(running)} under way had no checkpoint yet and will start anew"
    elif plan.config.halving or plan.config.recipe.tune:
        text += ", and so are the short trainings that have ended"
    return text


def _age(checkpoint: Path) -> float | None:
    """Return how many seconds old it is; None where there is none."""
    try:
        facts = checkpoint.lstat()
    except OSError:  # its run may have ended this moment
        return None
    return max(0.0, time.time() - facts.st_mtime) if stat.S_ISREG(facts.st_mode) else None


def _receive(one: _Running, observer: Observer) -> None:
    for message in one.job.messages(timeout=0):
        if isinstance(message, str):
            observer.note(f"warning: {one.task.title}: {message}")
        else:
            observer.progressed(one.task, *message)
    if one.overdue:
        one.job.cancel()


def _lock(out: Path, task: Task) -> FileLock | None:
    """Take the run for this bench; None while another bench has it.

    Raises OSError for a folder that is a link: what the run writes would land elsewhere.
    """
    if (folder := run_folder(out, task.key)).is_symlink():
        raise OSError(errno.ELOOP, "it is a link, which is not followed; delete it", str(folder))
    taken = storage.lock(run_folder(out, task.key) / ".lock", blocking=False)
    try:
        taken.acquire()
    except Timeout:
        return None
    return taken


def _start(plan: Plan, task: Task, placement: Placement, lock: FileLock, executor: Executor) -> _Running:
    folder = run_folder(plan.config.out, task.key)
    started, timeout = datetime.now(UTC), plan.config.timeout or math.inf
    before = file_identity(folder / RECORD)
    if plan.config.force:
        _checkpoint(plan.config.out, task).unlink(missing_ok=True)
    needs = replace(placement.needs, checkpoint=_checkpoint(placement.out, task))
    job = executor.submit("quadzoo.training.run:run", (task, placement), folder / _LOG, needs)
    return _Running(task, placement, job, lock, started, timeout, before)


def _finish(one: _Running, timeout: float | None, interrupts: Interrupts) -> RunRecord:
    """Return the record of a run whose process has ended; write one where the process did not."""
    record = _written_by(one)
    error: Failure | None = None
    if record is None:
        interrupts.check_after_death()
        if one.overdue:
            why = "TimedOut", f"not finished within {timeout:g} seconds"
        else:
            why = "ProcessDied", why_it_ended(one.job)
        error = failure(*why, one.job.log_tail())
    one.job.cancel()  # what a plugin has left behind, and a run whose end nobody could see
    record = record or _written_by(one)
    if record is None:
        record = record_of(one.task, one.placement, one.started, error=error)
        write_record(one.placement.out, record)
    one.lock.release()
    return record


def _written_by(one: _Running) -> RunRecord | None:
    """Return the record that the run has written; None where it has not, and that before it is still there.

    The file decides, since every write replaces it, and not the clock, which may be set back.
    """
    path = run_folder(one.placement.out, one.task.key) / RECORD
    if file_identity(path) == one.record_before:
        return None
    try:
        return read_record(one.placement.out, one.task.key)
    except DataError:
        return None
