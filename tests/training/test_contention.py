"""A run that shares its CPUs says so once, and names what helps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quadzoo import api
from quadzoo.training import contention as module
from quadzoo.training import run
from quadzoo.training.contention import Contention
from quadzoo.training.run import trained
from quadzoo.training.task import Device


class _Times:
    shares = (0.95,)

    def share(self) -> float | None:
        return self.shares[0]


def said(
    monkeypatch: pytest.MonkeyPatch, share: float | None, threads: int = 2, kind: str = "cpu"
) -> list[Any]:
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module, "CpuTime", type("Times", (_Times,), {"shares": (share,)}))
    sent: list[Any] = []
    placement: Any = SimpleNamespace(threads=threads, device=Device(kind, "x", False))  # type: ignore[arg-type]
    callback, nobody = Contention(placement, sent.append), (None,) * 5
    callback.on_train_start(*nobody[:2])  # type: ignore[arg-type]
    for clock[0] in (1.0, 19.0):
        callback.on_train_batch_end(*nobody)  # type: ignore[arg-type]
        assert not sent
    for clock[0] in (21.0, 50.0, 90.0):
        callback.on_train_batch_end(*nobody)  # type: ignore[arg-type]
    return sent


def test_it_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = said(monkeypatch, 0.66)
    assert line.startswith("its 2 threads get 66% of the CPU time that they ask for")
    assert "`threads` 1 is often faster" in line


@pytest.mark.parametrize(
    ("share", "threads", "kind"), [(0.95, 2, "cpu"), (None, 2, "cpu"), (0.5, 1, "cpu"), (0.5, 2, "cuda")]
)
def test_it_is_not_said_for_nothing(
    monkeypatch: pytest.MonkeyPatch, share: float | None, threads: int, kind: str
) -> None:
    assert not said(monkeypatch, share, threads, kind)


def test_the_share_is_of_the_time_that_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from quadzoo import threads

    monkeypatch.setattr(threads, "_TASKS", tmp_path)
    for task in ("1", "2"):
        (tmp_path / task).mkdir()
        (tmp_path / task / "schedstat").write_text("1000000000 0 5\n")
    times = threads.CpuTime()
    assert times.share() is None  # nothing has run
    (tmp_path / "1" / "schedstat").write_text("4000000000 1000000000 9\n")
    (tmp_path / "2" / "schedstat").write_text("2000000000 1000000000 9\n")
    assert times.share() == pytest.approx(4 / 6)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_a_run_records_how_much_of_the_cpu_time_it_got(
    equations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = api.plan(
        data=str(equations), out=tmp_path, backbones=["tiny_cnn"], epochs=1, weights="none", device="cpu"
    )
    work = plan.tasks[0], plan.placement(plan.tasks[0])
    assert trained(*work, lambda _: None).cost.cpu_share is None  # too short to tell
    monkeypatch.setattr(run, "_MOMENT", 0.0)
    share = trained(*work, lambda _: None).cost.cpu_share
    assert share is not None
    assert 0 < share <= 1
