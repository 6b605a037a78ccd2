"""What operating systems do in different ways: chosen here, and nowhere else. Nothing here imports torch."""

from __future__ import annotations

import atexit
import gc
import io
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NoReturn

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

ENDING_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""What a terminal or a service manager sends to all processes of a command at once, to end it."""

# A server that has imported the heavy libraries forks in a moment what takes seconds to start from nothing.
# Libraries of macOS do not survive a fork; Windows has none.
_FORKS = sys.platform != "darwin" and "forkserver" in multiprocessing.get_all_start_methods()
START_METHOD: Literal["forkserver", "spawn"] = "forkserver" if _FORKS else "spawn"
"""How processes are started."""

ENDS_WITH_PARENT = sys.platform == "linux"
"""Whether a process can have the system end it with its parent; elsewhere it is ended as one of a group."""


if hasattr(os, "preadv"):

    def read_at(file: io.FileIO, buffer: Any, position: int) -> int:
        """Read into a writable buffer from a position of a file; return how many bytes there were.

        The file must be this thread's alone: it may move to the position.
        """
        return os.preadv(file.fileno(), [buffer], position)

else:

    def read_at(file: io.FileIO, buffer: Any, position: int) -> int:
        """Read into a writable buffer from a position of a file; return how many bytes there were.

        The file must be this thread's alone: it may move to the position.
        """
        file.seek(position)
        return file.readinto(buffer) or 0


def peak_memory() -> int:
    """Return the most memory that this process has had resident, in bytes.

    Where the system does not keep that, what it has now.
    """
    if resource is not None:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    import psutil  # here, since it takes time to import, and few systems need it

    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))  # the first is Windows'


def cpu_name() -> str:
    """Return what the CPU is called."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    if sys.platform == "darwin":
        question = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        with suppress(OSError):
            done = subprocess.run(question, capture_output=True, text=True, check=False)
            if name := done.stdout.strip():
                return name
    return platform.processor() or platform.machine()


def open_standard_files() -> None:
    """Open the null device for those of stdin, stdout and stderr that are closed; children get it, too.

    Else the next files that are opened get their numbers, and what is printed would be written into these.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free


def lead_group() -> None:
    """Make this process the leader of a group of its own, where there are groups: all that it starts."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)


def end_group(leader: int) -> None:
    """End the processes that a leader of a group has started, and itself.

    Where there are no groups, end those that it has started as long as it is alive; not itself.
    """
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):  # the group is empty, or was never made
            os.killpg(leader, signal.SIGKILL)
        return
    import psutil

    with suppress(psutil.Error):
        for process in psutil.Process(leader).children(recursive=True):
            with suppress(psutil.Error):
                process.kill()


def end_by(number: signal.Signals) -> NoReturn:
    """End this process by a signal, whatever it does when that comes from elsewhere."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(1)  # not reached


def end_own_group() -> None:
    """End this process, whether or not it is in the middle of something, and all that it has started."""
    if not hasattr(os, "killpg") or os.getpgid(0) == os.getpid():
        end_group(os.getpid())
    os._exit(1)


def end_within(seconds: float, status: int) -> None:
    """Have this process end in that time at the latest, with an exit status.

    Python waits for ever for threads that are no daemons, and for exit hooks, such as those of plugins.
    """
    timer = threading.Timer(seconds, os._exit, (status,))
    timer.daemon = True
    timer.start()


def end_without_teardown(status: int) -> None:
    """Have this process end with an exit status as soon as its threads and exit hooks are over.

    Python would go on to free all that was imported, one object after the other: nearly half a second. An
    exit hook that is registered after this call may be called twice.
    """

    def end() -> None:
        atexit.unregister(end)
        atexit._run_exitfuncs()  # all others: this one comes first
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # closed, or not there at all
                stream.flush()
        _close_files()
        os._exit(status)

    atexit.register(end)


def _close_files() -> None:
    """Close the files that somebody has left open, as Python does at its end: what they hold is written."""
    files = [one for one in gc.get_objects() if issubclass(type(one), io.IOBase)]

    def depth(file: object) -> int:
        """Order texts before what they write into, and what packs, such as gzip, before plain files."""
        return 0 if isinstance(file, io.TextIOBase) else 2 if type(file).__module__ == "_io" else 1

    for file in sorted(files, key=depth):
        with suppress(Exception):  # what it may raise is anybody's
            file.close()
