"""One process for each run: its memory comes back, and its death is its own."""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

Tell = Callable[[Any], None]
"""Sends a message to the parent process; it must pickle."""

# glibc gives large blocks back to the kernel at once and then pays a page fault for each page of the next
# one; keeping them makes a training step on the CPU up to 1.5 times faster.
_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}


@dataclass(frozen=True)
class Child:
    """A process at work."""

    process: BaseProcess
    connection: Connection

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

    def kill(self) -> None:
        """End the process now."""
        self.process.kill()
        self.process.join()

    def fate(self) -> str:
        """Say in words how the process ended."""
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its process ended with exit status {code}"
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"


class Executor:
    """Starts children from one server process, which imports the heavy libraries once.

    It begins to at once, while this process reads data. The server never touches a GPU, and neither does this
    process.
    """

    def __init__(self) -> None:
        for name, value in _ALLOCATOR.items():
            os.environ.setdefault(name, value)  # read when the server starts
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["quadzoo.training.run"])
        _start_server()

    def start(self, work: str, argument: Any, log: Path) -> Child:
        """Call ``work(argument, tell)`` in a new process; what it prints is appended to ``log``.

        ``work`` is written ``module:function``, so that this process need not import it.
        """
        _start_server()
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_enter, args=(work, argument, theirs, log), daemon=True)
        process.start()
        theirs.close()
        return Child(process, ours)

    @contextmanager
    def asked(self, work: str, argument: Any) -> Iterator[Child]:
        """Do as `start` with a question; the process is ended afterwards, what it printed is dropped."""
        with tempfile.TemporaryDirectory() as folder:
            child = self.start(work, argument, Path(folder) / "log")
            try:
                yield child
            finally:
                child.kill()


def _start_server() -> None:
    """Start the server, unless it runs, deaf to interrupts, so that its children are too while they start."""
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set handlers, and it is the one that starts the first child
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, heard)


def wait_for_any(children: list[Child], timeout: float) -> None:
    """Return when a child has a message or has ended, or after ``timeout`` seconds."""
    wait([item for child in children for item in (child.connection, child.process.sentinel)], timeout)


def _enter(work: str, argument: Any, connection: Connection, log: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends us
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        pkgutil.resolve_name(work)(argument, connection.send)
    except BrokenPipeError:  # the parent is gone
        os._exit(1)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
