"""A process that says what this one cannot when Ray ends it."""

from __future__ import annotations

import subprocess
import sys

_DONE = b"done"
_SAYING = f"""
import sys
if sys.stdin.buffer.read() != {_DONE!r}:
    sys.stderr.write(
        "quadzoo: error: this command was ended before it could write its table, as Ray does where its own "
        "process on this machine is gone; finished runs are kept, `quadzoo report` makes their table, and "
        "the same command continues from here\\n"
    )
"""


class Witness:
    """Says in one line that this process has ended, unless it was closed before.

    Where Ray's own process on this machine dies, Ray ends a process that waits for an answer at once, and
    nothing in it is asked.
    """

    def __init__(self) -> None:
        words = [sys.executable, "-I", "-S", "-c", _SAYING]
        # A session of its own: a signal to all processes of the command is not for it.
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)

    def close(self) -> None:
        """Let it go without a word."""
        if self._process.poll() is None:
            self._process.communicate(_DONE)
