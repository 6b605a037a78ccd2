"""What ends a bench from outside: Ctrl-C, a service manager, a terminal that is closed."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any, Self

from quadzoo.system import ENDING_SIGNALS

_ARRIVAL = 0.5  # seconds
_ONE_EVENT = 1.0  # seconds in which a terminal or a service manager may send several signals
_STDERR, _SHOW_CURSOR = 2, b"\x1b[?25h"
_PATIENCE = 3  # signals in that time end a command, too


class Interrupts:
    """Turns the first SIGINT, SIGTERM or SIGHUP into KeyboardInterrupt, and remembers it.

    Python drops the exception where it falls into a destructor. A second signal ends what is still done
    after the first, but for one in the same second: a terminal that is closed may send two. A third always
    does. Of a program or a notebook it ends the bench alone, by another KeyboardInterrupt. A signal that was
    ignored stays so: nohup asks for that.
    In a thread nothing is changed, since only the main thread may set handlers. ``to_the_end``: the process
    is ours, and a second signal ends it at once. After a first one it is about to end, and further ones are
    ignored at the end; Python would else die of them, and lose the exit status.
    """

    def __init__(self, *, to_the_end: bool = False) -> None:
        self._to_the_end = self._is_ours = to_the_end
        self._arrived: list[float] = []  # when; of an outer one, too
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING_SIGNALS:
                handler = signal.getsignal(number)
                outer = getattr(handler, "__self__", None)
                if isinstance(outer, Interrupts):
                    self._arrived, self._is_ours = outer._arrived, self._is_ours or outer._is_ours
                if handler is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        ending = self._to_the_end and self._arrived
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_IGN if ending else handler)

    def _interrupt(self, _: int, __: object) -> None:
        self._arrived.append(time.monotonic())
        first, *others = self._arrived
        if not others:
            raise KeyboardInterrupt
        if others[-1] > first + _ONE_EVENT or len(self._arrived) >= _PATIENCE:
            if not self._is_ours:
                raise KeyboardInterrupt
            with suppress(OSError):  # a bar has hidden it
                os.write(_STDERR, _SHOW_CURSOR * os.isatty(_STDERR))
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
