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

pty = pytest.importorskip("pty", reason="there are no terminals of this kind")


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
        with Interrupts(to_the_end=True):
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


def test_a_second_one_ends_the_bench_and_not_the_program_that_called_it() -> None:
    """In a notebook, that would take all variables with it."""

    def interrupted(pause: float) -> None:
        time.sleep(pause)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    with Interrupts():
        for pause in (0, 1.1):
            with pytest.raises(KeyboardInterrupt):
                interrupted(pause)


def test_the_cursor_of_a_terminal_comes_back() -> None:
    """A bar hides it, and a process that ends at once puts nothing in order."""
    child, terminal = pty.fork()
    if not child:
        with suppress(KeyboardInterrupt), Interrupts(to_the_end=True):
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                time.sleep(1.1)
                os.kill(os.getpid(), signal.SIGINT)
        os._exit(1)
    said = b""
    with suppress(OSError):  # its end
        while more := os.read(terminal, 1000):
            said += more
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    assert b"\x1b[?25h" in said
