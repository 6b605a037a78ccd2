"""Results folders, one or many, read and put together. What cannot be read is named, and the rest is used."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from quadzoo.errors import DataError
from quadzoo.metrics import image_errors
from quadzoo.records.baseline import BaselineRecord, baseline_folder, baseline_keys, read_baseline
from quadzoo.records.facts import Side
from quadzoo.records.predictions import columns_of, of_targets, read_predictions, spread_of
from quadzoo.records.record import PREDICTIONS, RECORD, RunRecord, keys_in, read_record, run_folder
from quadzoo.report.copies import copies, told
from quadzoo.report.rows import Conflict, Unreadable
from quadzoo.report.text import one_line

_REASON = 300  # characters


@dataclass(frozen=True)
class Run:
    """A record, the folder it lies in, and its predictions for the test and val images.

    ``test`` is their table by image id, with the columns of `read_predictions` and ``error``: what the image
    adds to the MSE, float64, as `image_errors` defines it. It is empty in a failed run, and in one whose
    record names no predictions. ``val`` has, by image id, the residuals of each target in the scaled unit,
    float64 (n_val, T), NaN where one is missing, and no more, since all runs are held at once. It is also
    empty where the predictions are not those of all val images: no score of the table depends on it.
    ``val_groups`` are the groups of its images, ``val_spread`` the spread of its predictions in the scaled
    unit, float64 (n_val, T), which is empty where the model gives them none.
    """

    record: RunRecord
    folder: Path
    test: pd.DataFrame
    val: pd.DataFrame = field(default_factory=pd.DataFrame)
    val_groups: pd.Series = field(default_factory=lambda: pd.Series(dtype=object))
    val_spread: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class Answer:
    """What a baseline answers on one fold: its record, and its predictions, as those of a `Run`."""

    record: BaselineRecord
    test: pd.DataFrame


class Errors(NamedTuple):
    """Squared errors, float64 (N, S) for N images by id and S seeds; group and fold of each image, (N,)."""

    table: pd.DataFrame
    groups: pd.Series
    folds: pd.Series


class Results(NamedTuple):
    """What results folders hold.

    Runs, keys with two different scores, runs that cannot be read, and what baselines answer.
    """

    runs: list[Run]
    conflicts: list[Conflict]
    unreadable: list[Unreadable]
    answers: Sequence[Answer] = ()


def read_runs(folders: Iterable[Path]) -> Results:
    """Return the runs of all results folders, one a key, in the order of keys.

    Of several records with one key the newest that is ok counts, or the newest where none is. Two that are
    ok and differ in a score are a conflict. A run is unreadable, and takes no part, where its record is
    none, holds a number that is not finite, or says ok where its predictions cannot be scored; so does the
    copy of a run under another seed.
    """
    found: dict[str, list[Run]] = {}
    unreadable = []
    folders = list(folders)
    for folder in folders:
        for path in [run_folder(folder, key) / RECORD for key in keys_in(folder)]:
            record = None
            try:
                record = _record(path)
                run = _run(path, record)
            except DataError as error:
                combination = record.combination if record else ""
                unreadable.append(_unreadable(folder, path.parent, error, combination))
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
    copied = {copy.key: told(like) for copy, like in copies(run.record for run in runs)}
    for run in runs:
        if reason := copied.get(run.record.key):
            where = run.folder.parents[1]
            unreadable.append(_unreadable(where, run.folder, DataError(reason), run.record.combination))
    runs = [run for run in runs if run.record.key not in copied]
    return Results(runs, conflicts, unreadable, _answers(folders, runs))


def _answers(folders: Sequence[Path], runs: Sequence[Run]) -> list[Answer]:
    """Return what baselines answer for the images of the runs, each once. One that cannot be read has none:

    its scores are in the records of the runs.
    """
    ranges = {(run.record.split.hash, run.record.split.fold): run.record for run in runs}
    found: dict[str, Answer] = {}
    for folder in folders:
        for key in baseline_keys(folder):
            record = None if key in found else read_baseline(folder, key)
            like = ranges.get((record.split.hash, record.split.fold)) if record else None
            if record is None or like is None or like.data.hash != record.data.hash:
                continue
            path = baseline_folder(folder, key) / PREDICTIONS
            try:
                table = _table(path, like)
                found[key] = Answer(record, _test(path, table, like))
            except DataError:
                continue
    return [found[key] for key in sorted(found)]


def errors_of(tests: Sequence[Run], target: str | None = None) -> Errors:
    """Return the errors of the images that every seed has been tested on, float64 (N, S).

    ``tests`` are runs with predictions. With ``target`` they are the squared errors of that alone, in its own
    unit.
    """
    by_seed: dict[int, list[pd.Series]] = defaultdict(list)
    for run in tests:
        by_seed[run.record.seed].append(squared_error(run.test, run.record.targets, target))
    errors = pd.DataFrame({seed: pd.concat(parts) for seed, parts in by_seed.items()}).dropna()
    groups = _first(pd.concat([run.test["image_group"] for run in tests]))
    folds = _first(pd.concat([pd.Series(run.record.split.fold, index=run.test.index) for run in tests]))
    return Errors(errors, groups.loc[errors.index], folds.loc[errors.index])


def val_errors_of(tests: Sequence[Run]) -> Errors | None:
    """Return the errors of the val images, as `errors_of` does of the test images; None where a run has none.

    An image that is in the val of several folds is there once for each, with fold and id as its index.
    """
    if any(run.val.empty for run in tests) or not tests:
        return None
    by_seed: dict[int, list[pd.Series]] = defaultdict(list)
    groups: dict[int, pd.Series] = {}
    for run in sorted(tests, key=lambda run: run.record.split.fold):
        fold = run.record.split.fold
        by_seed[run.record.seed].append(_of_fold(_val_errors(run.val), fold))
        groups.setdefault(fold, _of_fold(run.val_groups, fold))
    errors = pd.DataFrame({seed: pd.concat(parts) for seed, parts in by_seed.items()}).dropna()
    folds = pd.Series(errors.index.get_level_values(0), index=errors.index)
    return Errors(errors, pd.concat(groups.values()).loc[errors.index], folds)


def _val_errors(residuals: pd.DataFrame) -> pd.Series:
    values = residuals.to_numpy()
    return pd.Series(image_errors(values, ~np.isnan(values)), index=residuals.index)


def _of_fold(values: pd.Series, fold: int) -> pd.Series:
    numbered: pd.Series = pd.concat({fold: values})
    return numbered


def _first(values: pd.Series) -> pd.Series:
    first: pd.Series = values.loc[~values.index.duplicated()]
    return first


def squared_error(table: pd.DataFrame, targets: Sequence[str], target: str | None = None) -> pd.Series:
    """Return the squared errors of the images of a table, by id: of a target in its own unit, or of all."""
    if target is None:
        return table["error"]
    column = columns_of(targets)[target]
    return (table[f"{column}_pred"] - table[column]) ** 2


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


def _run(path: Path, record: RunRecord) -> Run:
    """Return the run of a record and its file. Raises DataError for one that cannot be scored."""
    predictions = path.parent / PREDICTIONS
    if record.status != "ok" or (not predictions.exists() and PREDICTIONS not in record.files):
        return Run(record, path.parent, pd.DataFrame())
    table = _table(predictions, record)
    val = _val(table, record)
    groups = table.loc[table["split"] == "val", "image_group"]
    return Run(
        record, path.parent, _test(predictions, table, record), val, groups, _spread(table, val, record)
    )


def _table(path: Path, record: RunRecord) -> pd.DataFrame:
    """Return predictions by image id. Raises DataError for a file that is no table of predictions."""
    table = read_predictions(path, record.targets)
    # The ids of all runs are the same texts, which are kept once.
    return table.assign(id=list(map(sys.intern, table["id"]))).set_index("id")


def _test(path: Path, table: pd.DataFrame, record: RunRecord) -> pd.DataFrame:
    """Return `Run.test`. Raises DataError for predictions that are not those of the record's test images."""
    table = table[table["split"] == "test"]
    if len(table) != record.split.n_test:
        raise DataError(f"{path}: {len(table)} test images, the record says {record.split.n_test}")
    if table.index.has_duplicates:
        raise DataError(f"{path}: a test image is there twice")
    spread = np.array(record.target_high) - np.array(record.target_low)
    truth, prediction = of_targets(table, record.targets)
    if spread.shape != truth.shape[1:] or not (spread > 0).all():
        raise DataError(f"{path.parent / RECORD}: target_low and target_high are no ranges of the targets")
    known = _known(truth, record, "test")
    with np.errstate(over="ignore"):  # told below
        error = None if known is None else image_errors((prediction - truth) / spread, known)
    if error is None or not np.isfinite(error).all():
        raise DataError(f"{path}: a target or prediction is not a finite number")
    return table.assign(error=error)


def _known(truth: np.ndarray, record: RunRecord, side: Side) -> np.ndarray | None:
    """Return where a side has a truth, bool (n, T); None where that is not as the record says."""
    known = ~np.isnan(truth)
    counts = dict(zip(record.targets, known.sum(axis=0).tolist(), strict=True))
    return known if counts == record.split.known_on(side, record.targets) else None


def _val(table: pd.DataFrame, record: RunRecord) -> pd.DataFrame:
    """Return `Run.val`."""
    table = table[table["split"] == "val"]
    truth, prediction = of_targets(table, record.targets)
    residuals = (prediction - truth) / (np.array(record.target_high) - np.array(record.target_low))
    known = _known(truth, record, "val")
    finite = known is not None and bool(np.isfinite(residuals[known]).all())
    complete = len(table) == record.split.n_val and table.index.is_unique and finite
    return pd.DataFrame(residuals, index=table.index, columns=record.targets) if complete else pd.DataFrame()


def _spread(table: pd.DataFrame, val: pd.DataFrame, record: RunRecord) -> pd.DataFrame:
    """Return `Run.val_spread`."""
    spread = spread_of(table[table["split"] == "val"], record.targets)
    if spread is None or val.empty:
        return pd.DataFrame()
    ranges = np.array(record.target_high) - np.array(record.target_low)
    return pd.DataFrame(spread / ranges, index=val.index, columns=val.columns)


def _unreadable(out: Path, folder: Path, error: DataError, combination: str = "") -> Unreadable:
    # The run's folder is named already.
    reason = str(error).replace(f"{folder}{os.sep}", "")
    key, told = one_line(folder.name, _REASON), one_line(reason, _REASON)
    return Unreadable(folder=str(out), key=key, reason=told, combination=combination)
