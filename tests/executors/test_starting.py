"""Starting processes while the server that starts them dies."""

from __future__ import annotations

import subprocess
import sys

import pytest

from quadzoo.system import START_METHOD

KILLED = """
import os, subprocess
from quadzoo.executors import starting

for moment in range(150):
    starting.start_server()
    wait = f"sleep {moment % 50 / 10000}; kill -KILL {starting.server_pid()}"
    killer = subprocess.Popen(["sh", "-c", wait], stderr=subprocess.DEVNULL)
    for _ in range(3):
        process = starting.start(os.getpid, ())
        process.join()
    killer.wait()
print("all started")
"""


@pytest.mark.skipif(START_METHOD != "forkserver", reason="processes are not started by a server here")
def test_a_server_that_dies_at_any_moment_costs_no_start() -> None:
    """It closes its sockets before it counts as over: a second try found it half dead."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "all started\n", done.stderr[-2000:]
