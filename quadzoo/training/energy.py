"""The energy used by training, where the device counts it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

_RAPL = Path("/sys/class/powercap")
_log = logging.getLogger(__name__)  # into the run's log


class EnergyMeter:
    """Counts joules from when it was made: of the whole GPU by NVML, of all CPU packages by Linux's RAPL.

    Both count what the device uses, for whatever process. Many machines offer neither (virtual ones; RAPL is
    for root alone); then ``joules`` is None. So it is where runs share the device: nobody can say whose they
    are.
    """

    def __init__(self, on_gpu: bool, *, shared: bool = False, rapl: Path = _RAPL) -> None:
        self._counters: Sequence[_Counter] = () if shared else _gpu() if on_gpu else _packages(rapl)
        self._start = [counter.read() for counter in self._counters]

    @property
    def joules(self) -> float | None:
        """The energy used since the start, in J; None where nothing is counted, or no longer."""
        spent = [
            None if start is None or (now := counter.read()) is None else (now - start) % counter.wraps_at
            for counter, start in zip(self._counters, self._start, strict=True)
        ]
        known = [one for one in spent if one is not None]
        return sum(known) if known and len(known) == len(spent) else None


class CostMeter:
    """Counts seconds and joules from when it was made, and those that earlier processes of a run took."""

    def __init__(self, on_gpu: bool, *, shared: bool = False) -> None:
        self.earlier_seconds = 0.0
        self.earlier_joules = 0.0
        self._clock = time.perf_counter()
        self._energy = EnergyMeter(on_gpu, shared=shared)

    @property
    def seconds(self) -> float:
        """The time used, in s."""
        return self.earlier_seconds + time.perf_counter() - self._clock

    @property
    def joules(self) -> float | None:
        """The energy used, in J; None where nothing is counted."""
        joules = self._energy.joules
        return None if joules is None else self.earlier_joules + joules


class _Counter(Protocol):
    wraps_at: float

    def read(self) -> float | None: ...


class _Package:
    def __init__(self, zone: Path) -> None:
        self._file = zone / "energy_uj"
        # The counter begins anew after this many.
        self.wraps_at = int((zone / "max_energy_range_uj").read_text()) / 1e6

    def read(self) -> float | None:
        try:
            return int(self._file.read_text()) / 1e6
        except OSError:
            return None


class _Gpu:
    wraps_at = float("inf")

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def read(self) -> float | None:
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3
        except Exception as error:  # a figure that is nice to have costs no run
            _log.warning("the GPU's energy cannot be read: %s: %s", type(error).__name__, error)
            return None


def _packages(rapl: Path) -> list[_Package]:
    # intel-rapl:0 is a package, of AMD's processors too; intel-rapl:0:1 a part of it.
    zones = [zone for zone in rapl.glob("intel-rapl:*") if zone.name.count(":") == 1]
    try:
        return [_Package(zone) for zone in sorted(zones)]
    except OSError:
        return []


def _gpu() -> list[_Gpu]:
    import torch

    try:
        import pynvml
    except ImportError:  # nvidia-ml-py is the user's to install
        return []
    try:
        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
        return [_Gpu(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid))]
    except Exception as error:  # NVML's own, a driver that does not fit, a torch that does not know the UUID
        _log.warning("the GPU's energy cannot be read: %s: %s", type(error).__name__, error)
        return []
