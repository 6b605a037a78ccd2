"""Results folders, one or many, read and put together. What cannot be read is named, and the rest is used."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from quadzoo.errors import DataError
from quadzoo.records.record import PREDICTIONS, RECORD, SCHEMA, RunRecord, read_record_file
from quadzoo.report.rows import Conflict, Unreadable
from quadzoo.report.text import one_line

_REASON = 300  # characters


@dataclass(frozen=True)
class Run:
    """A record, the folder it lies in, and its predictions for the test images.

    ``test`` is their table by image id, with the columns of `read_predictions` and ``error``: the squared
    error in the scaled unit, averaged over targets, float64. It is empty in a failed run, and in one whose
    record names no predictions.
    """

    record: RunRecord
    folder: Path
    test: pd.DataFrame


class Results(NamedTuple):
    """What results folders hold: runs, keys with two different scores, and runs that cannot be read."""

    runs: list[Run]
    conflicts: list[Conflict]
    unreadable: list[Unreadable]


def read_runs(folders: Iterable[Path]) -> Results:
    """Return the runs of all results folders, one a key, in the order of keys.

    Of several records with one key the newest that is ok counts, or the newest where none is. Two that are
    ok and differ in a score are a conflict. A run is unreadable, and takes no part, where its record is
    none, holds a number that is not finite, or says ok where its predictions cannot be scored.
    """
    found: dict[str, list[Run]] = {}
    unreadable = []
    for folder in folders:
        for path in sorted((folder / "runs").glob(f"*/{RECORD}")):
            try:
                run = _run(path)
            except DataError as error:
                unreadable.append(_unreadable(folder, path.parent, error))
            else:
                found.setdefault(run.record.key, []).append(run)
    runs, conflicts = [], []
    for key in sorted(found):
        taken, *others = sorted(
            found[key], key=lambda run: (run.record.status == "ok", run.record.finished), reverse=True
        )
        runs.append(taken)
        conflicts += [
            Conflict(
                key=key,
                backbone=taken.record.backbone,
                head=taken.record.head,
                seed=taken.record.seed,
                taken_test_mse=taken.record.metrics.test_mse,
                other_test_mse=other.record.metrics.test_mse,
            )
            for other in others
            if other.record.status == "ok" and other.record.metrics != taken.record.metrics
        ]
    return Results(runs, conflicts, unreadable)


def unreadable_records(out: Path) -> list[Unreadable]:
    """Return the records of a results folder that cannot be read, without a look at predictions."""
    found = []
    for path in sorted((out / "runs").glob(f"*/{RECORD}")):
        try:
            _record(path)
        except DataError as error:
            found.append(_unreadable(out, path.parent, error))
    return found


def read_predictions(path: Path, targets: list[str]) -> pd.DataFrame:
    """Return predictions.csv: id, split, image_group and image_kind as text, the targets as float64.

    The group of an image is its own where the file says none. Raises DataError for another table, and for
    a file that cannot be read.
    """
    numbers = [name for target in targets for name in (target, f"{target}_pred")]
    try:
        # As text first: not every pandas reads a number to its last digit.
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        missing = [name for name in ("id", "split", *numbers) if name not in table]
        if missing:
            raise DataError(f"{path}: no column {missing[0]!r}")
        # In one block, however many targets there are.
        values = pd.DataFrame(table[numbers].to_numpy().astype(float), columns=numbers)
        table = pd.concat([table.drop(columns=numbers), values], axis=1)
    except ValueError as error:  # pandas' own are among them
        raise DataError(f"{path}: not a table of predictions ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    table = table.rename(columns={"picture_group": "image_group", "picture_kind": "image_kind"})
    return table if "image_group" in table else table.assign(image_group=table["id"])


def of_targets(table: pd.DataFrame, targets: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction, float64 (N, T)."""
    return table[targets].to_numpy(), table[[f"{target}_pred" for target in targets]].to_numpy()


def _run(path: Path) -> Run:
    """Return the run of a record's file. Raises DataError for one that cannot be read or scored."""
    record = _record(path)
    return Run(record, path.parent, _scored(path.parent / PREDICTIONS, record))


def _record(path: Path) -> RunRecord:
    record = read_record_file(path)
    fault = next(_faults(record), None)
    if fault:
        raise DataError(f"{path}: {fault}")
    return record


def _faults(record: RunRecord) -> Iterator[str]:
    """Say why a record cannot be used in a leaderboard."""
    if record.record_schema > SCHEMA:
        yield f"has schema {record.record_schema}, but this version of quadzoo reads up to {SCHEMA}"
    for name, value in _numbers(record.model_dump()):
        if not isfinite(value):
            yield f"{name} is {value}, not a finite number"
    if record.status == "ok":
        metrics, split = record.metrics, record.split
        if metrics.val_mse is None or metrics.test_mse is None:
            yield "status is ok, but val_mse or test_mse is missing"
        for name, by_target in (("test_rmse", metrics.test_rmse), ("test_r2", metrics.test_r2)):
            if set(by_target or {}) != set(record.targets):
                yield f"{name} has other targets than the record"
        if split.n_val < 1 or split.n_test < 1:
            yield "the split has no val or no test images"


def _numbers(value: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Return all floating-point numbers in JSON-like data, each with the path of names to it."""
    if isinstance(value, float):
        yield name, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _numbers(one, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for position, one in enumerate(value):
            yield from _numbers(one, f"{name}[{position}]")


def _scored(path: Path, record: RunRecord) -> pd.DataFrame:
    """Return `Run.test`. Raises DataError for predictions that are not those of the record's test images."""
    if record.status != "ok" or (not path.exists() and path.name not in record.files):
        return pd.DataFrame()
    table = read_predictions(path, record.targets)
    table = table[table["split"] == "test"].set_index("id")
    if len(table) != record.split.n_test:
        raise DataError(f"{path}: {len(table)} test images, the record says {record.split.n_test}")
    if table.index.has_duplicates:
        raise DataError(f"{path}: a test image is there twice")
    spread = np.array(record.target_high) - np.array(record.target_low)
    truth, prediction = of_targets(table, record.targets)
    if spread.shape != truth.shape[1:] or not (spread > 0).all():
        raise DataError(f"{path.parent / RECORD}: target_low and target_high are no ranges of the targets")
    error = (((prediction - truth) / spread) ** 2).mean(axis=1)
    if not np.isfinite(error).all():
        raise DataError(f"{path}: a target or prediction is not a finite number")
    return table.assign(error=error)


def _unreadable(out: Path, folder: Path, error: DataError) -> Unreadable:
    # The run's folder is named already.
    reason = str(error).replace(f"{folder}{os.sep}", "")
    return Unreadable(folder=str(out), key=one_line(folder.name, _REASON), reason=one_line(reason, _REASON))
