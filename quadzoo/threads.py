"""How many threads a run computes with: decided here and nowhere else."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def threads_of_a_run(jobs: int, threads: int | None = None) -> int:
    """Return the threads of each of ``jobs`` runs side by side, at least 1.

    They share ``threads``, else OMP_NUM_THREADS, else the CPUs this process may use.
    """
    return max(1, (threads or _from_openmp() or available_cpus()) // jobs)


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
    return int(first) if first.isdecimal() and int(first) else None


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """Yield the CPUs that this process's cgroups, and those above them, grant: versions 1 and 2."""
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
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
