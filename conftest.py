"""Tests run in several processes (`pytest -n`), each on its own share of the CPUs."""

from __future__ import annotations

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Keep a worker, and what it starts, off the others' CPUs: threads are counted by those it may use."""
    worker = getattr(config, "workerinput", None)
    if worker and hasattr(os, "sched_setaffinity"):
        cpus, count = sorted(os.sched_getaffinity(0)), worker["workercount"]
        own = cpus[int(worker["workerid"].removeprefix("gw")) % count :: count]
        os.sched_setaffinity(0, own or cpus)
