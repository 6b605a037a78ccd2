"""A job on a node, as the driver hears it, with a Ray that is only pretended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray", reason="the extra quadzoo[ray] is not installed")

from quadzoo.executors import ray_job
from quadzoo.executors.base import Needs
from quadzoo.executors.ray_job import RayJob
from quadzoo.executors.ray_node import Report


class Reports:
    """Those of a job, which come as fast as they are asked for; silence where there are none left."""

    def __init__(self, reports: Iterator[Report]) -> None:
        self._reports = reports
        self._next: list[Report] = []
        self.cancelled = False

    @property
    def ready(self) -> bool:
        self._next = self._next or [one for one in [next(self._reports, None)] if one is not None]
        return bool(self._next)

    def __next__(self) -> Report:
        return self._next.pop()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    def wait(reports: list[Reports], *, timeout: float) -> tuple[list[Reports], list[Reports]]:
        ready = [one for one in reports if one.ready]
        if not ready:
            time.sleep(min(timeout, 0.01))
        return ready, []

    def cancel(reports: Reports, *, force: bool) -> None:
        reports.cancelled = force

    monkeypatch.setattr(ray_job, "ray", SimpleNamespace(wait=wait, get=lambda report: report, cancel=cancel))
    monkeypatch.setattr(ray_job, "_ENDING", 0.2)
    return SimpleNamespace(check_head=lambda afresh=False: None, lost=False, waited_in_vain=float("-inf"))


def job(cluster: Any, reports: Iterator[Report], log: Path) -> RayJob:
    return RayJob(cluster, lambda: Reports(reports), Needs(), log, retries=0, note=lambda text: None)


def test_a_job_that_prints_without_end_leaves_time_for_others(cluster: Any, tmp_path: Path) -> None:
    def endless() -> Iterator[Report]:
        while True:
            yield Report(log=b"x" * 10)

    one = job(cluster, endless(), tmp_path / "log")
    assert [*one.messages(timeout=0)] == []
    assert not one.ended


def test_of_many_that_are_ended_at_once_only_the_first_gets_a_moment(cluster: Any, tmp_path: Path) -> None:
    """Runs tell how they go on; that is no answer after which they end by themselves."""
    some = [job(cluster, iter([Report((0.5,))]), tmp_path / "log") for _ in range(5)]
    for one in some:
        assert [*one.messages(timeout=0)] == [0.5]
    clock = time.monotonic()
    for one in some:
        one.cancel()
        assert one.ended
        assert one.reports.cancelled
    assert 0.2 <= time.monotonic() - clock < 0.6


def test_what_has_answered_ends_by_itself(cluster: Any, tmp_path: Path) -> None:
    one = job(cluster, iter([Report(("an answer",)), Report(exit_reason="it ended")]), tmp_path / "log")
    assert next(one.messages()) == "an answer"
    one.cancel()
    assert one.exit_reason() == "it ended"
    assert not one.reports.cancelled
