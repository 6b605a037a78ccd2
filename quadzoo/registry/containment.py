"""While a plugin's code runs here: what it must not change, and whose interrupt it was."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from types import FrameType
from typing import Any

from quadzoo.errors import QuadzooError

_STREAMS = ("stdin", "stdout", "stderr")
_LONGEST = 200  # characters of a reason
_NUMPY_BEGINS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
_OF_TORCH = {  # what returns and what sets it
    "type": ("get_default_dtype", "set_default_dtype"),
    "device": ("get_default_device", "set_default_device"),
    "gradients": ("is_grad_enabled", "set_grad_enabled"),
    "deterministic": ("are_deterministic_algorithms_enabled", "use_deterministic_algorithms"),
    "multiplication": ("get_float32_matmul_precision", "set_float32_matmul_precision"),
}


@contextmanager
def contained() -> Iterator[list[int]]:
    """Run code of a plugin. What the whole process shares is afterwards as it was.

    That are the current folder, the handlers and the mask of signals, the permissions of new files, the
    standard streams, also closed ones, which warnings are errors, and numpy's and torch's defaults, such as
    the type of numbers. What the code prints goes to stderr, since stdout carries results alone. A process
    that it forks and that returns from it ends here, or a command would be done twice. Yields a list of the
    signals that have arrived: without one, a KeyboardInterrupt is the plugin's own.
    """
    process, folder = os.getpid(), None
    filters, defaults = list(warnings.filters), _defaults()
    with suppress(OSError):  # it may have been deleted
        folder = os.getcwd()
    arrived: list[int] = []
    try:
        with ExitStack() as stack:
            if threading.current_thread() is threading.main_thread():  # else others are at work beside it
                stack.enter_context(_masks_kept())
                stack.enter_context(_handlers_noting(arrived))
                stack.enter_context(_streams_kept())
            yield arrived
    finally:
        if os.getpid() != process:
            os._exit(0)
        added = [one for one in warnings.filters if one[0] != "error" and one not in filters]
        warnings.filters[:] = [*added, *filters]  # type: ignore[index]  # a list
        _put_back(defaults)
        with suppress(OSError):
            if folder is not None and os.getcwd() != folder:
                os.chdir(folder)


@contextmanager
def blamed(error_of: Callable[[str], QuadzooError]) -> Iterator[None]:
    """Run code of a plugin, as `contained` does. Raises ``error_of(reason)`` for whatever that raises.

    SystemExit is among that; a QuadzooError comes through, and so does the interrupt of a signal.
    """
    with contained() as signals:
        try:
            yield
        except QuadzooError:
            raise
        except BaseException as error:
            if signals:  # then it is somebody who ends this command
                raise
            raise error_of(in_a_line(error)) from error


def in_a_line(error: BaseException, *, bare: bool = False) -> str:
    """Return type and text of an error in one line of bounded length; ``bare`` leaves the type out."""
    name = type(error).__name__ or "an error without a name"
    try:
        said = str(error)[: 8 * _LONGEST].strip()
        text = said if bare else f"{name}: {said}"
    except BaseException:  # an error is the plugin's code, too
        text = name
    line = " ".join(text.split("\n", 1)[0].split()) or "an error without a text"
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _defaults() -> dict[str, Any]:
    """Return what numpy and torch have for all of the process; of one that is not imported yet, nothing."""
    numpy, torch = (sys.modules.get(name) for name in ("numpy", "torch"))
    found: dict[str, Any] = {}
    if numpy:
        found["numpy"] = numpy.geterr()
    if torch:
        found["torch"] = {name: getattr(torch, getter)() for name, (getter, _) in _OF_TORCH.items()}
    return found


def _put_back(before: dict[str, Any]) -> None:
    """Set what numpy and torch have for all of the process; of one that was not imported, as it begins."""
    numpy, torch = (sys.modules.get(name) for name in ("numpy", "torch"))
    if numpy:
        numpy.seterr(**before.get("numpy", _NUMPY_BEGINS))
    if torch:
        cpu = torch.device("cpu")
        begins = {
            "type": torch.float32, "device": cpu, "gradients": True, "deterministic": False,
            "multiplication": "highest",
        }  # fmt: skip
        for name, value in before.get("torch", begins).items():
            getter, setter = _OF_TORCH[name]
            if getattr(torch, getter)() != value:
                # A device that is set, also the CPU, has a price at every call; none is the CPU.
                getattr(torch, setter)(None if value == cpu else value)


@contextmanager
def _masks_kept() -> Iterator[None]:
    """Keep which signals are blocked, and which permissions new files do not get."""
    permissions = os.umask(0o077)
    os.umask(permissions)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ()) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        os.umask(permissions)
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@contextmanager
def _handlers_noting(arrived: list[int]) -> Iterator[None]:
    previous: dict[int, Any] = {}
    for number in signal.valid_signals():
        if callable(handler := signal.getsignal(number)):
            previous[number] = handler
            signal.signal(number, _noting(handler, arrived))
    try:
        yield
    finally:
        for changed, handler in previous.items():
            signal.signal(changed, handler)


def _noting(handler: Any, arrived: list[int]) -> Any:
    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        handler(number, frame)

    return note


@contextmanager
def _streams_kept() -> Iterator[None]:
    """Keep the standard streams, Python's objects and the system's files; stdout is stderr meanwhile."""
    objects = {name: getattr(sys, name) for name in _STREAMS}
    files: dict[int, int] = {}
    for number, name in enumerate(_STREAMS):
        with suppress(OSError):
            if getattr(sys, f"__{name}__") is not None:  # else it was closed, and another file has its number
                files[number] = os.dup(number)
    _flush(sys.stdout, sys.__stdout__)
    try:
        with redirect_stdout(sys.stderr):
            if {1, 2} <= files.keys():  # also what is no Python
                os.dup2(files[2], 1)
            yield
    finally:
        _flush(objects["stdout"], sys.__stdout__)  # what it printed by another name
        for number, copy in files.items():
            os.dup2(copy, number)
            os.close(copy)
        for name, stream in objects.items():
            setattr(sys, name, stream)


def _flush(*streams: Any) -> None:
    for stream in streams:
        with suppress(OSError, ValueError, AttributeError):  # it may be closed, or none
            stream.flush()
