"""Devices: whether torch can really use one that it sees, and waiting for one."""

from __future__ import annotations

import math

import torch
from torch import nn

_SIDE = 8
_LONGEST = 200  # characters


def why_unusable(device: torch.device) -> str | None:
    """Return, in a line, why a network cannot be trained on a device; None where it can.

    An old GPU, or an old driver, is seen by torch, and fails at the first kernel. So a convolution is
    computed forward and backward.
    """
    try:
        layer = nn.Conv2d(3, 4, 3).to(device)
        layer(torch.ones(2, 3, _SIDE, _SIDE, device=device)).square().mean().backward()
        value = float(layer.weight.grad.sum()) if layer.weight.grad is not None else float("nan")
    except Exception as error:
        return one_reason(error)
    return "a convolution on it gives NaN" if math.isnan(value) else None


def wait_for(device: torch.device) -> None:
    """Return when a device has computed all that it was given; a GPU is given work ahead of time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def one_reason(error: BaseException) -> str:
    """Return the first line of an error of torch, which has many, with its type if it has no text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0] if len(lines[0]) <= _LONGEST else f"{lines[0][: _LONGEST - 1]}…"
