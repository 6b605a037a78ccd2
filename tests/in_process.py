"""An executor that does each job at once, in this process; of machines it only pretends to have some."""

from __future__ import annotations

import pkgutil
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quadzoo.executors.base import NO_NEEDS, Needs, end_of


@dataclass
class DoneJob:
    """A job that is over when it is submitted."""

    sent: list[Any]
    log: Path
    reason: str
    begun: float = field(default_factory=time.monotonic)
    ended: bool = True

    def messages(self, timeout: float | None = None) -> Iterator[Any]:
        while self.sent:
            yield self.sent.pop(0)

    def wait(self, timeout: float) -> None: ...

    def cancel(self) -> None: ...

    def exit_reason(self) -> str:
        return self.reason

    def log_tail(self, characters: int = 4000) -> str:
        return end_of(self.log, characters)


@dataclass
class InProcess:
    """``changed`` is given machine, work and message of a job, and returns what comes instead."""

    pretended: Sequence[str] = ()
    cpus: int | None = None
    jobs: int | None = None
    changed: Callable[[str | None, str, Any], Any] = lambda machine, work, message: message
    submitted: list[tuple[str, Needs, str | None]] = field(default_factory=list)

    def submit(
        self, work: str, argument: Any, log: Path, needs: Needs = NO_NEEDS, machine: str | None = None
    ) -> DoneJob:
        self.submitted.append((work, needs, machine))
        sent: list[Any] = []
        reason = "its process ended with exit status 0"
        try:
            with warnings.catch_warnings():  # a process of its own prints them
                warnings.simplefilter("ignore")
                pkgutil.resolve_name(work)(argument, sent.append)
        except Exception:
            log.write_text(traceback.format_exc())
            reason = "its process ended with exit status 1"
        return DoneJob([self.changed(machine, work, one) for one in sent], log, reason)

    def machines(self) -> Sequence[str]:
        return self.pretended

    def at_once(self, jobs: int) -> int:
        return jobs * max(1, len(self.pretended))

    def wait_for_any(self, jobs: Sequence[Any], timeout: float) -> Sequence[Any]:
        return jobs
