"""What ends a bench from outside: Ctrl-C, a service manager, a terminal that is closed."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any, Self

from quadzoo.system import ENDING_SIGNALS

_ARRIVAL = 0.5  # seconds
_PATIENCE = 3  # the signal that ends a command at once


class Interrupts:
    """Turns the first SIGINT, SIGTERM or SIGHUP into KeyboardInterrupt, and remembers it.

    Python drops the exception where it falls into a destructor. A second signal does nothing more: what is
    kept is being written. A third ends the process. A signal that was ignored stays so: nohup asks for that.
    In a thread nothing is changed, since only the main thread may set handlers. ``to_the_end``: after a
    signal the process is about to end, and further ones are ignored; Python would else die of them, and lose
    the exit status.
    """

    def __init__(self, *, to_the_end: bool = False) -> None:
        self._to_the_end = to_the_end
        self._arrived: list[int] = []  # of an outer one, too
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING_SIGNALS:
                handler = signal.getsignal(number)
                outer = getattr(handler, "__self__", None)
                if isinstance(outer, Interrupts):
                    self._arrived = outer._arrived
                if handler is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        ending = self._to_the_end and self._arrived
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_IGN if ending else handler)

    def _interrupt(self, number: int, _: object) -> None:
        self._arrived.append(number)
        if len(self._arrived) == 1:
            raise KeyboardInterrupt
        if len(self._arrived) >= _PATIENCE:
            os._exit(130)

    def check(self) -> None:
        """Look whether there was a signal. Raises KeyboardInterrupt if so."""
        if self._arrived:
            raise KeyboardInterrupt

    def check_after_death(self) -> None:
        """Look whether there was a signal, or is one within half a second. Raises KeyboardInterrupt if so.

        What ends all processes of a command reaches those of its runs first, now and then: then no run has
        failed.
        """
        time.sleep(_ARRIVAL)
        self.check()
