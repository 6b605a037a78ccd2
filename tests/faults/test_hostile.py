"""Backbones and heads that do their worst in a run: each costs its own run, and the bench goes on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ..conftest import command
from ..runs import records

HOSTILE = '''
"""Each build does one bad thing, and else gives the good backbone."""
import os, signal, subprocess, sys
from quadzoo import BackboneSpec, hookimpl


def build_good(*, pretrained, in_channels, image_size):
    from torch import nn
    if pretrained:
        raise ValueError("none")
    net = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * in_channels, 8))
    net.num_features = 8
    return net

def raising(error):
    def build(**arguments):
        from torch import nn

        class Bad(nn.Module):
            num_features = 8

            def __init__(self):
                super().__init__()
                self.net = build_good(**arguments)

            def forward(self, images):
                if self.training and len(images) > 2:
                    raise error()
                return self.net(images)

        return Bad()
    return build

def no_memory_on_the_gpu():
    import torch
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

build_gpu_memory = raising(no_memory_on_the_gpu)
build_memory = raising(lambda: MemoryError("cannot allocate"))
build_interrupts = raising(KeyboardInterrupt)
build_megabyte = raising(lambda: RuntimeError("M" * 1_000_000 + " \\x1b[31m"))

def build_nan(**arguments):
    import torch
    net = build_good(**arguments)
    with torch.no_grad():
        net[2].weight.fill_(float("nan"))
    return net

def build_killed(**_):
    os.kill(os.getpid(), signal.SIGKILL)

def build_moves(**arguments):
    os.chdir("/")
    return build_good(**arguments)

def build_global_state(**arguments):
    import random, torch
    net = build_good(**arguments)
    random.seed(0)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    return net

def build_prints(**arguments):
    for _ in range(40):
        print("p" * (1 << 20))
    return build_good(**arguments)

def build_breeds(**arguments):
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(os.environ["QUADZOO_TEST_BRED"], "a") as file:
        file.write(f"{started.pid}\\n")
    return build_good(**arguments)


@hookimpl
def register_backbones():
    for name, build in sorted(globals().items()):
        if name.startswith("build_"):
            yield BackboneSpec(name=name.removeprefix("build_"), build=build)
'''

FAIL = ("gpu_memory", "interrupts", "killed", "megabyte", "memory", "nan")
FINISH = ("breeds", "good", "moves", "prints")


class Ended(NamedTuple):
    """What the bench of all of them left."""

    out: Path
    status: int
    err: str
    records: dict[str, dict[str, Any]]
    bred: list[int]


@pytest.fixture(scope="module")
def ended(equations: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    import os

    folder = tmp_path_factory.mktemp("hostile")
    (folder / "hostile.py").write_text(HOSTILE)
    done = subprocess.run(
        command(
            "bench", "--plugin", "hostile.py", "--backbones", ",".join((*FAIL, "global_state", *FINISH)),
            "--epochs", 1, "--weights", "none", "--precision", 32, "--threads", 1, "--data", equations,
            "--out", "out",
        ),
        cwd=folder, env=os.environ | {"QUADZOO_TEST_BRED": str(folder / "bred")}, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    out = folder / "out"
    bred = [int(pid) for pid in (folder / "bred").read_text().split()]
    return Ended(out, done.returncode, done.stderr, {one["backbone"]: one for one in records(out)}, bred)


def test_each_costs_its_own_run(ended: Ended) -> None:
    assert ended.status == 1, ended.err
    assert "Traceback" not in ended.err
    assert {*ended.records} == {*FAIL, *FINISH, "global_state"}
    assert {name for name in FAIL if ended.records[name]["status"] == "failed"} == {*FAIL}
    assert {name: ended.records[name]["error"] for name in FINISH} == dict.fromkeys(FINISH)
    assert "interrupted" not in ended.err


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("gpu_memory", "OutOfMemory", "CUDA out of memory"),
        ("memory", "MemoryError", "cannot allocate"),
        ("killed", "ProcessDied", "its process was ended by SIGKILL (out of memory?)"),
        ("nan", "NonFiniteLoss", "epoch 1"),
        ("interrupts", "KeyboardInterrupt", ""),
    ],
)
def test_the_record_says_why(ended: Ended, name: str, kind: str, told: str) -> None:
    error = ended.records[name]["error"]
    assert error["type"] == kind
    assert told in error["message"]
    assert ended.records[name]["recipe"]["batch_size"] == ended.records["good"]["recipe"]["batch_size"]


def test_a_megabyte_is_a_few_lines(ended: Ended) -> None:
    """The terminal and the record have its beginning, the log all of it."""
    folder = ended.out / "runs" / ended.records["megabyte"]["key"]
    assert len(ended.records["megabyte"]["error"]["message"]) == 1000
    assert (folder / "record.json").stat().st_size < 40_000
    assert all(len(line) < 500 for line in ended.err.splitlines())
    assert "M" * 1_000_000 in (folder / "run.log").read_text()
    for name in ("leaderboard.md", "leaderboard.json", "leaderboard.html"):
        assert "M" * 2000 not in (ended.out / name).read_text()


def test_a_log_is_bounded(ended: Ended) -> None:
    log = ended.out / "runs" / ended.records["prints"]["key"] / "run.log"
    assert log.stat().st_size <= 17 << 20
    text = log.read_text()
    assert "bytes are left out here" in text


def test_what_a_run_has_started_is_over(ended: Ended) -> None:
    assert len(ended.bred) >= 1
    assert not [pid for pid in ended.bred if Path(f"/proc/{pid}").exists()]


def test_no_plugin_moves_a_record(ended: Ended) -> None:
    folder = ended.out / "runs" / ended.records["moves"]["key"]
    assert {"record.json", "model.safetensors", "predictions.csv"} <= {one.name for one in folder.iterdir()}


def test_what_a_plugin_changes_for_its_process_reaches_no_other(ended: Ended) -> None:
    """The good one runs in the same bench, after it, with the digits that it has without."""
    alone = {
        name: ended.records[name]["metrics"]["val_mse"] for name in ("good", "moves", "prints", "breeds")
    }
    assert len({*alone.values()}) == 1
