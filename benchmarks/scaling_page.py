"""SCALING.md, from the files that scaling.py, scheduler_sim.py and records.py have written."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

PARTS = {
    "scaling": "scaling",
    "scheduler": "scheduler_sim",
    "halving": "halving",
    "records": "records",
}
"""The name of each file in results/, and the script whose ``page`` makes Markdown of it."""


def write_page(to: Path) -> None:
    """Write SCALING.md into a folder, from those of the files that are in its results/."""
    lines = ["# How cost grows"]
    for name, script in PARTS.items():
        path = to / "results" / f"{name}.json"
        if path.exists():
            lines += ["", *import_module(script).page(json.loads(path.read_text()))]
    (to / "SCALING.md").write_text("\n".join(lines) + "\n")


def plot(title: str, unit: str, bars: dict[str, float]) -> list[str]:
    """Return a bar chart, as Markdown viewers draw it."""
    return [
        "```mermaid",
        "xychart-beta",
        f'    title "{title}"',
        f"    x-axis [{', '.join(json.dumps(name) for name in bars)}]",
        f'    y-axis "{unit}" 0 --> {1.1 * max(*bars.values(), 1e-9):.3g}',
        f"    bar [{', '.join(f'{value:.4g}' for value in bars.values())}]",
        "```",
    ]
