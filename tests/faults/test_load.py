"""Many runs: memory, descriptors and processes do not grow with their number."""

from __future__ import annotations

import gc
import os
import subprocess
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quadzoo import api
from quadzoo.executors.base import Executor
from quadzoo.grid.interrupts import Interrupts
from quadzoo.grid.loop import Loop
from quadzoo.grid.observer import Silent
from quadzoo.records.record import RunRecord, keys_in, write_record
from quadzoo.training.outcome import failure, record_of
from quadzoo.training.task import Task

from ..runs import records
from .benches import bench_command, children, server_of

N = 1000


class Done:
    """A job that was over when it was submitted."""

    ended = True
    begun = 0.0

    def messages(self, timeout: float | None = None) -> Iterator[Any]:
        yield 1.0, 0.5

    def wait(self, timeout: float) -> None: ...

    def cancel(self) -> None: ...

    def exit_reason(self) -> str:
        return "over"

    def log_tail(self, characters: int = 4000) -> str:
        return ""


class AtOnce:
    """Writes the record of a run where it would be started."""

    def submit(self, work: str, argument: Any, log: Path, *_: Any) -> Done:
        task, placement = argument
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        error = failure("Fake", "nothing was trained", "")
        write_record(placement.out, record_of(task, placement, datetime.now(UTC), error=error))
        return Done()

    def wait_for_any(self, jobs: Sequence[Any], timeout: float) -> Sequence[Any]:
        return jobs

    def at_once(self, jobs: int) -> int:
        return jobs


class Watch(Silent):
    """Notes memory and descriptors after every hundredth run."""

    def __init__(self) -> None:
        self.ended_runs = 0
        self.memory: list[int] = []
        self.descriptors: list[int] = []

    def ended(self, task: Task, record: RunRecord) -> None:
        self.ended_runs += 1
        if self.ended_runs % 100 == 0:
            gc.collect()
            self.memory.append(tracemalloc.get_traced_memory()[0])
            self.descriptors.append(len(os.listdir("/proc/self/fd")))


@pytest.mark.slow
def test_a_thousand_runs_through_the_loop(equations: Path, tmp_path: Path) -> None:
    plan = api.plan(
        backbones=["tiny_cnn"], seeds=range(N), data=str(equations), epochs=1, weights="none",
        precision="32", threads=1, out=tmp_path,
    )  # fmt: skip
    executor: Executor = AtOnce()  # type: ignore[assignment]
    watch = Watch()
    tracemalloc.start()
    try:
        with Interrupts() as interrupts:
            Loop(plan, executor, watch, interrupts).run()
    finally:
        tracemalloc.stop()
    assert watch.ended_runs == N == len(keys_in(tmp_path))
    assert len(set(watch.descriptors)) == 1
    assert watch.memory[-1] - watch.memory[1] < 400_000  # 500 bytes a run; a record has 10,000
    assert not [path for path in tmp_path.rglob(".*") if path.suffix in (".partial", ".writer")]


def resident(pid: int) -> int:
    """The memory of a process, bytes; 0 where it is over."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return 1024 * int(line.split()[1])
    return 0


def descriptors(pid: int) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sixty_real_runs(equations: Path, tmp_path: Path) -> None:
    n = 60
    command = bench_command(
        equations, tmp_path, "--seeds", ",".join(map(str, range(n))), "--epochs", 1,
        "--checkpoint-minutes", 10,
    )  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seen: dict[int, tuple[int, ...]] = {}
    while process.poll() is None:
        done, server = len(list(tmp_path.glob("runs/*/record.json"))), server_of(process.pid)
        if done not in seen and server and done:
            seen[done] = (
                resident(process.pid), resident(server), descriptors(process.pid), descriptors(server),
                len(children(process.pid)) + len(children(server)),
            )  # fmt: skip
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert [record["status"] for record in records(tmp_path)] == ["ok"] * n
    counts = sorted(seen)
    early, late = (
        [max(seen[count][what] for count in some) for what in range(5)]
        for some in ([one for one in counts if one <= 20], [one for one in counts if one >= 40])
    )
    for what in (0, 1):
        assert late[what] - early[what] < 8 << 20
    for what in (2, 3, 4):
        assert late[what] <= early[what] + 1
