"""Energy counters, as Linux and NVML show them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from quadzoo.training.energy import EnergyMeter


def zone(folder: Path, name: str, microjoules: int) -> Path:
    made = folder / name
    made.mkdir()
    (made / "max_energy_range_uj").write_text("1000000000\n")
    (made / "energy_uj").write_text(f"{microjoules}\n")
    return made / "energy_uj"


def test_packages_are_added_up_and_counters_wrap(tmp_path: Path) -> None:
    first, second = zone(tmp_path, "intel-rapl:0", 5_000_000), zone(tmp_path, "intel-rapl:1", 999_000_000)
    part = zone(tmp_path, "intel-rapl:0:0", 0)
    meter = EnergyMeter(on_gpu=False, rapl=tmp_path)
    first.write_text("7500000\n")
    second.write_text("1000000\n")  # has begun anew
    part.write_text("99000000\n")  # within the first
    assert meter.joules == pytest.approx(2.5 + 2.0)
    second.unlink()
    assert meter.joules is None


def test_what_runs_share_is_nobodys(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", 5_000_000)
    assert EnergyMeter(on_gpu=False, rapl=tmp_path).joules == 0
    assert EnergyMeter(on_gpu=False, shared=True, rapl=tmp_path).joules is None


def test_nothing_is_counted(tmp_path: Path) -> None:
    assert EnergyMeter(on_gpu=False, rapl=tmp_path / "nowhere").joules is None


def test_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = iter([1000, 4500])

    class NVMLError(Exception):
        pass

    def handle(uuid: str) -> str:
        assert uuid == "GPU-abc"
        return uuid

    nvml = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetTotalEnergyConsumption=lambda _: next(counter),  # millijoules
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    import torch

    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="abc"))
    assert EnergyMeter(on_gpu=True).joules == pytest.approx(3.5)
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    assert EnergyMeter(on_gpu=True).joules is None


@pytest.mark.parametrize("broken", ["nvmlInit", "nvmlDeviceGetHandleByUUID", "second reading"])
def test_a_gpu_whose_energy_cannot_be_read_costs_no_run(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    counter = iter([1000])  # then StopIteration, which is none of NVML's errors

    def fails(*_: object) -> None:
        raise OSError("libnvidia-ml.so.1: version mismatch")

    functions = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByUUID": lambda uuid: uuid,
        "nvmlDeviceGetTotalEnergyConsumption": lambda _: next(counter),
    }
    nvml = SimpleNamespace(NVMLError=KeyError, **functions | ({broken: fails} if broken in functions else {}))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    import torch

    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="abc"))
    assert EnergyMeter(on_gpu=True).joules is None
