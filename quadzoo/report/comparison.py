"""Two rows compared image by image: what the page needs for any two, and a sentence on the first two."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from quadzoo.records.predictions import of_targets
from quadzoo.report.results import Run
from quadzoo.report.rows import Leaderboard

MOST_IMAGES = 1000
MOST_TARGETS = 12


@dataclass(frozen=True)
class ImageComparison:
    """Rows that can be compared.

    ``data`` is for the page's script: N images with their ``ids``, ``truth`` and the ``errors`` of each row,
    float16 (1 + T, N), little-endian, as base64: the root of what the image adds to the MSE, in most data the
    mean of all targets, then prediction minus truth of each target, scaled; NaN where a row has not predicted
    an image, or there is no truth, which is then None. ``sentence`` compares the first two rows. ``left_out``
    says what is not there.
    """

    data: dict[str, Any]
    sentence: str
    left_out: str

    @property
    def size(self) -> int:
        """How many bytes ``data`` has in the page, about."""
        return len(json.dumps(self.data))


def comparison(board: Leaderboard, runs: Mapping[str, Run], room: int) -> ImageComparison | None:
    """Return what is needed to compare rows with predictions; None where there are no two.

    Each row is represented by its seed with the best val MSE. ``room`` bounds the bytes: the last rows are
    left out, or all of them.
    """
    rows = [row for row in board.rows if row.details.runs and all(key in runs for key in row.details.runs)]
    if len(rows) < 2:
        return None
    tables = [pd.concat([runs[key].test for key in row.details.runs]) for row in rows]
    everything = pd.concat(tables)
    everything = everything[~everything.index.duplicated()]
    table = everything.loc[_sample(list(everything.index))]
    record = runs[rows[0].details.runs[0]].record
    shown = record.targets[:MOST_TARGETS]
    spread = np.array(record.target_high) - np.array(record.target_low)
    data: dict[str, Any] = {
        "ids": list(table.index),
        "targets": shown,
        "integer": all(record.target_integer) and len(shown) == len(record.targets),
        "spread": [float(value) for value in spread[: len(shown)]],
        "truth": [
            [None if np.isnan(value) else float(f"{value:.6g}") for value in values]
            for values in of_targets(table, record.targets)[0].T[: len(shown)]
        ],
        "rows": [],
    }
    room -= len(json.dumps(data))
    errors = []
    for row, own in zip(rows, tables, strict=True):
        found = _errors(own.reindex(table.index), record.targets, spread)[: 1 + len(shown)]
        one = {
            "name": f"{row.name} (seed {row.details.worst_seed})",
            "errors": base64.b64encode(found.tobytes()).decode(),
        }
        room -= len(json.dumps(one))
        if room < 0:
            break
        data["rows"].append(one)
        errors.append(found[0])
    if len(errors) < 2:
        return None
    first, second = (one["name"] for one in data["rows"][:2])
    return ImageComparison(
        data,
        _sentence(first, errors[0], second, errors[1]),
        _left_out(len(everything), len(table), len(rows) - len(errors), len(record.targets) - len(shown)),
    )


def _sample(ids: Sequence[str]) -> list[str]:
    """Return the ids in their order; of more than `MOST_IMAGES` those with the lowest hashes."""
    if len(ids) <= MOST_IMAGES:
        return list(ids)
    hashes = {one: hashlib.sha256(one.encode()).hexdigest() for one in ids}
    last = sorted(hashes.values())[MOST_IMAGES - 1]
    return [one for one in ids if hashes[one] <= last]


def _errors(table: pd.DataFrame, targets: Sequence[str], spread: np.ndarray) -> np.ndarray:
    """Return `ImageComparison.data`'s errors of a row, float16 (1 + T, N)."""
    truth, prediction = of_targets(table, targets)
    scaled = ((prediction - truth) / spread).T
    with np.errstate(over="ignore"):  # more than 65504 times the range is infinite, and told as far off
        return np.array([np.sqrt(table["error"]), *scaled]).astype("<f2")


def _sentence(first: str, one: np.ndarray, second: str, other: np.ndarray) -> str:
    """Compare two rows by the rounded errors that the page has, so that its script says the same."""
    both = ~(np.isnan(one) | np.isnan(other))
    nearer, further = int((one < other)[both].sum()), int((one > other)[both].sum())
    equal = int(both.sum()) - nearer - further
    return (
        f"{first} is nearer on {nearer} of {int(both.sum())} test images, {second} on {further}"
        f"{f', both are equally near on {equal}' if equal else ''}."
    )


def _left_out(n: int, shown: int, rows: int, targets: int) -> str:
    """Say which images, rows and targets are not compared."""
    parts = [
        f"These are {shown:,} of the {n:,} test images, drawn at random." if shown < n else "",
        f"The page would be too large with all rows: the last {rows} cannot be chosen." if rows else "",
        f"Errors are of all targets; predictions of the last {targets} are not shown." if targets else "",
    ]
    return " ".join(part for part in parts if part)
