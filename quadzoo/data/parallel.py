"""Apply a function to many images in threads, one for each available CPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from typing import TypeVar

from quadzoo.threads import available_cpus

_WINDOW = 256  # items in progress at once, so that memory does not grow with their number
_AT_A_TIME = 16  # at most, for one thread: a small image takes no longer than handing it over
_PARTS = 8  # for each thread at least, so that few items are shared evenly

Item = TypeVar("Item")
Result = TypeVar("Result")


def threads() -> ThreadPoolExecutor:
    """Return a thread for each available CPU."""
    return ThreadPoolExecutor(available_cpus())


def parallel(
    work: Callable[[Item], Result], items: Sequence[Item], pool: ThreadPoolExecutor | None = None
) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in order, computed in threads, those of ``pool`` where it is given.

    Pillow, OpenCV and hashlib release the interpreter's lock. No more than 256 items are in progress. Raises
    the first error of ``work``.
    """
    at_a_time = min(_AT_A_TIME, 1 + len(items) // (_PARTS * available_cpus()))
    parts = (items[start : start + at_a_time] for start in range(0, len(items), at_a_time))
    in_progress: deque[Future[tuple[list[Result], BaseException | None]]] = deque()

    def done(part: Sequence[Item]) -> tuple[list[Result], BaseException | None]:
        results: list[Result] = []
        try:
            results.extend(map(work, part))  # those before an error are kept
        except BaseException as error:
            return results, error
        return results, None

    with nullcontext(pool) if pool else threads() as running:
        try:
            while True:
                room = _WINDOW // at_a_time - len(in_progress)
                in_progress.extend(running.submit(done, part) for part in islice(parts, room))
                if not in_progress:
                    return
                results, error = in_progress.popleft().result()
                yield from results
                if error:
                    raise error
        finally:
            for future in in_progress:
                future.cancel()
