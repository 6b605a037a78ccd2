"""A cluster computes what this machine does, and its nodes have what they need and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..runs import records
from .cluster import Cluster, finished, started

pytest.importorskip("ray", reason="the extra quadzoo[ray] is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GRID = (
    "--backbones",
    "tiny_cnn,mobilenetv3_small_050",
    "--heads",
    "linear,mlp",
    "--seeds",
    "0,1",
    "--epochs",
    "2",
)
MEASURED = ("started", "finished", "cost")


def test_the_digits_are_those_of_one_machine(cluster: Cluster, equations: Path, tmp_path: Path) -> None:
    """Records, weights and predictions of 2 backbones, 2 heads and 2 seeds; one thread each."""
    finished(started(cluster.environment, tmp_path / "here", "--data", equations, "--threads", 1, *GRID))
    err = finished(cluster.bench(tmp_path / "there", "--data", equations, *GRID))
    assert "2 nodes for runs, 2 CPUs, 0 GPUs" in err
    here, there = records(tmp_path / "here"), records(tmp_path / "there")
    assert len(here) == len(there) == 8
    for ours, theirs in zip(here, there, strict=True):
        for name in MEASURED:
            ours.pop(name), theirs.pop(name)
        assert len(theirs["environment"].pop("machine")) == 8  # a node says which it is
        assert ours["environment"].pop("machine") == ""
        assert ours == theirs
        assert "model.safetensors" in ours["files"]
        names = {path.name for path in (tmp_path / "here" / "runs" / ours["key"]).iterdir()}
        assert {path.name for path in (tmp_path / "there" / "runs" / ours["key"]).iterdir()} == names
    done = subprocess.run(
        [str(Path(sys.executable).parent / "quadzoo"), "verify", str(tmp_path / "there")],
        env=cluster.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for node in cluster.nodes:  # the images came once, and nothing of the runs is left
        assert len([*(node.cache / "images").glob("*.npy")]) == 1
        assert not [*(node.cache / "jobs").iterdir()]


def digits(out: Path) -> list[dict[str, Any]]:
    """All of each record that is not measured, nor says where it was made."""
    found = records(out)
    for one in found:
        one["environment"].pop("machine")
        for name in MEASURED:
            one.pop(name)
    return found


def test_what_is_tried_halved_and_gone_on_from(cluster: Cluster, equations: Path, tmp_path: Path) -> None:
    """Short trainings go to nodes like runs; a model that lies in the results folder itself travels, too."""
    tried = (
        "--data", equations, "--backbones", "tiny_cnn", "--heads", "linear,mlp,skip", "--seeds", "0,1",
        "--epochs", 4, "--tune", "lr:2", "--halving",
    )  # fmt: skip
    here, there = tmp_path / "here", tmp_path / "there"
    finished(started(cluster.environment, here, *tried, "--threads", 1))
    finished(cluster.bench(there, *tried))
    assert digits(there) == digits(here)
    assert {one["status"] for one in digits(there)} == {"ok", "failed"}
    for folder in ("halving", "tuning"):
        files = {path.name: path.read_text() for path in (here / folder).glob("*.json")}
        assert files
        assert {path.name: path.read_text() for path in (there / folder).glob("*.json")} == files
    (key, *_) = [one["key"] for one in records(here) if one["status"] == "ok"]
    for out, more in ((here, ()), (there, ("--executor", "ray", "--ray-address", cluster.address))):
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "quadzoo"), "bench", "--init", str(out / "runs" / key),
                "--data", str(equations), "--epochs", "1", "--threads", "1", "--precision", "32",
                "--device", "cpu", "--out", str(out), *more,
            ],
            env=cluster.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert digits(there) == digits(here)
    assert len(digits(here)) == 7
    assert [one["status"] for one in digits(there) if one["initial"]] == ["ok"]


def test_a_program_that_is_connected_already(cluster: Cluster, equations: Path, tmp_path: Path) -> None:
    """Without an address it is that cluster, whose nodes have caches of their own."""
    script = Path(__file__).with_name("connected.py")
    done = subprocess.run(
        [sys.executable, script, cluster.address, equations, tmp_path / "out"],
        env=cluster.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["tiny_cnn + linear", "True"]
    assert len({one["environment"]["machine"] for one in records(tmp_path / "out")}) == 1  # of one host


def test_what_jobs_see_of_their_node(cluster: Cluster, tmp_path: Path) -> None:
    trap = tmp_path / "data"
    trap.mkdir()
    for name in ("filelock", "pydantic", "psutil", "json"):
        (trap / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'a').write(__name__)\n")
    script = Path(__file__).with_name("ask.py")
    done = subprocess.run(
        [sys.executable, "-P", script, cluster.address],
        cwd=trap, env=cluster.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run").exists(), "a file beside somebody's data was imported"
    found = json.loads(done.stdout)
    assert found["cached"]
    assert found["broken"].startswith(
        "its process ended with exit status 1; the last line it printed: Memory"
    )
    assert found["at_once"] == [2, 2]  # nobody asked for more than one on a node, and it takes all its CPUs
    assert found["left"] == []
    assert {one["cache"] for one in found["told"]} == {str(node.cache) for node in cluster.nodes}
    for one in found["told"]:
        assert one["gpus"] == ""  # Ray hides none from a task without a GPU
        assert one["openmp"] is None  # which Ray sets
        assert str(trap) not in one["paths"]


def test_a_plugin_that_a_node_lacks(
    cluster: Cluster, equations: Path, stranger: Path, tmp_path: Path
) -> None:
    process = cluster.bench(
        tmp_path / "out", "--data", equations, "--backbones", "good",
        PYTHONPATH=f"{cluster.environment['PYTHONPATH']}:{stranger}",
    )  # fmt: skip
    err = finished(process, status=2)
    line = err.splitlines()[-1]
    assert line.startswith("quadzoo: error: --backbones good: node 127.0.0.2 does not have it") or (
        line.startswith("quadzoo: error: --backbones good: node ") and "install stranger 3.1 there" in line
    ), err
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_asks_for_a_token(cluster: Cluster, equations: Path, tmp_path: Path) -> None:
    process = cluster.bench(
        tmp_path / "out",
        "--data",
        equations,
        "--backbones",
        "tiny_cnn",
        RAY_AUTH_MODE="disabled",
        RAY_AUTH_TOKEN="",
    )
    line = finished(process, status=2).splitlines()[-1]
    assert line.startswith(f"quadzoo: error: --ray-address {cluster.address}: "), line
    assert "RAY_AUTH_MODE=token" in line
    assert not (tmp_path / "out").exists()
