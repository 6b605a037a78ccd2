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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver, spawn
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

from quadzoo.executors.base import ENDING_SIGNALS, NO_NEEDS, Needs, end_of
from quadzoo.registry import additions
from quadzoo.registry.additions import Additions

# glibc gives large blocks back to the kernel at once and then pays a page fault for each page of the next
# one; keeping them makes a training step on the CPU up to 1.5 times faster.
_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}
# Of what a new process gets by default: the parent's main module, which it would run again, and the
# parent's module path, which may begin with the current folder, where anybody's files lie.
_NOT_PASSED_ON = ("init_main_from_name", "init_main_from_path", "main_path", "sys_path")

_starting = threading.RLock()
# Not the one of the process: that may have been started by others, without a safe path.
_server = forkserver.ForkServer()


@dataclass(frozen=True)
class LocalJob:
    """A process at work; see `quadzoo.executors.base.Job`."""

    process: BaseProcess
    connection: Connection
    log: Path
    begun: float = field(default_factory=time.monotonic)

    def messages(self, timeout: float | None = None) -> Iterator[Any]:
        """Yield what has come in, waiting at most ``timeout`` seconds for the first; None waits for ever."""
        with suppress(EOFError, ConnectionResetError):
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
        if self.process.pid and hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):  # the group is empty, or was never made
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()

    def exit_reason(self) -> str:
        """Say in words how the process ended."""
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its process ended with exit status {code}"
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"

    def log_tail(self, characters: int = 4000) -> str:
        """Return the end of what the process printed; nothing where its log cannot be read."""
        return end_of(self.log, characters)


class LocalExecutor:
    """Starts processes from one server, which imports the heavy libraries once.

    It begins to at once, while this process reads data. The server never touches a GPU, and neither does this
    process. Neither the server nor its children import anything from the current folder.
    """

    cpus: int | None = None

    def __init__(self) -> None:
        for name, value in _ALLOCATOR.items():
            os.environ.setdefault(name, value)  # read when the server starts
        self._context = multiprocessing.get_context("forkserver")
        _server.set_forkserver_preload(["quadzoo.training.run"])
        _start_server()

    def submit(
        self, work: str, argument: Any, log: Path, needs: Needs = NO_NEEDS, machine: str | None = None
    ) -> LocalJob:
        """Call ``work(argument, send)`` in a new process; see `quadzoo.executors.base.Executor`."""
        _start_server()
        ours, theirs = self._context.Pipe(duplex=False)
        arguments = (work, argument, theirs, log, _Surroundings.of_this_process())
        process = self._context.Process(target=_enter, args=arguments, daemon=True)
        with _safe_start():
            process.start()
        theirs.close()
        return LocalJob(process, ours, log)

    def machines(self) -> Sequence[str]:
        """Return none: there is only this one."""
        return ()

    def at_once(self, jobs: int) -> int:
        """Return ``jobs``."""
        return jobs

    def wait_for_any(self, jobs: Sequence[LocalJob], timeout: float) -> None:
        """Return when a job has sent a message or has ended, or after ``timeout`` seconds."""
        wait([item for job in jobs for item in (job.connection, job.process.sentinel)], timeout)


def _start_server() -> None:
    """Start the server, unless it runs. It ignores what is for the parent; so do its children at first."""
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set handlers, and it is the one that starts the first child
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING_SIGNALS}
    try:
        with _safe_start():
            _server.ensure_running()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _safe_start() -> Iterator[None]:
    """While processes start: keep the current folder off their module path, and the main module out of them.

    So neither a ``torchmetrics.py`` beside somebody's data is run, nor, a second time, the script that called
    us.
    """
    preparation_data = spawn.get_preparation_data

    def safe(name: str) -> dict[str, Any]:
        return {key: value for key, value in preparation_data(name).items() if key not in _NOT_PASSED_ON}

    # Read by each interpreter that starts. An empty entry of PYTHONPATH is the current folder, too.
    environment = {"PYTHONSAFEPATH": "1"}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, os.environ["PYTHONPATH"].split(os.pathsep)))
    with (
        _starting,
        mock.patch.dict(os.environ, environment),
        mock.patch.object(spawn, "get_preparation_data", safe),
        mock.patch.object(forkserver, "connect_to_new_process", _server.connect_to_new_process),
    ):
        yield


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
    if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


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
    for number in surroundings.obeyed:
        signal.signal(number, signal.SIG_DFL)
    if hasattr(os, "setpgid"):  # a group of its own, which ends with it: a plugin may start processes, too
        os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with log.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    except OSError:  # the parent has given up, and deleted the folder
        os._exit(1)
    sys.path.extend(path for path in surroundings.paths if path not in sys.path)
    additions.install(surroundings.added)
    try:
        pkgutil.resolve_name(work)(argument, connection.send)
    except BrokenPipeError:  # the parent is gone
        os._exit(1)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
