"""The JSON of benchmarks/gpu.sh: what is measured, what failed and why, and what an earlier run had found."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MINUTES = 9.3  # for everything, unless it is said
LEAST = 5.0  # seconds: with less left a part is not begun
PREPARED = ("imports", "device", "images")  # what the other parts need, each time


class Failed(Exception):
    """A part that failed: ``facts`` say why, for the JSON."""

    def __init__(self, reason: str, **facts: object) -> None:
        super().__init__(reason)
        self.facts = {"failed": reason, **facts}


@dataclass
class Report:
    """What is known so far; `save` writes it whole, beside the target first."""

    to: Path
    patience: float = 1.0  # all limits are so many times as long
    minutes: float = MINUTES
    earlier: dict[str, Any] = field(default_factory=dict)  # what a run before this one has found
    found: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """The seconds that are left for everything."""
        return 60 * self.minutes * self.patience - (time.monotonic() - self.started)

    @property
    def keeps_earlier(self) -> bool:
        """Whether the file has figures of a GPU, and none computes here."""
        return gpu_of(self.earlier) is not None and gpu_of(self.found) is None

    def save(self) -> None:
        """Write the JSON, unless that would lose figures of a GPU on a machine where none computes."""
        if self.keeps_earlier:
            return
        self.found["minutes"] = (time.monotonic() - self.started) / 60
        beside = self.to.with_name(f"{self.to.name}.part")
        beside.write_text(json.dumps(self.found, indent=1, default=str) + "\n")
        beside.replace(self.to)

    def add(self, name: str, part: Callable[[float, dict[str, Any]], object], seconds: float) -> bool:
        """Measure a part in at most so many seconds, unless that was done; say whether it went well.

        It is given its seconds and a dictionary: what it puts there is kept even where it fails.
        """
        before = {} if name in PREPARED else self.earlier.get(name, {})
        if before and "failed" not in before:
            self.found[name] = before
            return True
        so_far: dict[str, Any] = {}
        self.found[name] = so_far
        seconds = min(seconds * self.patience, self.left)
        print(f"{time.monotonic() - self.started:5.0f} s: {name}", file=sys.stderr, flush=True)
        try:
            if seconds < LEAST:
                raise Failed("no time left")
            result = part(seconds, so_far)
            self.found[name] = so_far | (result if isinstance(result, dict) else {"result": result})
        except Failed as error:
            self.found[name] = so_far | error.facts
        except Exception as error:
            self.found[name] = so_far | {
                "failed": f"{type(error).__name__}: {error}",
                "traceback": traceback.format_exc(),
            }
        self.save()
        return "failed" not in self.found[name]


def earlier(path: Path) -> dict[str, Any]:
    """Return what the JSON holds that is to be written, nothing where there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return found


def gpu_of(found: dict[str, Any]) -> str | None:
    """Return the name of the GPU that the figures are of, None for the CPU."""
    name: str | None = found.get("device", {}).get("gpu", {}).get("name")
    return name
