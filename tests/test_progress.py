"""What a person is told while a bench runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from quadzoo.progress import Display


def test_the_time_left_is_not_that_of_the_last_batch() -> None:
    clock = [0.0]
    display = Display()
    display._progress.get_time = lambda: clock[0]
    run: Any = SimpleNamespace(key="k", title="a run")
    for second in range(240):  # a hundredth of the run every 4 seconds
        clock[0] = float(second)
        display.progressed(run, second / 400, None)

    def left() -> float:
        (task,) = display._progress.tasks
        assert task.time_remaining is not None
        return float(task.time_remaining)

    before = left()
    assert 150 < before < 170
    for second in range(240, 270):  # a neighbour takes nine tenths of the CPU for half a minute
        clock[0] = float(second)
        display.progressed(run, (240 + (second - 240) / 10) / 400, None)
    assert before < left() < 1.3 * before
