"""The protocol between a bench and whatever runs its tasks."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from quadzoo.scratch import scratch_folder
from quadzoo.storage import open_regular

Send = Callable[[Any], None]
"""Sends a message to whoever submitted the job; it must pickle."""

_LONGEST_REASON = 300  # characters
_ENDING = 5.0  # seconds


@dataclass(frozen=True)
class Needs:
    """What a job needs of the machine that it runs on, and what it leaves there.

    ``cpus`` are the threads that it computes with; ``gpus`` is 1 where it uses a GPU, if there is one.
    ``writes`` is the folder that it writes into, ``checkpoint`` a file in that folder which it writes from
    time to time, and goes on from where an earlier job has left one. All other paths in its argument are
    files and folders that it reads.
    """

    cpus: int = 1
    gpus: int = 0
    writes: Path | None = None
    checkpoint: Path | None = None


NO_NEEDS = Needs()
"""Those of a question: one thread, no GPU, and nothing is left."""


class Job(Protocol):
    """One call of a function, somewhere else."""

    @property
    def begun(self) -> float | None:
        """When it began, on the clock of ``time.monotonic``; None while it waits for a machine."""

    def messages(self, timeout: float | None = None) -> Iterator[Any]:
        """Yield what it has sent, waiting at most ``timeout`` seconds for the first; None waits for ever."""

    @property
    def ended(self) -> bool:
        """Whether it is over."""

    def wait(self, timeout: float) -> None:
        """Return when it is over, or after ``timeout`` seconds."""

    def cancel(self) -> None:
        """End it now, with all that it has started; of one that is over, what it has left behind."""

    def exit_reason(self) -> str:
        """Say in words how it ended."""

    def log_tail(self, characters: int = 4000) -> str:
        """Return the end of what it printed."""


class Executor(Protocol):
    """Starts jobs and waits for them.

    ``cpus`` are those of its smallest machine, and ``jobs`` how many jobs each machine runs at once; None
    where this machine is the only one.
    """

    cpus: int | None
    jobs: int | None

    def submit(
        self, work: str, argument: Any, log: Path, needs: Needs = NO_NEEDS, machine: str | None = None
    ) -> Job:
        """Call ``work(argument, send)`` somewhere else; what it prints is appended to ``log``.

        ``work`` is written ``module:function``, so that the caller need not import it. The argument is
        pickled. A path that is sent back stands for a file, which is then here. ``machine`` is one of
        `machines`; None for any.
        """

    def machines(self) -> Sequence[str]:
        """Return the names of its machines other than this one, where these have software of their own."""

    def at_once(self, jobs: int) -> int:
        """Return how many jobs to run at the same time, at ``jobs`` a machine."""

    def wait_for_any(self, jobs: Sequence[Any], timeout: float) -> Sequence[Any]:
        """Return the jobs that have sent a message or have ended; none after ``timeout`` seconds."""


@contextmanager
def asked(
    executor: Executor, work: str, argument: Any, needs: Needs = NO_NEEDS, machine: str | None = None
) -> Iterator[Job]:
    """Submit a question; the job is cancelled afterwards, and what it printed is dropped."""
    with scratch_folder() as folder:
        job = executor.submit(work, argument, folder / "log", needs, machine)
        try:
            if together := _together.get():
                together.add(job)
            yield job
        finally:
            job.cancel()


class NoAnswer(Exception):
    """Why a question got no answer, in one line."""


def answer(
    executor: Executor,
    work: str,
    argument: Any,
    timeout: float,
    needs: Needs = NO_NEEDS,
    *,
    machine: str | None = None,
) -> Any:
    """Submit a question and return the first message.

    Raises NoAnswer where none comes within the seconds given.
    """
    with asked(executor, work, argument, needs, machine) as job:
        messages = list(job.messages(timeout))
        if messages:
            return messages[0]
        job.wait(_ENDING)  # its end of the connection closes a little before it is over
        raise NoAnswer(why_it_ended(job) if job.ended else f"not finished within {timeout:g} seconds")


QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT")


def side_by_side(
    ask: Callable[[QuestionT], AnswerT], questions: Iterable[QuestionT], at_once: int
) -> Iterator[AnswerT]:
    """Yield ``ask(question)`` for each question, in order, computed in ``at_once`` threads.

    Where one raises, or this is interrupted, no other is asked, and the jobs of those that are being asked
    are ended: nobody waits for them.
    """
    together = _Together()

    def alone(question: QuestionT) -> AnswerT:
        _together.set(together)
        return ask(question)

    with ThreadPoolExecutor(at_once) as pool:
        # What was added to the plugins in this thread is in its context.
        futures = [pool.submit(copy_context().run, alone, question) for question in questions]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            together.end()
            raise


class _Together:
    """The jobs of questions that are asked side by side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: list[Job] = []
        self._over = False

    def add(self, job: Job) -> None:
        with self._lock:
            self._jobs.append(job)
            over = self._over
        if over:
            job.cancel()

    def end(self) -> None:
        with self._lock:
            self._over = True
            jobs = list(self._jobs)
        for job in jobs:
            job.cancel()


_together: ContextVar[_Together | None] = ContextVar("together", default=None)


def is_overdue(job: Job, timeout: float) -> bool:
    """Return whether a job has run for longer than ``timeout`` seconds, without its wait for a machine."""
    return job.begun is not None and time.monotonic() > job.begun + timeout


def end_of(log: Path, characters: int) -> str:
    """Return the end of a log; nothing where it cannot be read."""
    try:
        with open_regular(log) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4 * characters))
            return file.read().decode(errors="replace")[-characters:]
    except OSError:
        return ""


_WARNED = re.compile(r"Warning: |warnings\.warn\(|^\S+\.py:\d+: ")


def why_it_ended(job: Job) -> str:
    """Return, in one line, how a job ended and the last line that it printed."""
    lines = [line for line in job.log_tail().splitlines() if any(map(str.isalnum, line))]
    lines = [line for line in lines if not _WARNED.search(line)]  # of a library, and no reason
    reason = (
        f"{job.exit_reason()}; the last line it printed: {lines[-1].strip()}" if lines else job.exit_reason()
    )
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 1]}…"
