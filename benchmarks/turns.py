"""What benchmarks by turns share: commands that are timed one after the other, and where they ran."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

PACKAGES = ("torch", "torchvision", "timm", "pytorch-lightning", "quadzoo")


def positive(text: str) -> int:
    """Return a number of 1 or more, as a flag. Raises ValueError, which argparse tells."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def seconds_of(command: Sequence[str], **environment: str) -> float:
    """Return how long a command took; it must succeed."""
    clock = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | environment)
    return time.perf_counter() - clock


def ratios(figures: Sequence[Mapping[str, float]], of: str, to: str) -> dict[str, float]:
    """Return the median of the rounds' own ratios, with the lowest and the highest; a figure is a round."""
    found = sorted(one[of] / one[to] for one in figures)
    return {"median": statistics.median(found), "lowest": found[0], "highest": found[-1]}


def where() -> dict[str, Any]:
    """Return command, time, device, load and versions, for a benchmark's JSON."""
    return {
        "command": ["python", *sys.argv],
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": _cpu(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
