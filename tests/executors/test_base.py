"""Questions that are asked side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quadzoo.executors.base import NO_NEEDS, Needs, NoAnswer, answer, side_by_side, why_it_ended


class Waiting:
    """A job that says nothing until it is ended."""

    begun = 0.0

    def __init__(self) -> None:
        self.over = threading.Event()

    def messages(self, timeout: float | None = None) -> Iterator[Any]:
        self.over.wait(timeout)
        yield from ()

    @property
    def ended(self) -> bool:
        return self.over.is_set()

    def wait(self, timeout: float) -> None:
        self.over.wait(timeout)

    def cancel(self) -> None:
        self.over.set()

    def exit_reason(self) -> str:
        return "it was ended"

    def log_tail(self, characters: int = 4000) -> str:
        return ""


class Silence:
    """An executor whose jobs are all of that kind."""

    cpus = jobs = None

    def __init__(self) -> None:
        self.submitted: list[Waiting] = []

    def submit(
        self, work: str, argument: Any, log: Path, needs: Needs = NO_NEEDS, machine: str | None = None
    ) -> Waiting:
        self.submitted.append(Waiting())
        return self.submitted[-1]

    def machines(self) -> list[str]:
        return []

    def at_once(self, jobs: int) -> int:
        return jobs

    def wait_for_any(self, jobs: Any, timeout: float) -> Any:
        return jobs


def test_answers_come_in_order() -> None:
    def slow(n: int) -> int:
        time.sleep(0.1 / (n + 1))
        return n

    assert [*side_by_side(slow, range(9), 3)] == [*range(9)]


@pytest.mark.parametrize("how", ["one fails", "it is interrupted"])
def test_nobody_waits_for_the_others(how: str) -> None:
    """An interrupt ends a bench now, and not when the last of fifty downloads has come or timed out."""
    executor = Silence()

    def ask(n: int) -> Any:
        if n == 0:
            while len(executor.submitted) < 2:
                time.sleep(0.01)
            if how == "one fails":
                raise ValueError("no")
            return n
        return answer(executor, "any:work", n, 600)

    asking = side_by_side(ask, range(9), 3)
    clock = time.monotonic()
    if how == "one fails":
        with pytest.raises(ValueError, match="no"):
            next(asking)
    else:
        assert next(asking) == 0
        with pytest.raises(KeyboardInterrupt):
            asking.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert time.monotonic() - clock < 10
    assert len(executor.submitted) <= 4  # the fourth took the place of the one that had its answer
    assert all(job.ended for job in executor.submitted)


def test_a_question_alone_is_as_before() -> None:
    with pytest.raises(NoAnswer, match=r"not finished within 0\.01 seconds"):
        answer(Silence(), "any:work", None, 0.01)


def test_last_words_are_words() -> None:
    """As at the end of the traceback of an exception group."""
    text = "Traceback\n  | ValueError: too wide\n  +------------------------------------\n\n"
    job = SimpleNamespace(log_tail=lambda: text, exit_reason=lambda: "it ended")
    assert why_it_ended(job) == "it ended; the last line it printed: | ValueError: too wide"  # type: ignore[arg-type]


def test_what_a_library_warns_of_is_no_reason() -> None:
    warned = (
        "/lib/pytorch_lightning/_pytree.py:21: `isinstance(treespec, LeafSpec)` is deprecated, use another\n"
    )
    for text in (warned, f"{warned}x.py:3: UserWarning: old\n  warnings.warn(\n"):
        job = SimpleNamespace(exit_reason=lambda: "it was ended by SIGSEGV", log_tail=lambda text=text: text)
        assert why_it_ended(job) == "it was ended by SIGSEGV"  # type: ignore[arg-type]
