"""A job on a node of a Ray cluster, as the driver sees it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import ray
from ray import exceptions

from quadzoo import storage
from quadzoo.executors.base import Needs, end_of
from quadzoo.executors.parcels import place_in
from quadzoo.executors.ray_connection import in_words
from quadzoo.executors.ray_node import Piece, Report, Returned
from quadzoo.storage import cache_folder

SLICE = 1.0
"""Seconds that something of Ray is waited for before the cluster's head is looked at again."""
_ENDING, _BURST = 3.0, 10.0  # seconds
_AT_A_TIME = 16  # reports
_LOST = (
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.LocalRayletDiedError,
    exceptions.ActorDiedError,
    exceptions.ActorUnavailableError,
    exceptions.ObjectLostError,
)


class Cluster(Protocol):
    """What a job asks of the executor that has submitted it."""

    def check_head(self, *, afresh: bool = False) -> None:
        """Raise ClusterLost where the cluster does not answer."""

    @property
    def lost(self) -> bool:
        """Whether it has been lost."""

    waited_in_vain: float
    """When a job was last given a moment to end, and did not, on the clock of ``time.monotonic``."""


class Start(Protocol):
    """Starts a job, from its checkpoint if there is one; returns what yields references to its reports."""

    def __call__(self) -> Any:
        """Start it."""


class RayJob:
    """A job on a node; see `quadzoo.executors.base.Job`.

    Where its node or the worker that watches it is lost, it starts again, at most ``retries`` times;
    ``note`` is told so. A job that fails does not, nor one that Ray ends because memory is short.
    """

    def __init__(
        self,
        cluster: Cluster,
        start: Start,
        needs: Needs,
        log: Path,
        *,
        retries: int,
        note: Callable[[str], None],
    ) -> None:
        self.begun: float | None = None
        self._cluster, self._start, self._needs, self._log = cluster, start, needs, log
        self._retries, self._note = retries, note
        self._messages: deque[Any] = deque()
        self._reason: str | None = None
        self._attempts = 1
        self._has_answered = False
        self._target: tuple[ExitStack, BinaryIO] | None = None
        self.reports = start()

    @property
    def ended(self) -> bool:
        """Whether it is over, as far as its reports have been read."""
        return self._reason is not None

    @property
    def has_news(self) -> bool:
        """Whether there is something to tell without waiting."""
        return self.ended or bool(self._messages)

    def messages(self, timeout: float | None = None) -> Iterator[Any]:
        """Yield what has come in, waiting at most ``timeout`` seconds for the first; None waits for ever."""
        end = None if timeout is None else time.monotonic() + timeout
        late = 0
        while True:
            while self._messages:
                yield self._messages.popleft()
                end = 0.0
            if self.ended:
                return
            left = SLICE if end is None else max(0.0, end - time.monotonic())
            if not self._read(min(left, SLICE)) and left < SLICE:
                return
            late += not left
            if late >= _AT_A_TIME:  # of a job that prints without end: others are to be heard, too
                return

    def wait(self, timeout: float) -> None:
        """Return when it is over, or after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while not self.ended and (left := end - time.monotonic()) > 0:
            self._read(min(left, SLICE))

    def cancel(self) -> None:
        """End it now; its node ends all that it has started.

        What has answered a question gets a moment to end by itself: then its worker serves the next one, and
        need not import everything again. Of several that are ended while they tell how they go on, the first
        alone gets it.
        """
        vain = self._cluster.waited_in_vain
        if self._has_answered and not self._cluster.lost and time.monotonic() - vain > _BURST:
            self.wait(_ENDING)
            if not self.ended:
                self._cluster.waited_in_vain = time.monotonic()
        self._drop_target("it was ended")
        if not self.ended:
            self._reason = "it was ended by the bench"
            if not self._cluster.lost:
                with suppress(exceptions.RayError):
                    ray.cancel(self.reports, force=True)

    def exit_reason(self) -> str:
        """Say in words how it ended."""
        return self._reason or "it has not ended"

    def log_tail(self, characters: int = 4000) -> str:
        """Return the end of what it printed, as far as that has come."""
        return end_of(self._log, characters)

    def _read(self, timeout: float) -> bool:
        """Take in its next report, waiting at most ``timeout`` seconds; return whether there was one."""
        self._cluster.check_head()
        try:
            if not ray.wait([self.reports], timeout=timeout)[0]:
                return False
            report: Report = ray.get(next(self.reports))
        except StopIteration:
            self._reason = "its worker ended without a report"
        except exceptions.RayError as error:
            self._fail(error)
        else:
            self._take(report)
        return True

    def _fail(self, error: exceptions.RayError) -> None:
        self._drop_target(str(error))
        self._cluster.check_head(afresh=True)
        if not isinstance(error, _LOST):
            self._reason = in_words(error)
        elif self._attempts > self._retries:
            self._reason = f"its node, or its worker there, was lost: {in_words(error)}"
        else:
            self._note(
                f"warning: a node, or a worker there, was lost: its run starts again ({in_words(error)})"
            )
            self._attempts += 1
            self.begun = None
            self.reports = self._start()

    def _take(self, report: Report) -> None:
        if self.begun is None:
            self.begun = time.monotonic()
        if report.log:
            with storage.open_log(self._log) as file:
                file.write(report.log)
        if report.piece:
            self._write(report.piece)
        self._has_answered |= bool(report.messages)
        for message in report.messages:
            is_file = isinstance(message, Returned)
            self._messages.append(place_in(cache_folder(), message.place) if is_file else message)
        if report.exit_reason is not None:
            self._reason = report.exit_reason
            if self._needs.checkpoint and not report.keeps:
                self._needs.checkpoint.unlink(missing_ok=True)

    def _write(self, piece: Piece) -> None:
        if self._target is None:
            folder = cache_folder() if piece.to_cache else self._needs.writes
            assert folder is not None, "a job that writes has a folder in its needs"
            stack = ExitStack()
            self._target = stack, stack.enter_context(storage.written_whole(place_in(folder, piece.place)))
        stack, file = self._target
        file.write(piece.content)
        if piece.is_last:
            self._target = None
            stack.close()

    def _drop_target(self, why: str) -> None:
        """Give up a file of which only a part has come; what was there before stays."""
        if self._target is not None:
            stack, _ = self._target
            self._target, error = None, ConnectionError(why)
            with suppress(ConnectionError):
                stack.__exit__(type(error), error, None)
