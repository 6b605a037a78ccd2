from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from quadzoo import threads
from quadzoo.threads import available_cpus, crowded, threads_of_a_run


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def write(folder: Path, files: dict[str, str]) -> tuple[Path, Path]:
    """Write files below a folder; return what stands for /sys/fs/cgroup and for /proc/self/cgroup."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "sys", folder / "own"


CGROUPS = {
    "version 2": ({"own": "0::/\n", "sys/cpu.max": "200000 100000\n"}, 2),
    "version 2, a share of a CPU": ({"own": "0::/\n", "sys/cpu.max": "50000 100000\n"}, 1),
    "version 2, rounded up": ({"own": "0::/\n", "sys/cpu.max": "250000 100000\n"}, 3),
    "version 2, no quota": ({"own": "0::/\n", "sys/cpu.max": "max 100000\n"}, 8),
    "version 2, quota of the cgroup above": (
        {"own": "0::/a/b\n", "sys/a/b/cpu.max": "max 100000\n", "sys/a/cpu.max": "400000 100000\n"}, 4),
    "version 2, more than there are": ({"own": "0::/\n", "sys/cpu.max": "6400000 100000\n"}, 8),
    "version 1": (
        {"own": "3:cpu,cpuacct:/pod\n2:memory:/pod\n", "sys/cpu/pod/cpu.cfs_quota_us": "300000\n",
         "sys/cpu/pod/cpu.cfs_period_us": "100000\n"}, 3),
    "version 1, no quota": (
        {"own": "3:cpu:/\n", "sys/cpu/cpu.cfs_quota_us": "-1\n", "sys/cpu/cpu.cfs_period_us": "100000\n"}, 8),
    "no cgroups": ({}, 8),
    "nonsense": ({"own": "0::/\n\nnonsense\n", "sys/cpu.max": "many\n"}, 8),
    "version 2, of a host that is not seen here": (
        {"own": "0::/docker/4f1\n", "sys/cpu.max": "200000 100000\n"}, 2),
    "both versions": (
        {"own": "4:memory:/\n3:cpu,cpuacct:/\n0::/\n", "sys/cpu/cpu.cfs_quota_us": "150000\n",
         "sys/cpu/cpu.cfs_period_us": "100000\n"}, 2),
}  # fmt: skip


@pytest.mark.parametrize("case", CGROUPS)
def test_quota(case: str, tmp_path: Path) -> None:
    files, expected = CGROUPS[case]
    assert available_cpus(*write(tmp_path, files)) == expected


def test_what_is_asked_for_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads_of_a_run(jobs=1, threads=3) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert threads_of_a_run(jobs=1) == 4
    assert threads_of_a_run(jobs=2) == 2
    assert threads_of_a_run(jobs=2, threads=6) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert threads_of_a_run(jobs=4) <= 2
    assert threads_of_a_run(jobs=100) == 1


@pytest.mark.parametrize(
    ("running", "cpus", "given", "expected"),
    [
        ([1], 8, {}, {}),  # this process
        ([3, 2], 8, {}, {"GOMP_SPINCOUNT": "1000"}),
        ([9, 1, 4], 8, {}, {}),  # for a moment only
        ([31], 64, {}, {}),  # on the other 56
        ([58], 64, {}, {"GOMP_SPINCOUNT": "1000"}),
        ([10], 8, {"OMP_WAIT_POLICY": "ACTIVE"}, {}),  # as the user says
        ([0], 8, {}, {}),  # not known
    ],
)
def test_threads_spin_less_beside_a_neighbour(
    running: list[int],
    cpus: int,
    given: dict[str, str],
    expected: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    looks = itertools.cycle(running)
    monkeypatch.setattr(threads, "_running", lambda: next(looks))
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    monkeypatch.setattr(threads, "available_cpus", lambda: 8)
    assert threads.waiting() == expected


def test_what_runs_is_read_from_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_STAT", tmp_path / "stat")
    assert threads._running() == 0
    (tmp_path / "stat").write_text("cpu  1 2 3\nprocs_running 7\nprocs_blocked 0\n")
    assert threads._running() == 7


def test_more_threads_or_runs_than_cpus_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [crowded(jobs, threads) for jobs, threads in [(1, None), (8, None), (4, 8), (2, 2)]] == [""] * 4
    wait = "threads wait for each other on 8 CPUs; `threads` 8 is faster"
    assert crowded(1, 999) == f"warning: `threads` 999: {wait}"
    assert crowded(9, None) == (
        "warning: `jobs` 9: a run takes a thread at least; on 8 CPUs so many gain nothing"
    )
    assert crowded(3, 1).endswith("`jobs` 3: a run takes a thread at least, so more than `threads` 1 compute")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert crowded(1, None) == f"warning: OMP_NUM_THREADS 64: {wait}"


@pytest.mark.parametrize("value", ["0", "-3", "abc", "1e3", "", "x" * 500])
def test_what_is_no_number_of_threads_is_told(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads.misread().startswith(f"warning: OMP_NUM_THREADS {value[:30]!r} is no number of threads")
    assert threads_of_a_run(1) == 8
    assert not threads.too_many()


@pytest.mark.parametrize("value", [None, "1", "2,1", "10000"])
def test_a_number_of_threads_is_taken_as_it_is(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert not threads.misread()
    assert not threads.too_many()


def test_more_threads_than_there_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "9" * 5000)
    assert threads.too_many() == (
        f"OMP_NUM_THREADS {'9' * 30}: at most 10,000 threads; set a number of CPUs, or unset it"
    )
