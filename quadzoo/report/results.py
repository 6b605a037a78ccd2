"""Results folders, one or many, read and put together. What cannot be read is named, and the rest is used."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from quadzoo.errors import DataError
from quadzoo.records.predictions import of_targets, read_predictions
from quadzoo.records.record import PREDICTIONS, RECORD, RunRecord, keys_in, read_record, run_folder
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


class Errors(NamedTuple):
    """Squared errors, float64 (N, S) for N images by id and S seeds, and the group of each image, (N,)."""

    table: pd.DataFrame
    groups: pd.Series


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
        for path in [run_folder(folder, key) / RECORD for key in keys_in(folder)]:
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


def errors_of(tests: Sequence[Run]) -> Errors:
    """Return the errors of the images that every seed has been tested on, float64 (N, S).

    ``tests`` are runs with predictions.
    """
    by_seed: dict[int, list[pd.Series]] = defaultdict(list)
    for run in tests:
        by_seed[run.record.seed].append(run.test["error"])
    errors = pd.DataFrame({seed: pd.concat(parts) for seed, parts in by_seed.items()}).dropna()
    groups = pd.concat([run.test["image_group"] for run in tests])
    return Errors(errors, groups[~groups.index.duplicated()].loc[errors.index])


def unreadable_records(out: Path) -> list[Unreadable]:
    """Return the records of a results folder that cannot be read, without a look at predictions."""
    found = []
    for path in [run_folder(out, key) / RECORD for key in keys_in(out)]:
        try:
            _record(path)
        except DataError as error:
            found.append(_unreadable(out, path.parent, error))
    return found


def _record(path: Path) -> RunRecord:
    """Return a run's record. Raises DataError for one that cannot be read or is another run's."""
    record = read_record(path.parents[2], path.parent.name)
    if record is None:
        raise DataError(f"{path}: it is gone")
    return record


def _run(path: Path) -> Run:
    """Return the run of a record's file. Raises DataError for one that cannot be read or scored."""
    record = _record(path)
    return Run(record, path.parent, _scored(path.parent / PREDICTIONS, record))


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
