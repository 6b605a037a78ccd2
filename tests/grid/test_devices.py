"""Which devices runs use, by a stub probe: two pretended GPUs, a broken one, none, a Mac's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from quadzoo import api
from quadzoo.errors import ConfigError
from quadzoo.executors.local import LocalExecutor
from quadzoo.grid.devices import (
    Machine,
    Tried,
    device_here,
    find_devices,
    tell_machine,
    try_device,
    try_node,
)
from quadzoo.training.device import take
from quadzoo.training.task import Device

CPU = Device("cpu", "a CPU", bf16=False)
NO_MPS = "torch finds no MPS device, the GPU of Macs"
OLD = "CUDA error: no kernel image is available for execution on the device"


@dataclass
class Answered:
    """A job that has sent its answer, or has died."""

    sent: list[Any]
    ended = True

    def messages(self, timeout: float | None = None) -> Iterator[Any]:
        return iter(self.sent)

    def wait(self, timeout: float) -> None: ...

    def cancel(self) -> None: ...

    def exit_reason(self) -> str:
        return "its process was ended by SIGSEGV"

    def log_tail(self, characters: int = 4000) -> str:
        return ""


@dataclass
class Probe:
    """Answers as a machine with some GPUs would; ``broken`` says of some why they cannot be used."""

    gpus: tuple[str, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)
    mps: str | None = NO_MPS
    bf16: dict[str, bool] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)

    nodes: tuple[str, ...] = ()

    def machines(self) -> tuple[str, ...]:
        return self.nodes

    def submit(self, work: str, argument: Any, log: Path, *_: Any) -> Answered:
        if self.nodes:  # a node has one GPU for a run, which Ray names
            assert work.endswith(":try_node")
            reason = self.broken.get("0")
            good = bool(self.gpus) and not reason and argument != "cpu"
            why = reason or (None if self.gpus or argument != "cuda" else "torch finds no usable GPU")
            return Answered([Tried(Device("cuda", "H100", True) if good else CPU, why)])
        if work.endswith(":tell_machine"):
            return Answered([Machine(CPU, self.gpus, "torch finds no usable GPU", self.mps)])
        assert work.endswith(":try_device")
        self.tried.append(argument.gpu or argument.kind)
        reason = self.broken.get(self.tried[-1])
        if reason == "dies":
            return Answered([])
        if argument.kind == "mps":
            return Answered([Tried(argument, reason)])
        native = self.bf16.get(argument.gpu, True)
        found = replace(argument, name="H100", bf16=native, gpu=f"GPU-{argument.gpu}", memory=10)
        return Answered([Tried(found, reason)])


def found(probe: Probe, wanted: str) -> tuple[list[str | None], list[str]]:
    """The GPUs that are used, and what was told."""
    told: list[str] = []
    devices = find_devices(probe, wanted, told.append)  # type: ignore[arg-type]
    return [device.gpu if device.kind == "cuda" else device.kind for device in devices], told


def refusal(probe: Probe, wanted: str) -> str:
    with pytest.raises(ConfigError) as refused:
        find_devices(probe, wanted)  # type: ignore[arg-type]
    assert len(str(refused.value)) <= 300
    return str(refused.value)


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_all_gpus_are_used(wanted: str) -> None:
    assert found(Probe(("0", "1")), wanted) == (["GPU-0", "GPU-1"], [])


def test_some_gpus_are_used_by_their_numbers() -> None:
    probe = Probe(("0", "MIG-x", "2"))  # as a list of the user's may name them
    assert found(probe, "cuda:1") == (["GPU-MIG-x"], [])
    assert probe.tried == ["MIG-x"]  # the others are let alone
    assert found(probe, "cuda:2,0") == (["GPU-2", "GPU-0"], [])
    assert refusal(probe, "cuda:0,3") == "`device` cuda:0,3: torch sees 3 GPUs, 0 to 2"
    assert refusal(Probe(("0",)), "cuda:1") == "`device` cuda:1: torch sees one GPU, number 0"


def test_without_a_gpu() -> None:
    assert found(Probe(), "auto") == (["cpu"], [])
    assert found(Probe(("0",)), "cpu") == (["cpu"], [])
    for wanted in ("cuda", "cuda:0"):
        assert refusal(Probe(), wanted).startswith(
            f"`device` {wanted}: torch finds no usable GPU; `device` cpu"
        )


@pytest.mark.parametrize("reason", [OLD, "dies"])
def test_a_gpu_that_cannot_be_used_is_left_for_the_cpu_with_the_reason(reason: str) -> None:
    probe = Probe(("0",), broken={"0": reason})
    devices, told = found(probe, "auto")
    assert devices == ["cpu"]
    (line,) = told
    assert line.startswith("warning: GPU 0 (")
    assert (OLD if reason == OLD else "its process was ended by SIGSEGV") in line
    assert line.endswith("; runs use the CPU")
    line = refusal(probe, "cuda")
    assert line.startswith("`device` cuda: GPU 0 (")
    assert (OLD if reason == OLD else "SIGSEGV") in line


def test_one_bad_gpu_costs_no_other() -> None:
    probe = Probe(("0", "1"), broken={"0": OLD})
    for wanted in ("auto", "cuda"):
        devices, told = found(probe, wanted)
        assert devices == ["GPU-1"]
        assert told == [f"warning: GPU 0 (H100) cannot be used: {OLD}; it is left out"]
    assert "cuda:0,1: GPU 0 (H100) cannot be used" in refusal(probe, "cuda:0,1")


def test_precision_is_what_all_gpus_have() -> None:
    devices = find_devices(Probe(("0", "1"), bf16={"1": False}), "cuda")  # type: ignore[arg-type]
    assert [device.bf16 for device in devices] == [False, False]


def test_a_macs_gpu() -> None:
    assert found(Probe(mps=None), "mps") == (["mps"], [])
    assert found(Probe(mps=None), "auto") == (["cpu"], [])  # it has never been tried
    assert refusal(Probe(), "mps") == f"`device` mps: {NO_MPS}; `device` cpu works everywhere"
    assert "mps: it is broken; " in refusal(Probe(mps=None, broken={"mps": "it is broken"}), "mps")


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("gpu", "`device` gpu: say auto, cpu, cuda, some GPUs such as cuda:0,1, or mps"),
        ("cuda:", "`device` cuda:: say"),
        ("cuda:0,x", "`device` cuda:0,x: say"),
        ("cuda:-1", "`device` cuda:-1: say"),
        ("0", "`device` 0: say"),
        ("cuda:1,01", "`device` cuda:1,01: it names a GPU twice"),
    ],
)
def test_devices_that_are_none(wanted: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        api.config_of(device=wanted)
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize("jobs", [0, "many", -1, 1.5])
def test_numbers_of_jobs_that_are_none(jobs: Any) -> None:
    with pytest.raises(ConfigError, match=r"`jobs` .*: say auto, or a number of runs, 1 or more"):
        api.config_of(jobs=jobs)


# The child's side, with a stub for torch's answers.


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    facts = SimpleNamespace(name="NVIDIA H100", uuid="7f2a", total_memory=100)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: facts)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (60, 100))
    return facts


def told(listed: str | None, monkeypatch: pytest.MonkeyPatch) -> Machine:
    if listed is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    sent: list[Machine] = []
    tell_machine(None, sent.append)
    return sent[0]


@pytest.mark.usefixtures("two_gpus")
def test_gpus_are_named_within_the_users_own_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(None, monkeypatch).gpus == ("0", "1")
    assert told("7, GPU-3e0c", monkeypatch).gpus == ("7", "GPU-3e0c")
    assert told("7,5,-1,2", monkeypatch).gpus == ("7", "5")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    nothing = told("", monkeypatch)
    assert nothing.gpus == ()
    assert nothing.no_gpu == "torch finds no usable GPU within CUDA_VISIBLE_DEVICES=''"


@pytest.mark.parametrize(
    ("name", "gpu", "uuid"),
    [
        ("NVIDIA H100", "1", "GPU-7f2a"),
        ("NVIDIA H100", "GPU-7f", "GPU-7f"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "0", "MIG-7f2a"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "MIG-7f2a", "MIG-7f2a"),
    ],
)
def test_a_gpu_is_known_by_its_uuid(
    name: str, gpu: str, uuid: str, two_gpus: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "all of them")  # and is set back afterwards
    two_gpus.name = name
    sent: list[Tried] = []
    try_device(Device("cuda", gpu, False, gpu=gpu), sent.append)
    assert sent[0].device == Device("cuda", name, True, gpu=uuid, memory=60)
    assert "\n" not in str(sent[0].unusable)  # this torch computes nothing on it, and says why


def test_a_device_of_this_process(two_gpus: SimpleNamespace) -> None:
    assert device_here("cuda") == Device("cuda", "NVIDIA H100", True, gpu="GPU-7f2a")
    cpu = device_here("cpu")
    assert (cpu.kind, cpu.gpu, cpu.memory) == ("cpu", None, None)
    if not torch.backends.mps.is_available():
        with pytest.raises(RuntimeError, match="MPS"):
            device_here("mps")


def test_a_share_of_the_memory_is_a_limit(two_gpus: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    take(Device("cuda", "H100", True, gpu="GPU-b"))
    assert shares == []
    take(Device("cuda", "H100", True, gpu="GPU-b", memory=25))
    assert shares == [0.25]


SEEING = """
import os
import torch
from quadzoo.training.device import take

def look(device, send):
    before = torch.cuda.is_initialized()
    take(device)
    send((before, os.environ.get("CUDA_VISIBLE_DEVICES")))
"""


def test_each_child_sees_its_own_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its processes were forked before CUDA was touched, which reads the variable once."""
    (tmp_path / "seeing.py").write_text(SEEING)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    executor = LocalExecutor()
    devices = [Device("cuda", "H100", True, gpu="GPU-a"), Device("cuda", "H100", True, gpu="GPU-b"), CPU]
    jobs = [
        executor.submit("seeing:look", device, tmp_path / f"log{number}")
        for number, device in enumerate(devices)
    ]
    seen = [next(job.messages(120)) for job in jobs]
    for job in jobs:
        job.wait(60)
        job.cancel()
    assert [before for before, _ in seen] == [False, False, False]
    assert [listed for _, listed in seen][:2] == ["GPU-a", "GPU-b"]
    assert seen[2][1] not in ("GPU-a", "GPU-b")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_two_runs_share_a_real_gpu(equations: Path, tmp_path: Path) -> None:
    board = api.bench(
        ["tiny_cnn"], seeds=[0, 1], data=str(equations), epochs=1, weights="none", device="cuda:0", jobs=2,
        out=tmp_path,
    )  # fmt: skip
    (row,) = [row for row in board.rows if row.head != "-"]
    assert (row.seeds, row.failed) == (2, 0)


def test_runs_on_nodes_get_their_gpu_from_the_cluster() -> None:
    """Without a name or a share of memory here, since each node has its own."""
    probe = Probe(gpus=("0",), nodes=("one", "two"))
    assert find_devices(probe, "auto") == (Device("cuda", "H100", True),)  # type: ignore[arg-type]
    assert found(probe, "cpu") == (["cpu"], [])
    assert found(Probe(nodes=("one",)), "auto") == (["cpu"], [])
    old = Probe(gpus=("0",), nodes=("one",), broken={"0": "no kernel image"})
    devices, told = found(old, "auto")
    assert (devices, told) == (["cpu"], ["warning: on the nodes no kernel image; runs use the CPU"])
    with pytest.raises(ConfigError, match="`device` cuda: on the nodes no kernel image; `device` cpu works"):
        found(old, "cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("wanted", "why"), [("auto", None), ("cpu", None), ("cuda", "torch finds no usable GPU")]
)
def test_a_node_without_a_gpu_says_so(wanted: str, why: str | None) -> None:
    told: list[Tried] = []
    try_node(wanted, told.append)
    (tried,) = told
    assert (tried.device.kind, tried.device.gpu) == ("cpu", None)
    assert (tried.unusable or "").startswith(why or "")
    assert bool(tried.unusable) == bool(why)
