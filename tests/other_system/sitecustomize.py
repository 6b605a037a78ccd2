"""Takes away what only Linux has, or only POSIX; an interpreter imports this when it starts.

A folder with this module is put on PYTHONPATH, so the processes of a bench lack the same.
"""

from __future__ import annotations

import builtins
import io
import multiprocessing
import multiprocessing.context
import os
import signal
import sys
from typing import Any

import psutil  # noqa: F401  # on Linux it needs resource itself, elsewhere not

MODULES = ("fcntl", "resource", "termios", "pwd", "grp", "multiprocessing.forkserver")
# What libraries need where there is no Windows stays: SIGKILL, SIGUSR1, uname.
CALLS = (
    "preadv", "pread", "pwrite", "posix_fadvise", "killpg", "setpgid", "getpgid", "setsid",
    "sched_getaffinity", "sched_setaffinity", "fork", "getuid", "mkfifo", "O_NONBLOCK",
)  # fmt: skip

for name in MODULES:
    sys.modules[name] = None  # type: ignore[assignment]  # importing it is an ImportError
for name in CALLS:
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGXFSZ", "pthread_sigmask"):
    if hasattr(signal, name):
        delattr(signal, name)
multiprocessing.set_start_method("spawn")
multiprocessing.get_all_start_methods = lambda: ["spawn"]  # type: ignore[assignment]
multiprocessing.context._concrete_contexts.pop("forkserver", None)
multiprocessing.context._concrete_contexts.pop("fork", None)

_open = io.open


def _hiding(file: Any, *given: Any, **named: Any) -> Any:
    """Open a file, but nothing in /proc and /sys, unless psutil asks, which has other ways elsewhere."""
    if isinstance(file, str | os.PathLike) and os.fspath(file).startswith(("/proc/", "/sys/")):
        frame: Any = sys._getframe(1)
        while frame and not frame.f_globals.get("__name__", "").startswith("psutil"):
            frame = frame.f_back
        if not frame:
            raise FileNotFoundError(2, "hidden", os.fspath(file))
    return _open(file, *given, **named)


io.open = builtins.open = _hiding  # type: ignore[assignment]
