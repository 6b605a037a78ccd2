"""While a plugin's code is imported here: what it must not change, and whose interrupt it was."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any


@contextmanager
def contained() -> Iterator[list[int]]:
    """Run code of a plugin; the current folder and the handlers of signals are afterwards as they were.

    Yields a list of the signals that have arrived: without one, a KeyboardInterrupt is the plugin's own.
    """
    arrived: list[int] = []
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers, or is interrupted
        for number in signal.valid_signals():
            if callable(handler := signal.getsignal(number)):
                previous[number] = handler
                signal.signal(number, _noting(handler, arrived))
    folder = None
    with suppress(OSError):  # it may have been deleted
        folder = os.getcwd()
    try:
        yield arrived
    finally:
        for changed, handler in previous.items():
            signal.signal(changed, handler)
        with suppress(OSError):
            if folder is not None and os.getcwd() != folder:
                os.chdir(folder)


def _noting(handler: Any, arrived: list[int]) -> Any:
    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        handler(number, frame)

    return note
