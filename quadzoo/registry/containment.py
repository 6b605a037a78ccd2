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


@contextmanager
def contained() -> Iterator[list[int]]:
    """Run code of a plugin. What the whole process shares is afterwards as it was.

    That are the current folder, the handlers of signals, the standard streams, also closed ones, and which
    warnings are errors. What the code prints goes to stderr, since stdout carries results alone. A process
    that it forks and that returns from it ends here, or a command would be done twice. Yields a list of the
    signals that have arrived: without one, a KeyboardInterrupt is the plugin's own.
    """
    process, folder = os.getpid(), None
    filters = list(warnings.filters)
    with suppress(OSError):  # it may have been deleted
        folder = os.getcwd()
    arrived: list[int] = []
    try:
        with ExitStack() as stack:
            if threading.current_thread() is threading.main_thread():  # else others are at work beside it
                stack.enter_context(_handlers_noting(arrived))
                stack.enter_context(_streams_kept())
            yield arrived
    finally:
        if os.getpid() != process:
            os._exit(0)
        added = [one for one in warnings.filters if one[0] != "error" and one not in filters]
        warnings.filters[:] = [*added, *filters]  # type: ignore[index]  # a list
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
