"""How well does a bench keep many workers busy? The real loop over 10,000 runs that are not trained.

    python benchmarks/scheduler_sim.py

`quadzoo.grid.loop.Loop` runs a plan of 2,000 rows × 5 seeds on 1 to 1,000 workers, through an executor with
a clock of its own, on which a run takes as long as a run of the committed records did (times a factor from
0.9 to 1.1), and writes its record when it ends. One run in 100 fails; a tenth of these die without a record.
Locks, records and the display are the real ones. Compared with the shortest time that is possible, the larger
one of the longest run and of all seconds by workers: with costs known to within 30 %, and with runs in the
order of the plan. Seconds of the driver are CPU seconds of this process, without those of making up runs.

It writes results/scheduler.json and, from that and other files, SCALING.md. It takes about five minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import itertools
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from made_up import plan_of
from scaling_page import plot, write_page

from quadzoo.grid.interrupts import Interrupts
from quadzoo.grid.loop import Loop
from quadzoo.grid.plan import Plan
from quadzoo.progress import Display
from quadzoo.records.record import RECORD, Cost, Metrics, json_of, read_records, run_folder
from quadzoo.training.outcome import failure, record_of
from quadzoo.training.task import Placement, Task

HERE = Path(__file__).parent
SEEDS = 5
FAILING, DYING = 0.01, 0.1  # of all runs, and of those that fail
MESSAGES = 4  # of a run
WRONG = 0.3  # how far an estimate is off, as the standard deviation of its logarithm


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--workers", default="1,10,100,1000", help="what the file has of others stays there")
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/ and SCALING.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["QUADZOO_CACHE_DIR"] = f"{scratch}/cache"
        plan = plan_of(Path(scratch), max(1, arguments.runs // SEEDS), SEEDS)
        measured = [
            simulated(plan, int(workers), Path(scratch) / workers) for workers in arguments.workers.split(",")
        ]
    file = arguments.to / "results" / "scheduler.json"
    before = json.loads(file.read_text()) if file.exists() else {}
    if before.get("runs") == len(plan.tasks):
        again = {one["workers"] for one in measured}
        measured += [one for one in before["workers"] if one["workers"] not in again]
    result = {
        "command": ["python", "benchmarks/scheduler_sim.py"],
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": plan.device.name,
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
        "quadzoo": version("quadzoo"),
        "runs": len(plan.tasks),
        "workers": sorted(measured, key=lambda one: one["workers"]),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    write_page(arguments.to)


def simulated(plan: Plan, workers: int, folder: Path) -> dict[str, Any]:
    """Return what so many workers come to: with costs known roughly, and in the order of the plan."""
    seconds = recorded_seconds(plan)
    bound = max(*seconds.values(), sum(seconds.values()) / workers)
    rng = np.random.default_rng(1)
    rough = {key: value * float(np.exp(rng.normal(0, WRONG))) for key, value in seconds.items()}
    found: dict[str, Any] = {"workers": workers, "lower_bound": bound}
    for name, costs in (("longest_first", rough), ("plan_order", {})):
        one = plan.config.model_copy(update={"jobs": workers, "out": folder / name})
        found[name] = driven(replace(plan, config=one, costs=costs), seconds)
        found[name]["over_bound"] = found[name]["makespan"] / bound - 1
    return found


def recorded_seconds(plan: Plan) -> dict[str, float]:
    """Return the seconds of each run, by key: each row is like one of the committed records."""
    known = sorted(
        (record.finished - record.started).total_seconds()
        for record in read_records(HERE / "results" / "leaderboard")
        if record.status == "ok"
    )
    rng = np.random.default_rng(0)
    of_row: dict[str, float] = defaultdict(lambda: float(rng.choice(known)))
    return {
        task.key: of_row[f"{task.backbone} {task.head}"] * float(rng.uniform(0.9, 1.1)) for task in plan.tasks
    }


def driven(plan: Plan, seconds: Mapping[str, float]) -> dict[str, float]:
    """Drive the real loop; return the makespan on the clock of the executor, and what it cost here."""
    executor = SimulatedExecutor(seconds)
    with (
        contextlib.redirect_stderr(Path(os.devnull).open("w")),
        Display() as display,
        Interrupts() as signals,
    ):
        display.planned(plan)
        observer = Watching(display)
        clock = time.process_time()
        Loop(plan, executor, observer, signals).run()
        used = time.process_time() - clock - executor.made_up
    n = len(plan.tasks)
    ended = len(list((plan.config.out / "runs").glob(f"*/{RECORD}")))
    if ended != n:
        raise SystemExit(f"{ended} of {n} runs have a record")
    return {
        "makespan": executor.now,
        "driver_ms_a_run": 1000 * used / n,
        "failed": observer.failed,
        "mib_after_a_tenth": observer.mib[0],
        "mib_at_the_end": observer.mib[-1],
    }


class Watching:
    """Passes all on to the display, and looks at this process's memory at every tenth of the runs."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._ended, self._n = 0, 0
        self.failed = 0
        self.mib: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._display, name)

    def ended(self, task: Task, record: Any) -> None:
        """Pass on how a run ended."""
        self._display.ended(task, record)
        self._ended += 1
        self.failed += record.status == "failed"
        self._n = self._n or max(1, self._display._count // 10)
        if self._ended % self._n == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.mib.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


@dataclass(eq=False)
class SimulatedJob:
    """A run that takes its time on the executor's clock alone."""

    work: tuple[Task, Placement]
    fate: str
    waiting: list[Any] = field(default_factory=list)
    ended: bool = False
    begun: float | None = 0.0

    def messages(self, timeout: float | None = None) -> Iterator[Any]:
        """Yield what has come in."""
        sent, self.waiting = self.waiting, []
        yield from sent

    def wait(self, timeout: float) -> None:
        """It is over, or it is not."""

    def cancel(self) -> None:
        """Nothing is left behind."""

    def exit_reason(self) -> str:
        """Say how it ended."""
        return "its process was ended by SIGKILL (out of memory?)"

    def log_tail(self, characters: int = 4000) -> str:
        """Return the end of its log."""
        return ""


class SimulatedExecutor:
    """As many workers as are asked for; time passes while the loop waits."""

    cpus = None

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.now = 0.0
        self.made_up = 0.0  # CPU seconds of what a run's own process would have done
        self._seconds = seconds
        self._events: list[tuple[float, int, SimulatedJob, float]] = []
        self._numbers = itertools.count()
        self._rng = np.random.default_rng(2)

    def submit(self, work: str, argument: Any, log: Path, *_: Any) -> SimulatedJob:
        """Start a run."""
        lucky, alive = self._rng.random(2)
        fate = "ok" if lucky >= FAILING else "fails" if alive >= DYING else "dies"
        job = SimulatedJob(argument, fate)
        took = self._seconds[argument[0].key]
        for step in range(1, MESSAGES + 1):
            share = step / MESSAGES
            heapq.heappush(self._events, (self.now + took * share, next(self._numbers), job, share))
        return job

    def machines(self) -> Sequence[str]:
        """There are none that have software of their own."""
        return ()

    def at_once(self, jobs: int) -> int:
        """Return how many jobs to run at the same time."""
        return jobs

    def wait_for_any(self, jobs: Sequence[Any], timeout: float) -> Sequence[Any]:
        """Let time pass until a run sends something or ends."""
        begun = time.process_time()
        self.now, _, job, share = heapq.heappop(self._events)
        job.waiting.append((share, 0.01))
        if share == 1:
            self._end(job)
        self.made_up += time.process_time() - begun
        return (job,)

    def _end(self, job: SimulatedJob) -> None:
        """Write the record that the run's own process would write."""
        job.ended = True
        task, placement = job.work
        if job.fate == "dies":
            return
        scores = Metrics(
            val_mse=0.01,
            test_mse=0.01,
            test_rmse=dict.fromkeys(task.targets.names, 1.0),
            test_r2=dict.fromkeys(task.targets.names, 0.9),
        )
        error = failure("RuntimeError", "made up", "") if job.fate == "fails" else None
        record = record_of(
            task,
            placement,
            datetime.now(UTC),
            metrics=None if error else scores,
            cost=Cost(fit_seconds=self._seconds[task.key]),
            error=error,
        )
        (run_folder(placement.out, task.key) / RECORD).write_bytes(json_of(record))


def page(result: dict[str, Any]) -> list[str]:
    """Return tables and plots as lines of Markdown."""
    workers = result["workers"]
    lines = [
        f"## With the workers: {result['runs']:,} runs",
        "",
        f"`{' '.join(result['command'])}`, once: the real loop over runs that take their time on a clock of "
        f"their own, as long as those of [committed records](results/leaderboard); 1 % of them fail. "
        f"{result['device']}, {result['cpus']} CPUs, Python {result['python']}. The bound is the larger one "
        "of the longest run and of all seconds by workers: no order can be faster. Costs are known to within "
        "30 %, in the order of the plan not at all. The driver's time is its "
        "CPU time a run: locks, records, display. Memory is its resident size after a tenth of the runs, and "
        "at the end.",
        "",
        "| workers | bound | longest first | as planned | driver, a run | memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in workers:
        over = " | ".join(
            f"+ {max(0.0, 100 * one[name]['over_bound']):.2f} %" for name in ("longest_first", "plan_order")
        )
        first = one["longest_first"]
        lines.append(
            f"| {one['workers']:,} | {one['lower_bound'] / 3600:,.2f} h | {over} "
            f"| {first['driver_ms_a_run']:.1f} ms | {first['mib_after_a_tenth']:,.0f} to "
            f"{first['mib_at_the_end']:,.0f} MiB |"
        )
    names = [f"{one['workers']:,}" for one in workers]
    over = [100 * one["longest_first"]["over_bound"] for one in workers]
    cost = [one["longest_first"]["driver_ms_a_run"] for one in workers]
    return [
        *lines,
        "",
        *plot(
            "Time above the bound, longest first",
            "%",
            dict(zip(names, over, strict=True)),
        ),
        "",
        *plot("The driver's CPU time a run", "ms", dict(zip(names, cost, strict=True))),
    ]


if __name__ == "__main__":
    main()
