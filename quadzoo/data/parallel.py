"""Do one thing to many images, in threads, as many as there are CPUs for them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_WINDOW = 256  # items under way at once: memory does not grow with their number

Item = TypeVar("Item")
Result = TypeVar("Result")


def cpus() -> int:
    """Return how many CPUs this process may use: fewer than the machine has under taskset or Slurm."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Map in threads (Pillow, OpenCV and hashlib release the interpreter's lock), a window at a time.

    Results come in the order of the items; the first error ends it.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(cpus()) as pool:
        under_way = deque(pool.submit(work, item) for item in islice(waiting, _WINDOW))
        try:
            while under_way:
                result = under_way.popleft().result()
                under_way.extend(pool.submit(work, item) for item in islice(waiting, 1))
                yield result
        finally:
            for future in under_way:
                future.cancel()
