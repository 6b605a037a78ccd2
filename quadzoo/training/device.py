"""The device of a run, as its process takes it. Importing this imports no torch and touches no GPU."""

from __future__ import annotations

import os

from quadzoo.training.task import Device

_VARIABLE = "CUDA_VISIBLE_DEVICES"


def take(device: Device) -> None:
    """Have this process see its own GPU alone, and use no more of its memory than it was given.

    It comes before anything that may touch CUDA, such as a plugin: CUDA reads the variable once. A GPU that
    is out of memory for one run then has what it promised to the others.
    """
    if device.kind != "cuda":
        return
    if device.gpu is not None:
        os.environ[visible_variable()] = device.gpu
    if device.memory is not None:
        import torch

        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, device.memory / total))


def visible_variable() -> str:
    """Return the variable that lists the GPUs which a process sees."""
    import torch

    # AMD's library obeys its own before the other.
    return "HIP_VISIBLE_DEVICES" if torch.version.hip and "HIP_VISIBLE_DEVICES" in os.environ else _VARIABLE
