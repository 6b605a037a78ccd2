"""The Trainer of each device, with a stub for a Mac's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from lightning_fabric.accelerators.mps import MPSAccelerator as FabricAccelerator
from pytorch_lightning.accelerators import MPSAccelerator

from quadzoo.model.recipe import Recipe
from quadzoo.training.run import make_trainer
from quadzoo.training.task import Device


@pytest.fixture(autouse=True)
def mac(monkeypatch: pytest.MonkeyPatch) -> None:
    for stub in (MPSAccelerator, FabricAccelerator):
        monkeypatch.setattr(stub, "is_available", staticmethod(lambda: True))


def trainer(kind: Any, precision: str = "32") -> Any:
    recipe = Recipe(epochs=2)
    task = SimpleNamespace(
        precision=precision,
        epochs=2,
        recipe=recipe,
        split=SimpleNamespace(n_train=40),
        title="a run",
        pixels=1e6,
    )
    placement = SimpleNamespace(device=Device(kind, "a name", bf16=False), deterministic=False)
    return make_trainer(task, placement, [])  # type: ignore[arg-type]


def test_a_macs_gpu_is_used_by_name() -> None:
    made = trainer("mps")
    assert made.strategy.root_device.type == "mps"
    assert isinstance(made.accelerator, MPSAccelerator)


def test_the_cpu_stays_the_cpu_where_a_mac_has_a_gpu() -> None:
    with pytest.warns(UserWarning, match="GPU available but not used"):
        made = trainer("cpu")
    assert made.strategy.root_device.type == "cpu"
