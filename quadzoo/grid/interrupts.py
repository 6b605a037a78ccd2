"""What ends a bench from outside: Ctrl-C, a service manager, a terminal that is closed."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, Self

from quadzoo.system import ENDING_SIGNALS

_ARRIVAL = 0.5  # seconds


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into KeyboardInterrupt, and remembers it.

    Python drops the exception where it falls into a destructor. A signal that was ignored stays so: nohup
    asks for that. In a thread nothing is changed, since only the main thread may set handlers.
    """

    def __init__(self) -> None:
        self._interrupted = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING_SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _interrupt(self, *_: object) -> None:
        self._interrupted = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Look whether there was a signal. Raises KeyboardInterrupt if so."""
        if self._interrupted:
            raise KeyboardInterrupt

    def check_after_death(self) -> None:
        """Look whether there was a signal, or is one within half a second. Raises KeyboardInterrupt if so.

        What ends all processes of a command reaches those of its runs first, now and then: then no run has
        failed.
        """
        time.sleep(_ARRIVAL)
        self.check()
