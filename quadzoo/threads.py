"""How many threads a run computes with, and how these wait: decided here and nowhere else."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_TASKS = Path("/proc/self/task")
MOST_AT_ONCE = 10_000
"""Of runs or threads: more are a slip of the keyboard, and would fill the memory before anything is run."""
_SHOWN = 30  # characters of a value
_SPINS = "1000"  # before a thread sleeps; libgomp's default is 300 times as much
_STAT = Path("/proc/stat")
LEAST_SHARE = 0.8  # of the CPU time asked for: with two threads and one busy neighbour on two CPUs it is 2/3
_LOOKS, _MOMENT = 5, 0.002  # and seconds before each: what computes all the time is there each time


def threads_of_a_run(jobs: int, threads: int | None = None) -> int:
    """Return the threads of each of ``jobs`` runs side by side, at least 1.

    They share ``threads``, else OMP_NUM_THREADS, else the CPUs this process may use.
    """
    return max(1, (threads or _from_openmp() or available_cpus()) // jobs)


def crowded(jobs: int, threads: int | None) -> str:
    """Return the warning that ``jobs`` runs compute with more threads than they should; mostly nothing."""
    each, cpus = threads_of_a_run(jobs, threads), available_cpus()
    if jobs * each > cpus and each > 1:
        source = f"`threads` {threads}" if threads else f"OMP_NUM_THREADS {_from_openmp()}"
        return f"warning: {source}: threads wait for each other on {cpus} CPUs; `threads` {cpus} is faster"
    if jobs > cpus:
        return f"warning: `jobs` {jobs}: a run takes a thread at least; on {cpus} CPUs so many gain nothing"
    if threads and jobs > threads:
        return (
            f"warning: `jobs` {jobs}: a run takes a thread at least, so more than `threads` {threads} compute"
        )
    return ""


def misread() -> str:
    """Return the warning that OMP_NUM_THREADS is set to what is no number of threads; mostly nothing."""
    value = os.environ.get("OMP_NUM_THREADS")
    if value is None or _from_openmp():
        return ""
    return (
        f"warning: OMP_NUM_THREADS {value[:_SHOWN]!r} is no number of threads and is ignored; set it to one, "
        "or unset it"
    )


def too_many() -> str:
    """Return what is wrong with an OMP_NUM_THREADS that no machine has CPUs for; mostly nothing."""
    if (_from_openmp() or 0) <= MOST_AT_ONCE:
        return ""
    value = os.environ["OMP_NUM_THREADS"][:_SHOWN]
    return f"OMP_NUM_THREADS {value}: at most {MOST_AT_ONCE:,} threads; set a number of CPUs, or unset it"


def available_cpus(cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> int:
    """Return how many CPUs this process may use, at least 1: by its affinity and the quota of its cgroups.

    A container with a quota of 2 of 64 CPUs still sees all 64; with more threads than its quota it would
    wait.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        allowed = os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(quota) for quota in _quotas(cgroups, own))]))


def _from_openmp() -> int | None:
    """Return OMP_NUM_THREADS; of a list, one number a nesting level, the first."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    number = int(first[:_SHOWN]) if first.isdecimal() else 0  # Python reads no number of thousands of digits
    return number or None


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """Yield the CPUs that this process's cgroups, and those above them, grant: versions 1 and 2."""
    for line in _text(own).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        root = cgroups / "cpu" if "cpu" in controllers.split(",") else cgroups
        if controllers and root == cgroups:
            continue  # a controller of version 1 that is not the CPU's
        inside = path.strip("/")
        for folder in (root / inside, *(root / inside).parents):
            # Version 2 has "QUOTA PERIOD" in one file, version 1 a file for each; no quota: max, or -1.
            both = _text(folder / "cpu.max") or " ".join(
                _text(folder / f"cpu.cfs_{part}_us").strip() for part in ("quota", "period")
            )
            quota, _, period = both.strip().partition(" ")
            if quota.isdecimal() and period.isdecimal() and int(quota) and int(period):
                yield int(quota) / int(period)
            if folder == root:
                break


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def waiting() -> dict[str, str]:
    """Return environment variables for how threads of new processes wait for each other.

    OpenMP's threads wait by spinning, which is fastest where each has a CPU. Where other programs take CPUs a
    thread that spins keeps one from the thread that it waits for, so there they spin for a shorter time:
    `benchmarks/contention.py` measures both. No digit depends on it. Nothing is set that the user has set.
    """
    own = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    return {"GOMP_SPINCOUNT": _SPINS} if _is_busy() and not any(name in os.environ for name in own) else {}


def _is_busy() -> bool:
    """Return whether other programs now compute on the CPUs that this process may use.

    The load of the last minute would not say: it is also that of a bench which has just ended.
    """
    others = min(_running() for _ in range(_LOOKS)) - 1  # one is this process
    return others > (os.cpu_count() or 1) - available_cpus()


def _running() -> int:
    """Return how many threads of the machine have a CPU, or wait for one, after a moment; 0 if unknown."""
    time.sleep(_MOMENT)
    lines = _text(_STAT).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("procs_running ")), 0)


class CpuTime:
    """How much of the CPU time that the threads of this process ask for they get."""

    def __init__(self) -> None:
        self._start = self._read()

    @staticmethod
    def _read() -> tuple[float, float]:
        """Return seconds that the threads which exist now have run, and waited for a CPU."""
        ran = waited = 0
        for task in _TASKS.glob("*/schedstat"):
            fields = _text(task).split()
            if len(fields) > 1:
                ran, waited = ran + int(fields[0]), waited + int(fields[1])
        return ran / 1e9, waited / 1e9

    def share(self) -> float | None:
        """Return the share since the start, 0 to 1; None where the system does not say."""
        ran, waited = (now - then for now, then in zip(self._read(), self._start, strict=True))
        return ran / (ran + waited) if ran > 0 and waited >= 0 else None
