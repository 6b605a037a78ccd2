"""Faults of a real cluster: nothing finished is lost or counted twice; what is unfinished is repeated."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import pytest

from ..runs import records
from .cluster import Cluster, finished, identities, until

pytest.importorskip("ray", reason="the extra quadzoo[ray] is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LONG = ("--backbones", "tiny_cnn", "--heads", "linear", "--seeds", "0,1,2", "--epochs", "25")


def check_all(out: Path, before: dict[str, tuple[int, int]]) -> None:
    """All three runs are there, once, and those that were finished before have not been made again."""
    assert [one["status"] for one in records(out)] == ["ok"] * 3
    after = identities(out)
    assert len(after) == 3
    assert before.items() <= after.items()
    table = csv.DictReader((out / "leaderboard.csv").read_text().splitlines())
    (row,) = [one for one in table if one["rank"] == "1"]
    assert row["seeds"] == "3"
    assert row["failed"] == "0"


def killed(cluster: Cluster) -> bool:
    """Kill a worker at its work; return whether there was one."""
    for worker in [one for node in cluster.nodes for one in node.at_work()][:1]:
        worker.kill()
        return True
    return False


def test_a_worker_is_killed(cluster: Cluster, equations: Path, tmp_path: Path) -> None:
    process = cluster.bench(tmp_path, "--data", equations, *LONG)
    until(lambda: identities(tmp_path), process)
    before = identities(tmp_path)
    until(lambda: killed(cluster), process)
    err = finished(process)
    assert err.count("was lost: its run starts again") == 1, err
    check_all(tmp_path, before)


def test_the_driver_is_killed(cluster: Cluster, equations: Path, tmp_path: Path) -> None:
    process = cluster.bench(tmp_path, "--data", equations, *LONG)
    until(lambda: identities(tmp_path), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = identities(tmp_path)
    assert 1 <= len(before) < 3
    err = finished(cluster.bench(tmp_path, "--data", equations, *LONG))
    assert f"{3 - len(before)} runs" in err or f"{3 - len(before)} run;" in err, err
    check_all(tmp_path, before)


def test_a_node_is_lost(cluster: Cluster, equations: Path, tmp_path: Path) -> None:
    # So long that the other node gets one, however late its first worker is.
    longer = ("--data", equations, *LONG, "--epochs", "80")
    process = cluster.bench(tmp_path, *longer)
    until(cluster.nodes[1].at_work, process)
    cluster.nodes[1].kill()
    before = identities(tmp_path)
    err = finished(process)
    assert "was lost: its run starts again" in err
    check_all(tmp_path, before)


def test_the_head_is_gone(cluster: Cluster, equations: Path, tmp_path: Path) -> None:
    process = cluster.bench(tmp_path, "--data", equations, *LONG)
    until(lambda: identities(tmp_path), process)
    cluster.nodes[0].kill()
    err = finished(process, status=1)
    before = identities(tmp_path)
    line = err.splitlines()[-1]
    assert line.startswith("quadzoo: error: the Ray cluster at "), err
    assert "the same command with a new cluster continues from here" in line
    assert "Traceback" not in err
    assert (tmp_path / "leaderboard.csv").exists()
    again = Cluster()
    try:
        again.add()
        finished(again.bench(tmp_path, "--data", equations, *LONG))
    finally:
        again.stop()
    check_all(tmp_path, before)
