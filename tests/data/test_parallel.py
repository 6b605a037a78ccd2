from __future__ import annotations

import os

import pytest

from quadzoo.data.parallel import parallel
from quadzoo.threads import available_cpus


def test_parallel_keeps_the_order_and_a_window() -> None:
    under_way: list[int] = []

    def work(index: int) -> int:
        under_way.append(index)
        return index * 2

    results = parallel(work, range(2000))
    first = [next(results) for _ in range(5)]
    assert first == [0, 2, 4, 6, 8]
    assert len(under_way) < 300
    assert list(results) == [index * 2 for index in range(5, 2000)]


def test_parallel_stops_at_an_error() -> None:
    done: list[int] = []

    def work(index: int) -> int:
        done.append(index)
        return 10 // (index - 3)

    with pytest.raises(ZeroDivisionError):
        list(parallel(work, range(100_000)))
    assert len(done) < 1000


@pytest.mark.linux
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to CPUs")
def test_cpus_are_those_that_the_process_may_use() -> None:
    may_use = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(may_use)})
    try:
        assert available_cpus() == 1
    finally:
        os.sched_setaffinity(0, may_use)
    assert available_cpus() == len(may_use)
