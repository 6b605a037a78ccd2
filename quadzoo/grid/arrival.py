"""What a placement becomes on the machine that the job has come to. Nothing here imports torch by itself."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import replace
from typing import Any

from quadzoo.grid.devices import device_here
from quadzoo.training.task import Placement


def settled(argument: Any) -> Any:
    """Return a job's argument with the device and the name of this machine in its placement, if it has one.

    The kind of device stays: keys and digits depend on it. Raises RuntimeError where there is none of it.
    """
    if not isinstance(argument, tuple):
        return argument
    return tuple(_here(one) if isinstance(one, Placement) else one for one in argument)


def _here(placement: Placement) -> Placement:
    name = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    return replace(placement, device=device_here(placement.device.kind), machine=name)
