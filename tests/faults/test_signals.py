"""A signal that comes twice, as from somebody who is impatient."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

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
