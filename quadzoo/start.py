"""How the command `quadzoo` starts: a signal is heard before all else is imported, which takes 0.2 s."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from quadzoo.grid.interrupts import Interrupts


def main() -> None:
    """Run the command line and exit, as `quadzoo.cli.main` does."""
    with Interrupts():
        try:
            from quadzoo.cli import main as run
        except KeyboardInterrupt:
            with suppress(OSError):  # there may be no stderr
                os.write(2, b"quadzoo: interrupted before it began\n")
            sys.exit(130)
    run()
