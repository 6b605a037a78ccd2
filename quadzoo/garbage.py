"""Python's search for garbage, left out where much is made and all of it is kept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Make objects without a search for garbage among them, over and over, which finds none.

    It looks at everything that there is already, and so takes longer the more is read. What nothing refers
    to is freed at once, as ever; only what refers to itself waits for the end of the block.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()
