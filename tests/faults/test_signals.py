"""Signals that come twice, as from somebody who is impatient."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from quadzoo.grid.interrupts import Interrupts

from .benches import announced, check_kept, started, until


@pytest.mark.parametrize("name", ["SIGINT", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_a_signal_twice(equations: Path, tmp_path: Path, name: str) -> None:
    process = started(equations, tmp_path, "--epochs", 200)
    until(lambda: [*tmp_path.glob("runs/*/checkpoint.ckpt")], process)
    for pause in (0.05, 0):
        os.killpg(process.pid, signal.Signals[name])
        time.sleep(pause)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    check_kept(tmp_path, announced(said))
    assert [*tmp_path.glob("runs/*/checkpoint.ckpt")]


@pytest.mark.parametrize(("pause", "more"), [(0.0, 2), (1.1, 1)])
def test_a_second_one_ends_the_process_but_for_one_at_the_same_time(pause: float, more: int) -> None:
    """Also where the first came while an inner block was at work."""

    def interrupted() -> None:
        with Interrupts():
            with suppress(KeyboardInterrupt), Interrupts():
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
                return
            for _ in range(more):
                time.sleep(pause)
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    child = os.fork()
    if not child:
        try:
            interrupted()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
