"""What is said where a GPU has too little memory; and how a Trainer is set up for GPUs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from quadzoo.errors import OutOfMemory
from quadzoo.model import kernels
from quadzoo.training import cost
from quadzoo.training.memory import explained
from quadzoo.training.run import make_trainer
from quadzoo.training.task import Device, Placement

TASK: Any = SimpleNamespace(
    precision="32", epochs=1, split=SimpleNamespace(n_train=8),
    recipe=SimpleNamespace(batch_size=512, validate_every=lambda _: 1), pixels=1e10,
)  # fmt: skip
TORCHS = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 5.79 GiB of which 1.1 GiB "
    "is free. Including non-PyTorch memory, this process has 4.6 GiB memory in use."
)


def placement(**given: Any) -> Placement:
    device = Device("cuda", "a GPU", bf16=True)
    where = Path("nowhere")
    return Placement(device, 1, "no", where, where, None, where, 10.0, **given)


def test_out_of_memory_says_what_fills_the_gpu() -> None:
    with (
        pytest.raises(OutOfMemory) as caught,
        explained(TASK, placement(device_shared_by=4), lambda: 1_200_000_000),
    ):
        raise torch.OutOfMemoryError(TORCHS)
    text = str(caught.value)
    assert text.startswith(
        "lower `batch_size` or `jobs`: the GPU ran out of memory with batches of 512, 4 runs at a time, "
        "1,200,000,000 bytes of images kept there (CUDA out of memory. Tried to allocate 2.00 GiB."
    )
    assert len(text) <= 300
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


def test_out_of_memory_of_a_run_that_is_alone_and_keeps_no_images() -> None:
    told = r"^lower `batch_size`: .* with batches of 512 \(CUDA"
    with pytest.raises(OutOfMemory, match=told), explained(TASK, placement()):
        raise torch.OutOfMemoryError(TORCHS)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match=r"^no kernel$"), explained(TASK, placement()):
        raise RuntimeError("no kernel")


@pytest.mark.parametrize(
    ("hip", "deterministic", "expected"),
    [(None, False, (False, True)), ("6.2", False, (False, False)), (None, True, (True, False))],
    ids=["CUDA", "ROCm", "--deterministic"],
)
def test_which_kernels_a_gpu_may_use(
    monkeypatch: pytest.MonkeyPatch, hip: str | None, deterministic: bool, expected: tuple[bool, bool]
) -> None:
    monkeypatch.setattr(torch.version, "hip", hip)
    made: dict[str, Any] = {}
    monkeypatch.setattr(pl, "Trainer", lambda **given: made.update(given))
    before = torch.get_float32_matmul_precision()
    try:
        make_trainer(TASK, placement(deterministic=deterministic), [])
    finally:
        torch.set_float32_matmul_precision(before)
    assert (made["deterministic"], made["benchmark"]) == expected


@pytest.mark.parametrize(
    ("pixels", "own", "tries"), [(1e8, True, False), (3e9, False, False), (1e10, False, True)]
)
def test_kernels_begin_slowly_only_where_that_pays(
    pixels: float, own: bool, tries: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {}
    monkeypatch.setattr(pl, "Trainer", lambda **given: made.update(given))
    before = torch.get_float32_matmul_precision()
    try:
        make_trainer(SimpleNamespace(**{**vars(TASK), "pixels": pixels}), placement(), [])  # type: ignore[arg-type]
        assert (kernels.depthwise_of_torch(), made["benchmark"]) == (own, tries)
    finally:
        torch.set_float32_matmul_precision(before)
        kernels.use_kernels_for(1e10)


def test_memory_of_predictions_leaves_out_what_came_before_and_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peak = [9_000 << 20]
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: peak.append(700 << 20))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: peak[-1])

    def work() -> None:
        peak[-1] += 40 << 20

    assert cost._peak_memory_mb(work, torch.device("cuda"), 500 << 20) == 240
