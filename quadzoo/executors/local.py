"""Jobs as processes of this machine: the memory of each comes back, and a crash ends one job alone."""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from quadzoo.executors.base import NO_NEEDS, Needs, end_of
from quadzoo.executors.starting import is_over, pipe, preload, server_pid, start, start_server
from quadzoo.garbage import uncollected
from quadzoo.registry import additions
from quadzoo.registry.additions import Additions
from quadzoo.storage import open_log
from quadzoo.system import ENDING_SIGNALS, end_group, end_own_group, end_within, lead_group
from quadzoo.threads import waiting

# glibc gives large blocks back to the kernel at once and then pays a page fault for each page of the next
# one; keeping them makes a training step on the CPU up to 1.5 times faster.
_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
    # On a Mac's GPU, operators that it does not have are computed on the CPU.
    "PYTORCH_ENABLE_MPS_FALLBACK": "1",
}
_ENDING = 10.0  # seconds from the end of the work to that of its process
_UNKNOWN = 255  # the exit status of a process that nobody could wait for


@dataclass(frozen=True)
class LocalJob:
    """A process at work; see `quadzoo.executors.base.Job`."""

    process: BaseProcess
    connection: Connection
    log: Path
    server: int
    begun: float = field(default_factory=time.monotonic)

    def messages(self, timeout: float | None = None) -> Iterator[Any]:
        """Yield what has come in, waiting at most ``timeout`` seconds for the first; None waits for ever."""
        with suppress(EOFError, ConnectionError):
            while self.connection.poll(timeout):
                yield self.connection.recv()
                timeout = 0

    @property
    def ended(self) -> bool:
        """Whether the process is over."""
        return not self.process.is_alive()

    def wait(self, timeout: float) -> None:
        """Return when the process is over, or after ``timeout`` seconds."""
        self.process.join(timeout)

    def cancel(self) -> None:
        """End the process now, and all that it has started; of one that is over, what it has left behind."""
        if self.process.pid:
            end_group(self.process.pid)
        self.process.kill()
        self.process.join()

    def exit_reason(self) -> str:
        """Say in words how the process ended."""
        self.process.join()
        code = self.process.exitcode or 0
        if code == _UNKNOWN and is_over(self.server):
            return "the process that starts runs was ended (out of memory?), and this run with it"
        if code >= 0:
            return f"its process ended with exit status {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:  # most signals for real-time use have no name
            name = f"signal {-code}"
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"

    def log_tail(self, characters: int = 4000) -> str:
        """Return the end of what the process printed; nothing where its log cannot be read."""
        return end_of(self.log, characters)


class LocalExecutor:
    """Starts processes, where the system allows it from one server, which imports the heavy libraries once.

    It begins to at once, while this process reads data. The server never touches a GPU, and neither does this
    process. Neither the server nor its children import anything from the current folder.
    """

    cpus: int | None = None
    jobs: int | None = None

    def __init__(self) -> None:
        for name, value in {**_ENVIRONMENT, **waiting()}.items():
            os.environ.setdefault(name, value)  # read when the server starts
        preload("quadzoo.training.preloaded")
        start_server()

    def submit(
        self, work: str, argument: Any, log: Path, needs: Needs = NO_NEEDS, machine: str | None = None
    ) -> LocalJob:
        """Call ``work(argument, send)`` in a new process; see `quadzoo.executors.base.Executor`."""
        ours, theirs = pipe()
        process = start(_enter, (work, argument, theirs, log, _Surroundings.of_this_process()))
        theirs.close()
        return LocalJob(process, ours, log, server_pid())

    def machines(self) -> Sequence[str]:
        """Return none: there is only this one."""
        return ()

    def at_once(self, jobs: int) -> int:
        """Return ``jobs``."""
        return jobs

    def wait_for_any(self, jobs: Sequence[LocalJob], timeout: float) -> Sequence[LocalJob]:
        """Return the jobs that have sent a message or have ended; none after ``timeout`` seconds."""
        ready = wait([item for job in jobs for item in (job.connection, job.process.sentinel)], timeout)
        return [job for job in jobs if job.connection in ready or job.process.sentinel in ready]


def _own_paths() -> list[str]:
    """Return where this process looks for modules, without the current folder and that of its script."""
    first = [] if sys.flags.safe_path else sys.path[:1]
    avoided = {os.path.realpath(path) for path in (os.getcwd(), *first)}
    return [path for path in sys.path if os.path.isabs(path) and os.path.realpath(path) not in avoided]


def _end_with_parent() -> None:
    """Wait until whoever submitted the work is gone, and end this process and all that it has started."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    end_own_group()


@dataclass(frozen=True)
class _Surroundings:
    """What a child takes over: where to look for modules, plugins that are files, signals that end it.

    It ends when it alone is asked to; Ctrl-C is always for the parent, and what nohup has it ignore stays so.
    """

    paths: list[str]
    added: Additions
    obeyed: list[int]

    @classmethod
    def of_this_process(cls) -> _Surroundings:
        ignored = (signal.SIG_IGN, None)
        obeyed = [
            number
            for number in ENDING_SIGNALS
            if number != signal.SIGINT and signal.getsignal(number) not in ignored
        ]
        return cls(_own_paths(), additions.current(), obeyed)


def _enter(work: str, argument: Any, connection: Connection, log: Path, surroundings: _Surroundings) -> None:
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_DFL if number in surroundings.obeyed else signal.SIG_IGN)
    lead_group()  # which ends with it: a plugin may start processes, too
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with open_log(log) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    except OSError:  # the parent has given up, and deleted the folder
        os._exit(1)
    sys.path.extend(path for path in surroundings.paths if path not in sys.path)
    additions.install(surroundings.added)
    try:
        with uncollected():  # where there is no server, this imports everything
            function = pkgutil.resolve_name(work)
        function(argument, connection.send)
        end_within(_ENDING, 0)
    except BrokenPipeError:  # the parent is gone
        os._exit(1)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
