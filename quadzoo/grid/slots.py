"""Which runs may be under way at once on this machine, and on which GPU each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import Literal

from quadzoo.training.task import Device

_CONTEXT = 512 * 2**20  # bytes of a GPU that a process takes beside what torch allocates: kernels, workspaces


def slots_of(devices: Sequence[Device], jobs: int | Literal["auto"]) -> tuple[Device, ...]:
    """Return the device of each run that may be under way at once, with its share of the memory.

    With ``jobs`` auto there is one for each device. More of them divide the devices among themselves by
    turns, and the memory that is free on each. A run that is alone on its device gets no limit.
    """
    chosen = list(islice(cycle(devices), len(devices) if jobs == "auto" else jobs))
    together = Counter(chosen)
    return tuple(_shared(device, together[device]) for device in chosen)


def _shared(device: Device, runs: int) -> Device:
    if runs == 1 or device.memory is None:
        return replace(device, memory=None)
    return replace(device, memory=max(0, device.memory // runs - _CONTEXT))


def in_words(slots: Sequence[Device]) -> str:
    """Return the devices for people: "2 × NVIDIA H100 (cuda), 4 runs at a time"."""
    gpus = {(slot.gpu, slot.name, slot.kind) for slot in slots}
    counted = Counter((name, kind) for _, name, kind in sorted(gpus, key=str))
    named = ", ".join(f"{f'{n} × ' if n > 1 else ''}{name} ({kind})" for (name, kind), n in counted.items())
    return f"{named}, {len(slots)} runs at a time" if len(slots) > 1 else named


class Slots:
    """Gives each run a device, and takes it back when the run is over.

    ``slots`` are those of a machine. ``at_once`` says how many runs may be under way where a machine has so
    many: machines come and go.
    """

    def __init__(self, slots: Sequence[Device], at_once: Callable[[int], int] = lambda slots: slots) -> None:
        self._slots = Counter(slots)
        self._at_once = at_once
        self._taken: Counter[Device] = Counter()

    @property
    def total(self) -> int:
        """How many runs may be under way now."""
        return self._at_once(self._slots.total())

    def __bool__(self) -> bool:
        """Whether another run may start."""
        return self._taken.total() < self.total

    def take(self) -> Device:
        """Return a device for a run, of the GPU with the fewest. Raises IndexError where none is free."""
        if not self:
            raise IndexError("as many runs as there may be are under way")
        machines = math.ceil(self.total / self._slots.total())
        free = [one for one, slots in self._slots.items() if self._taken[one] < slots * machines]
        device = min(free, key=lambda one: self._taken[one])
        self._taken[device] += 1
        return device

    def give_back(self, device: Device) -> None:
        """Take back the device of a run that is over."""
        self._taken[device] -= 1
