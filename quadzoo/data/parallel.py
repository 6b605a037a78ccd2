"""Apply a function to many images in threads, one for each available CPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from quadzoo.threads import available_cpus

_WINDOW = 256  # items in progress at once, so that memory does not grow with their number

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in order, computed in threads; raises the first error of ``work``.

    Pillow, OpenCV and hashlib release the interpreter's lock. No more than 256 items are in progress.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(available_cpus()) as pool:
        in_progress = deque(pool.submit(work, item) for item in islice(waiting, _WINDOW))
        try:
            while in_progress:
                result = in_progress.popleft().result()
                in_progress.extend(pool.submit(work, item) for item in islice(waiting, 1))
                yield result
        finally:
            for future in in_progress:
                future.cancel()
