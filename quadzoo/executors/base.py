"""The protocol between a bench and whatever runs its tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

Send = Callable[[Any], None]
"""Sends a message to whoever submitted the job; it must pickle."""

_LONGEST_REASON = 300  # characters
_ENDING = 5.0  # seconds


class Job(Protocol):
    """One call of a function, somewhere else."""

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
    """Starts jobs and waits for them."""

    def submit(self, work: str, argument: Any, log: Path) -> Job:
        """Call ``work(argument, send)`` somewhere else; what it prints is appended to ``log``.

        ``work`` is written ``module:function``, so that the caller need not import it.
        """

    def wait_for_any(self, jobs: Sequence[Any], timeout: float) -> None:
        """Return when a job has sent a message or has ended, or after ``timeout`` seconds."""


@contextmanager
def asked(executor: Executor, work: str, argument: Any) -> Iterator[Job]:
    """Submit a question; the job is cancelled afterwards, and what it printed is dropped."""
    with TemporaryDirectory(prefix="quadzoo-", ignore_cleanup_errors=True) as folder:
        job = executor.submit(work, argument, Path(folder) / "log")
        try:
            yield job
        finally:
            job.cancel()


class NoAnswer(Exception):
    """Why a question got no answer, in one line."""


def answer(executor: Executor, work: str, argument: Any, timeout: float) -> Any:
    """Submit a question and return the first message.

    Raises NoAnswer where none comes within the seconds given.
    """
    with asked(executor, work, argument) as job:
        messages = list(job.messages(timeout))
        if messages:
            return messages[0]
        job.wait(_ENDING)  # its end of the connection closes a little before it is over
        raise NoAnswer(why_it_ended(job) if job.ended else f"not finished within {timeout:g} seconds")


def why_it_ended(job: Job) -> str:
    """Return, in one line, how a job ended and the last line that it printed."""
    lines = job.log_tail().strip().splitlines()
    reason = (
        f"{job.exit_reason()}; the last line it printed: {lines[-1].strip()}" if lines else job.exit_reason()
    )
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 1]}…"
