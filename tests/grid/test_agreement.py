"""The precision on a GPU: decided by whether bf16 is right, and by what fails. No GPU is needed for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from quadzoo import BackboneSpec
from quadzoo.executors.base import NoAnswer
from quadzoo.grid import precision
from quadzoo.grid.agreement import MEMORY, ON_GPU, judge_on_gpu
from quadzoo.grid.intensity import ON_CPU
from quadzoo.grid.precision import PrecisionChooser, Trial
from quadzoo.grid.precision_steps import try_on_gpu
from quadzoo.registry import catalogue
from quadzoo.training.task import Device

GPU = Device("cuda", "a GPU", bf16=True)
RIGHT = {"32": None, "bf16": None, "features": 0.01, "gradient": 0.02}


class Net(nn.Module):
    """Fails, or is wrong, in one of the two precisions."""

    num_features = 4

    def __init__(self, change: Callable[[Tensor, bool], Tensor]) -> None:
        super().__init__()
        self.layer, self.change = nn.Conv2d(3, 4, 3), change

    def forward(self, images: Tensor) -> Tensor:
        return self.change(self.layer(images), torch.is_autocast_enabled("cpu"))


def short_in_float32(features: Tensor, bf16: bool) -> Tensor:
    if not bf16:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    return features


def no_kernel_in_bf16(features: Tensor, bf16: bool) -> Tensor:
    if bf16:
        raise RuntimeError("CUDA error:\nno kernel image is available")
    return features


def short(features: Tensor, bf16: bool) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory")


def right(features: Tensor, bf16: bool) -> Tensor:
    return features


def wrong(features: Tensor, bf16: bool) -> Tensor:
    return features.flip(1) if bf16 else features


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What the child says of a backbone, with the CPU in the place of the GPU."""
    np.save(tmp_path / "p.npy", np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8))

    def trial(change: Callable[[Tensor, bool], Tensor]) -> Any:
        spec = BackboneSpec(name="net", build=lambda **_: Net(change))
        known = SimpleNamespace(backbones={"net": SimpleNamespace(spec=spec)})
        monkeypatch.setattr(catalogue, "load", lambda: known)
        said: list[Any] = []
        try_on_gpu(
            Trial("net", tmp_path / "p.npy", 3, (8, 8), 4, Device("cpu", "a CPU", bf16=False), 10**6),
            said.append,
        )
        (measured,) = said
        return measured

    return trial


@pytest.mark.parametrize(
    ("change", "kind", "note", "certain"),
    [
        (right, "bf16", "agrees with float32", True),
        (wrong, "32", "bf16 is off by features 1", True),
        (short_in_float32, "bf16", "float32 fails on the first batch: out of memory", False),
        (no_kernel_in_bf16, "32", "RuntimeError: CUDA error: no kernel image is available", True),
        (short, "bf16", "both precisions run out of memory", False),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_a_step_in_each_precision_tells(
    tried: Callable[..., Any], change: Any, kind: str, note: str, certain: bool
) -> None:
    choice, sure = judge_on_gpu(tried(change))
    assert (choice.kind, sure) == (kind, certain)
    assert note in choice.note


def test_what_cannot_be_tried_is_float32_for_now() -> None:
    assert judge_on_gpu("its process ended")[0].kind == "32"
    assert judge_on_gpu("its process ended")[1] is False
    assert judge_on_gpu(RIGHT | {"bf16": MEMORY})[1] is False
    choice, sure = judge_on_gpu({"32": "RuntimeError: x", "bf16": "RuntimeError: x"})
    assert (choice.kind, sure) == ("32", False)
    assert judge_on_gpu(RIGHT | {"gradient": float("nan")})[0].kind == "32"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Answers trials with ``answer``, and collects the ``work`` that was asked for."""
    told: dict[str, Any] = {"answer": RIGHT, "work": []}

    def answer(executor: object, work: str, trial: object, timeout: float, needs: object) -> Any:
        told["work"].append(work)
        if isinstance(told["answer"], Exception):
            raise told["answer"]
        return told["answer"]

    monkeypatch.setattr(precision, "answer", answer)
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path / "cache"))
    return told


def chooser(out: Path, device: Device) -> PrecisionChooser:
    recipe = SimpleNamespace(epochs=1, batch_size=8, epochs_for=lambda n: 1)
    config = SimpleNamespace(precision="auto", recipe=recipe, out=out, timeout=None)
    images = SimpleNamespace(
        file=out / "p.npy", geometry=SimpleNamespace(channels=3, size=(8, 8)), content_ids=np.arange(100)
    )
    return PrecisionChooser(
        None, config, catalogue.load(), images, device, None, True, lambda *_: lambda _: None  # type: ignore[arg-type]
    )  # fmt: skip


def test_on_a_gpu_nothing_is_timed_and_want_of_memory_is_not_kept(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    def chosen() -> str:
        return chooser(tmp_path, GPU).choose(["tiny_cnn"])["tiny_cnn"].kind

    asked["answer"] = RIGHT | {"32": MEMORY}
    assert chosen() == "bf16"
    asked["answer"] = NoAnswer("its process ended")
    assert chosen() == "32"
    asked["answer"] = RIGHT
    assert [chosen(), chosen()] == ["bf16", "bf16"]
    assert asked["work"] == [ON_GPU] * 3  # the last answer was kept


def test_on_a_gpu_several_are_tried_at_once_and_alone_where_that_was_too_much(
    asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, tried = 0, 0, []

    def answer(executor: object, work: str, trial: Trial, timeout: float, needs: object) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        time.sleep(0.2)
        tried.append(trial.backbone)
        crowded = trial.backbone == "resnet18" and under_way > 1
        under_way -= 1
        return RIGHT | {"32": MEMORY, "bf16": MEMORY} if crowded else RIGHT

    monkeypatch.setattr(precision, "answer", answer)
    names = ["resnet18", "tiny_cnn", "resnet50", "resnet34"]
    choices = chooser(tmp_path, GPU).choose(names)
    assert list(choices) == names
    assert {choice.note for choice in choices.values()} == {"on the first batch bf16 agrees with float32"}
    assert (most, sorted(tried), tried[-1]) == (4, sorted([*names, "resnet18"]), "resnet18")
    asked["answer"] = Exception("all are known by now")
    assert chooser(tmp_path, GPU).choose(names) == choices


def test_on_a_cpu_what_is_computed_decides(asked: dict[str, Any], tmp_path: Path) -> None:
    asked["answer"] = {"intensity": 58.0, "well_known": True}
    choice = chooser(tmp_path, Device("cpu", "a CPU", bf16=True)).choose(["tiny_cnn"])["tiny_cnn"]
    assert choice.kind == "32"
    assert choice.note.startswith("58 multiply-adds an output")
    assert asked["work"] == [ON_CPU]


def test_an_old_gpu_is_not_asked(asked: dict[str, Any], tmp_path: Path) -> None:
    old = Device("cuda", "a V100", bf16=False)
    assert chooser(tmp_path, old).choose(["tiny_cnn"])["tiny_cnn"].kind == "32"
    assert asked["work"] == []
