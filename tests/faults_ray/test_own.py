"""A Ray that a bench has started for itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from .cluster import ROOT, finished, identities, started, until
from .test_faults import LONG

pytest.importorskip("ray", reason="the extra quadzoo[ray] is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_all_processes(equations: Path, tmp_path: Path, name: str) -> None:
    """As of a closed terminal: Ray's own must not end before the table is written."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = started(environment, tmp_path, "--executor", "ray", "--data", equations, *LONG,
                      "--epochs", 200)  # fmt: skip
    until(lambda: identities(tmp_path), process)
    of_ray = psutil.Process(process.pid).children(recursive=True)
    assert of_ray
    os.killpg(process.pid, signal.Signals[name])
    err = finished(process, status=130)
    assert " of 3 runs are finished and kept" in err, err
    assert "Traceback" not in err
    assert (tmp_path / "leaderboard.csv").exists()
    _, left = psutil.wait_procs(of_ray, timeout=20)
    assert not left
