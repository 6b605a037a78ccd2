"""Suites of small sets, and what makes them."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

SHARED = 'backbones = ["tiny_cnn"]\nepochs = 1\nweights = "none"\nprecision = "32"\n'
SET = '[sets.{name}]\ndata = "{name}/table.csv"\nimages = "{name}/images"\ntargets = ["y"]\n'
THIRD = '[sets.c]\ndata = "{}/table.csv"\nimages = "a/images"\ntargets = ["{}"]\n'


def write_set(folder: Path, seed: int) -> None:
    """30 grey images whose brightness is y."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    lines = ["id,y"]
    for number in range(30):
        y = rng.uniform()
        image = rng.integers(0, 60, (16, 16)) + round(150 * y)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image.astype(np.uint8))
        lines.append(f"{number},{y:.4f}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")


def write_suite(folder: Path) -> Path:
    """Write a suite of the sets a and b, and return its file."""
    for seed, name in enumerate("ab"):
        write_set(folder / name, seed)
    path = folder / "suite.toml"
    path.write_text(SHARED + "".join(SET.format(name=name) for name in "ab"))
    return path


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "leaderboard-suite.csv").open(encoding="utf-8") as table:
        return list(csv.DictReader(table))
