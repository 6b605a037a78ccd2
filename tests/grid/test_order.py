"""The longest runs are started first; nothing else depends on what runs cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quadzoo.grid.loop import Loop
from quadzoo.grid.observer import Silent
from quadzoo.grid.plan import longest_first
from quadzoo.records.record import write_record
from quadzoo.training.outcome import failure, record_of

from .test_halving import planned


def test_the_longest_come_first_and_equal_ones_stay(equations: Path, tmp_path: Path) -> None:
    plan = planned(equations, tmp_path, halving=False)
    keys = [task.key for task in plan.tasks]
    costs = dict(zip(keys, (1, 5, 2, 5, 9, 0, 3, 2), strict=True))
    order = [keys.index(task.key) for task in longest_first(plan.tasks, costs)]
    assert order == [4, 1, 3, 6, 2, 7, 0, 5]
    del costs[keys[5]]  # what nobody knows may be longer still
    assert keys.index(longest_first(plan.tasks, costs)[0].key) == 5
    assert longest_first(plan.tasks, {}) == plan.tasks


class Started:
    """An executor that notes what it is asked for, and then has no more patience."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def at_once(self, jobs: int) -> int:
        return jobs

    def submit(self, work: str, argument: Any, log: Path, *others: Any) -> Any:
        self.keys.append(argument[0].key)
        if len(self.keys) == 3:
            raise KeyboardInterrupt
        return Idle()

    def wait_for_any(self, jobs: Any, timeout: float) -> Any:
        """Return all at once."""
        return jobs


class Patient:
    """Interrupts that never come."""

    def check(self) -> None:
        """Go on."""


class Idle:
    """A job that never ends."""

    ended = False

    def messages(self, timeout: float | None = None) -> Any:
        return iter(())

    def cancel(self) -> None:
        """Be gone."""


def test_the_loop_starts_the_longest_first(equations: Path, tmp_path: Path) -> None:
    plan = planned(equations, tmp_path, halving=False, jobs=4)
    costs = {task.key: float(number) for number, task in enumerate(plan.tasks)}
    executor = Started()
    with pytest.raises(KeyboardInterrupt):
        Loop(replace(plan, costs=costs), executor, Silent(), Patient()).run()  # type: ignore[arg-type]
    assert executor.keys == [task.key for task in reversed(plan.tasks)][:3]


class Full(Started):
    """Each run fails, since the disk is full for what is large; its record fits."""

    def submit(self, work: str, argument: Any, log: Path, *others: Any) -> Any:
        task, placement = argument
        self.keys.append(task.key)
        error = failure("OSError", "[Errno 28] No space left on device", "")
        write_record(placement.out, record_of(task, placement, datetime.now(UTC), error=error))
        return Over()


class Over(Idle):
    """A job that has ended."""

    ended, begun = True, None


def test_a_full_disk_ends_the_loop(equations: Path, tmp_path: Path) -> None:
    """Any other run would fail in the same way."""
    executor = Full()
    with pytest.raises(OSError, match="No space left on device"):
        Loop(planned(equations, tmp_path, halving=False), executor, Silent(), Patient()).run()  # type: ignore[arg-type]
    assert len(executor.keys) == 1
