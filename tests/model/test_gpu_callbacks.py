"""What callbacks do in a step on a GPU: how much they launch, whether they wait, what they measure."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from quadzoo.model.callbacks import AveragedWeights, PeakMemory, Progress
from tests.model.nets import Operators

MIB = 2**20


def net(blocks: int) -> nn.Module:
    layers = [nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(blocks)]
    return nn.Sequential(*layers)


def test_the_average_takes_as_many_operators_for_any_number_of_layers() -> None:
    counts = []
    for blocks in (2, 20):
        average, module = AveragedWeights(0.9), net(blocks)
        average.on_train_batch_end(None, module, None, None, 0)  # type: ignore[arg-type]
        with Operators() as operators:
            average.on_train_batch_end(None, module, None, None, 1)  # type: ignore[arg-type]
        counts.append(operators.seen)
    assert counts[0] == counts[1]
    assert len(counts[0]) == 2  # floating point, and the batches that batch norm counts


def test_the_average_is_the_formula() -> None:
    average, module = AveragedWeights(0.5), net(1)
    expected = {name: value.clone() for name, value in module.state_dict().items()}
    for step in range(1, 12):
        with torch.no_grad():
            for value in module.state_dict().values():
                value.add_(step)
        if step == 1:
            expected = {name: value.clone() for name, value in module.state_dict().items()}
        average.on_train_batch_end(None, module, None, None, step)  # type: ignore[arg-type]
        decay = min(0.5, step / (step + 9))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                expected[name] = expected[name] * decay + value * (1 - decay)
            else:
                expected[name] = value.clone()
    for name, value in average.state_dict()["average"].items():
        assert torch.allclose(value, expected[name], rtol=1e-5), name


class Score:
    """A score on a GPU: who reads it waits."""

    def __init__(self) -> None:
        self.reads = 0

    def __float__(self) -> float:
        self.reads += 1
        return 0.25


def test_progress_reads_the_score_once_a_validation() -> None:
    told: list[tuple[float, float | None]] = []
    score = Score()
    engine = SimpleNamespace(callback_metrics={}, global_step=5, estimated_stepping_batches=10)
    progress = Progress(lambda done, mse: told.append((done, mse)), every_seconds=0.0)
    progress.on_train_batch_end(engine, None, None, None, 0)  # type: ignore[arg-type]
    engine.callback_metrics["val_mse"] = score
    progress.on_validation_end(engine, None)  # type: ignore[arg-type]
    for _ in range(3):
        progress.on_train_batch_end(engine, None, None, None, 0)  # type: ignore[arg-type]
    assert told == [(0.5, None), *[(0.5, 0.25)] * 3]
    assert score.reads == 1


class Memory:
    """The counter of a GPU's memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
        self.held = self.peak = held
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", self.reset)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device=None: self.peak)

    def reset(self, device: object = None) -> None:
        self.peak = self.held

    def need(self, more: int) -> None:
        self.peak = max(self.peak, self.held + more)


def test_the_peak_is_that_of_later_steps_without_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(monkeypatch, held=1000 * MIB)  # of which 900 are images
    callback = PeakMemory(lambda: 900 * MIB)
    module, engine = SimpleNamespace(device=torch.device("cuda", 0)), SimpleNamespace(is_last_batch=False)
    for epoch in range(3):
        callback.on_train_epoch_start(engine, module)  # type: ignore[arg-type]
        for step in range(6):
            memory.need((5000 if epoch == 0 and step == 0 else 50 + epoch) * MIB)  # cuDNN tries algorithms
            engine.is_last_batch = step == 5
            callback.on_train_batch_end(engine, module, None, None, step)  # type: ignore[arg-type]
        memory.need(3000 * MIB)  # validation
    assert callback.mib == 100 + 52


def test_the_peak_of_too_few_steps_and_of_the_cpu_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    Memory(monkeypatch, held=MIB)
    engine = SimpleNamespace(is_last_batch=True)
    for device, steps in (("cuda", 4), ("cpu", 20)):
        callback = PeakMemory(lambda: 0)
        module = SimpleNamespace(device=torch.device(device))
        for step in range(steps):
            callback.on_train_batch_end(engine, module, None, None, step)  # type: ignore[arg-type]
        assert callback.mib is None
