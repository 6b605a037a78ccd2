"""How a process starts: from a server that has imported the heavy libraries, or from nothing.

Neither the server nor a process imports anything from the current folder.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from multiprocessing import spawn, util
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

from quadzoo.errors import ConfigError
from quadzoo.scratch import scratch_folder
from quadzoo.system import ENDING_SIGNALS, START_METHOD, open_standard_files

# Of what a new process gets by default: the parent's main module, which it would run again, and the
# parent's module path, which may begin with the current folder, where anybody's files lie.
_NOT_PASSED_ON = ("init_main_from_name", "init_main_from_path", "main_path", "sys_path")

# What launchers of distributed trainings tell each of their processes. A run is none of them, even where the
# bench is: Lightning would take it for one, refuse the number of tasks, and leave files to rank 0.
_OF_LAUNCHERS = (
    "SLURM_NTASKS", "SLURM_PROCID", "RANK", "LOCAL_RANK", "JSM_NAMESPACE_RANK", "JSM_NAMESPACE_LOCAL_RANK",
    "TORCHELASTIC_RUN_ID",
)  # fmt: skip

_TRIES = 3  # servers for one process
_DYING = 5.0  # seconds

_LONGEST_FOLDER = 48  # bytes; a socket's path has at most 107, of which 32 are multiprocessing's, 26 ours

_context: Any = multiprocessing.get_context(START_METHOD)
_starting = threading.RLock()
_server: Any = None
if START_METHOD == "forkserver":
    from multiprocessing import forkserver

    # Not the one of the process: that may have been started by others, without a safe path.
    _server = forkserver.ForkServer()

    def _begin_anew() -> None:
        """Forget, in a copy of this process, the server, which is no child of it, and who was starting."""
        global _server, _starting
        _server, _starting = forkserver.ForkServer(), threading.RLock()

    os.register_at_fork(after_in_child=_begin_anew)


def pipe() -> tuple[Connection, Connection]:
    """Return the ends of a pipe to a process, the one that receives and the one that sends."""
    ends: tuple[Connection, Connection] = _context.Pipe(duplex=False)
    return ends


def start(target: Callable[..., None], arguments: tuple[Any, ...]) -> BaseProcess:
    """Start a process that calls ``target(*arguments)``. Raises ConfigError where this one may start none."""
    if multiprocessing.current_process().daemon:
        raise ConfigError(
            "runs have processes of their own, and a daemon process, such as a worker of "
            "multiprocessing.Pool, may start none; use concurrent.futures.ProcessPoolExecutor, or a thread"
        )
    start_server()
    process: BaseProcess = _context.Process(target=target, args=arguments, daemon=True)
    with _safe_start():
        for _ in range(_TRIES - 1):
            try:
                process.start()
                return process
            except (EOFError, ConnectionError):  # the server has died this moment; a new one does it
                _bury_server()
                start_server()
        process.start()
    return process


def _bury_server() -> None:
    """Return when the server is over, soon: it has closed its connections, and dies after that.

    Before it is over, it counts as running, and no new one starts.
    """
    end = time.monotonic() + _DYING
    while server_pid() and not is_over(server_pid()) and time.monotonic() < end:
        time.sleep(0.001)


def server_pid() -> int:
    """Return the process id of the server; 0 where there is none."""
    return int(getattr(_server, "_forkserver_pid", None) or 0)


def is_over(child: int) -> bool:
    """Say whether a child of this process is over; whoever else waits for it can still do so."""
    if not child or not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def preload(*modules: str) -> None:
    """Have the server, where there is one, import modules for all that it starts."""
    if _server is not None:
        _server.set_forkserver_preload(list(modules))


def start_server() -> None:
    """Start the server, unless it runs. It ignores what is for the parent; so do its children at first."""
    if _server is None or threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set handlers, and it is the one that starts the first child
    open_standard_files()
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING_SIGNALS}
    try:
        with _safe_start(), mock.patch.object(tempfile, "tempdir", _folder_of_sockets()):
            _server.ensure_running()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@cache
def _folder_of_sockets() -> str:
    """Return a new folder whose path is short enough for the name of a socket in it.

    It is deleted when this process ends; after a kill, when another one starts.
    """
    usual = tempfile.gettempdir()
    stack = ExitStack()
    base = Path(usual if len(os.fsencode(usual)) <= _LONGEST_FOLDER else "/tmp")
    folder = stack.enter_context(scratch_folder(base))
    # At -100 multiprocessing deletes its own folder, which is in this one.
    util.Finalize(None, stack.close, exitpriority=-101)
    return str(folder)


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
        ExitStack() as stack,
    ):
        for name in _OF_LAUNCHERS:
            os.environ.pop(name, None)
        if _server is not None:
            ours = mock.patch.object(forkserver, "connect_to_new_process", _server.connect_to_new_process)
            stack.enter_context(ours)
        yield
