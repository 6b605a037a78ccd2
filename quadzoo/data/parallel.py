"""Apply a function to many images in threads, one for each available CPU."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_WINDOW = 256  # items in progress at once, so that memory does not grow with their number

Item = TypeVar("Item")
Result = TypeVar("Result")


def cpus() -> int:
    """Return how many CPUs this process may use: under taskset or Slurm, fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in order, computed in threads; raises the first error of ``work``.

    Pillow, OpenCV and hashlib release the interpreter's lock. No more than 256 items are in progress.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(cpus()) as pool:
        in_progress = deque(pool.submit(work, item) for item in islice(waiting, _WINDOW))
        try:
            while in_progress:
                result = in_progress.popleft().result()
                in_progress.extend(pool.submit(work, item) for item in islice(waiting, 1))
                yield result
        finally:
            for future in in_progress:
                future.cancel()
