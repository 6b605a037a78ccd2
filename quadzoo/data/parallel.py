"""Apply a function to many images in threads, one for each available CPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from quadzoo.threads import available_cpus

_WINDOW = 256  # items in progress at once, so that memory does not grow with their number
_AT_A_TIME = 16  # at most, for one thread: a small image takes no longer than handing it over
_GROWTH = 32  # so many items are handed out before one more goes to a thread at a time: few are shared evenly

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in order, computed in threads.

    Pillow, OpenCV and hashlib release the interpreter's lock. No more than 256 items are in progress. Raises
    the first error of ``work``.
    """
    waiting = iter(items)
    in_progress: deque[tuple[int, Future[tuple[list[Result], BaseException | None]]]] = deque()
    handed_out = unfinished = 0

    def done(some: Sequence[Item]) -> tuple[list[Result], BaseException | None]:
        results: list[Result] = []
        try:
            results.extend(map(work, some))  # those before an error are kept
        except BaseException as error:
            return results, error
        return results, None

    with ThreadPoolExecutor(available_cpus()) as pool:
        try:
            while True:
                at_a_time = min(_AT_A_TIME, 1 + handed_out // _GROWTH)
                while unfinished + at_a_time <= _WINDOW and (some := list(islice(waiting, at_a_time))):
                    in_progress.append((len(some), pool.submit(done, some)))
                    handed_out += len(some)
                    unfinished += len(some)
                if not in_progress:
                    return
                n, future = in_progress.popleft()
                results, error = future.result()
                unfinished -= n
                yield from results
                if error:
                    raise error
        finally:
            for _, future in in_progress:
                future.cancel()
