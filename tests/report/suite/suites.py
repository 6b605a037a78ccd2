"""Results folders of suites, of records made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quadzoo.records.record import Metrics, write_record
from quadzoo.records.suite import SetRequest, Suite, write_suite
from quadzoo.report.suite.board import SuiteBoard, read_suite_board
from tests.report.records import record

BASELINE = 0.1  # the best baseline's val MSE on every set

Scores = Mapping[str, Mapping[str, Sequence[float | None]]]


def write(out: Path, scores: Scores, *, seeds: int | None = None, **changes: Any) -> SuiteBoard:
    """Write and read a suite: for each set and backbone, the val MSE of each seed, None where it failed."""
    requests = {}
    for name, backbones in scores.items():
        longest = max((len(values) for values in backbones.values()), default=1)
        requests[name] = SetRequest(data_hash=name, split_hash="S", seeds=seeds or longest)
        for number, (backbone, values) in enumerate(backbones.items()):
            for seed, val in enumerate(values):
                add(out / name, f"{number}-{seed}", val, backbone=backbone, seed=seed, **changes)
    write_suite(out, Suite(sets=requests))
    return read_suite_board(out)


def add(folder: Path, key: str, val: float | None, **changes: Any) -> None:
    """Write a run on the set of the folder's name."""
    data = {"name": "table", "hash": folder.name, "n": 10, "duplicates": 1}
    baselines = {"mean-of-train": baseline(3 * BASELINE), "ridge-pixels": baseline(BASELINE)}
    write_record(folder, record(key, val, **{"data": data, "baselines": baselines, **changes}))


def baseline(val: float) -> Metrics:
    return Metrics(val_mse=val, test_mse=val, test_rmse={"y": 1.0}, test_r2={"y": 0.0})
