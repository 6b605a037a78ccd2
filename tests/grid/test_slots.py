"""Which run trains on which GPU, with two pretended ones; nothing here is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quadzoo.grid.config import BenchConfig
from quadzoo.grid.inputs import read_inputs
from quadzoo.grid.interrupts import Interrupts
from quadzoo.grid.loop import Loop
from quadzoo.grid.observer import Silent
from quadzoo.grid.plan import Plan, PrecisionChoice, Weights, bench_data, make_plan
from quadzoo.grid.slots import Slots, in_words, slots_of
from quadzoo.model.recipe import Recipe
from quadzoo.records.record import write_record
from quadzoo.registry import catalogue
from quadzoo.training.outcome import failure, record_of
from quadzoo.training.task import Device, Placement, Task

GIB = 2**30
GPUS = tuple(Device("cuda", "H100", True, gpu=f"GPU-{name}", memory=80 * GIB) for name in "ab")
CPU = Device("cpu", "a CPU", False)


def test_one_run_for_each_gpu_by_default() -> None:
    slots = slots_of(GPUS, "auto")
    assert [slot.gpu for slot in slots] == ["GPU-a", "GPU-b"]
    assert [slot.memory for slot in slots] == [None, None]  # each has its GPU for itself
    assert slots_of([CPU], "auto") == (CPU,)


def test_more_runs_share_gpus_and_their_memory() -> None:
    slots = slots_of(GPUS, 3)
    assert [slot.gpu for slot in slots] == ["GPU-a", "GPU-b", "GPU-a"]
    first, alone, second = (slot.memory for slot in slots)
    assert first == second
    assert alone is None
    assert first is not None
    assert 39 * GIB < first < 40 * GIB  # of 80, and what two processes take beside their tensors
    assert [slot.gpu for slot in slots_of(GPUS, 1)] == ["GPU-a"]
    assert slots_of([CPU], 2) == (CPU, CPU)
    (tiny, _) = slots_of([replace(GPUS[0], memory=GIB)], 2)
    assert tiny.memory == 0


def test_a_run_gets_the_gpu_with_the_fewest() -> None:
    slots = Slots(slots_of(GPUS, 4))
    taken = [slots.take() for _ in range(4)]
    assert [one.gpu for one in taken] == ["GPU-a", "GPU-b", "GPU-a", "GPU-b"]
    assert not slots
    with pytest.raises(IndexError):
        slots.take()
    for over in (taken[0], taken[3], taken[1]):  # one run is left, on GPU a
        slots.give_back(over)
    assert slots
    assert slots.take().gpu == "GPU-b"


def test_machines_multiply_slots_and_may_leave() -> None:
    machines = [3]
    slots = Slots(slots_of(GPUS[:1], 2), lambda jobs: jobs * machines[0])
    taken = []
    while slots:
        taken.append(slots.take())
    assert len(taken) == slots.total == 6
    machines[0] = 1
    for _ in range(4):
        assert not slots  # there are as many runs under way as there may be, or more
        slots.give_back(taken.pop())
    assert not slots
    slots.give_back(taken.pop())
    assert slots.take() == taken[0]


def test_slots_in_words() -> None:
    assert in_words(slots_of(GPUS, "auto")) == "2 × H100 (cuda), 2 runs at a time"
    assert in_words(slots_of(GPUS, 1)) == "H100 (cuda)"
    assert in_words(slots_of([CPU], 3)) == "a CPU (cpu), 3 runs at a time"


@dataclass
class Job:
    """A run that ends when it is told to, and leaves a record."""

    task: Task
    placement: Placement
    ended: bool = False
    begun: float = 0.0

    def messages(self, timeout: float | None = None) -> Iterator[Any]:
        return iter(())

    def end(self) -> None:
        error = failure("Pretended", "nothing was trained", "")
        record = record_of(self.task, self.placement, datetime.now(UTC), error=error)
        write_record(self.placement.out, record)
        self.ended = True

    def wait(self, timeout: float) -> None: ...

    def cancel(self) -> None: ...

    def exit_reason(self) -> str:
        return ""

    def log_tail(self, characters: int = 4000) -> str:
        return ""


@dataclass
class Pretended:
    """Runs tasks side by side; of those under way, one ends at each look: ``which`` says which."""

    which: Callable[[list[Job]], Job]
    started: list[Job] = field(default_factory=list)
    together: list[list[Device]] = field(default_factory=list)

    def at_once(self, jobs: int) -> int:
        return jobs

    def submit(self, work: str, argument: tuple[Task, Placement], log: Path, *_: Any) -> Job:
        self.started.append(Job(*argument))
        return self.started[-1]

    def wait_for_any(self, jobs: Sequence[Any], timeout: float) -> Sequence[Any]:
        self.together.append([job.placement.device for job in jobs])
        one = self.which(list(jobs))
        one.end()
        return [one]


@pytest.fixture
def planned(equations: Path, tmp_path: Path) -> Callable[..., Plan]:
    """Return plans for two pretended GPUs."""

    def plan(**flags: Any) -> Plan:
        config = BenchConfig(
            backbones=("tiny_cnn",), seeds=tuple(range(5)), data=str(equations), recipe=Recipe(epochs=1),
            out=tmp_path / "out", **flags,
        )  # fmt: skip
        source, images, splits, _ = read_inputs(config, Silent(), None)
        return make_plan(
            config, catalogue.load(), bench_data(source, images, splits), GPUS,
            weights={"tiny_cnn": Weights("none", "")},
            choose=lambda _: {"tiny_cnn": PrecisionChoice("32", "")},
        )  # fmt: skip

    return plan


def test_runs_side_by_side_are_on_gpus_of_their_own(planned: Callable[..., Plan]) -> None:
    executor = Pretended(which=lambda jobs: jobs[-1])  # the last one: the first keeps its GPU
    Loop(planned(), executor, Silent(), Interrupts()).run()
    assert len(executor.started) == 5
    assert [len(devices) for devices in executor.together] == [2, 2, 2, 2, 1]
    for devices in executor.together[:-1]:
        assert {device.gpu for device in devices} == {"GPU-a", "GPU-b"}
    used = [job.placement.device.gpu for job in executor.started]
    assert used == ["GPU-a", "GPU-b", "GPU-b", "GPU-b", "GPU-b"]


def test_runs_that_share_a_gpu_are_given_their_share(planned: Callable[..., Plan]) -> None:
    plan = planned(jobs=4, threads=8)
    executor = Pretended(which=lambda jobs: jobs[0])
    Loop(plan, executor, Silent(), Interrupts()).run()
    assert sorted(device.gpu or "" for device in executor.together[0]) == ["GPU-a", "GPU-a", "GPU-b", "GPU-b"]
    assert all((job.placement.device.memory or 0) > 39 * GIB for job in executor.started)
    assert {job.placement.threads for job in executor.started} == {2}
    # What is done once for all runs is done alone.
    assert plan.placement(plan.tasks[0]).device == replace(GPUS[0], memory=None)
