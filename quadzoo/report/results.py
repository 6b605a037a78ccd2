"""Results folders, one or many, read and put together. What cannot be read is named, and the rest is used."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from quadzoo.errors import DataError
from quadzoo.garbage import uncollected
from quadzoo.metrics import image_errors
from quadzoo.records.baseline import BaselineRecord, baseline_folder, baseline_keys, read_baseline
from quadzoo.records.facts import Side
from quadzoo.records.predictions import KnownColumns, Parsed, parsed_predictions
from quadzoo.records.record import (
    PREDICTIONS,
    RECORD,
    RunRecord,
    counts_as_done,
    keys_in,
    read_record,
    run_folder,
)
from quadzoo.report.agreement import check_means, check_scores, contradicting, fold_of
from quadzoo.report.answered import Answered
from quadzoo.report.copies import copies, repeated, told, told_twice
from quadzoo.report.named_images import NamedImages
from quadzoo.report.rows import Conflict, Unreadable
from quadzoo.report.text import one_line

_REASON = 300  # characters
_NO_TABLE = pd.DataFrame()


@dataclass(frozen=True)
class Run:
    """A record, the folder it lies in, and its predictions for the test and val images.

    ``answered`` is what it answers for the test images: None in a failed run, and in one whose record names
    no predictions. ``val`` has, by image id, the residuals of each target in the scaled unit, float64
    (n_val, T), NaN where one is missing, and no more, since all runs are held at once. It is also
    empty where the predictions are not those of all val images: no score of the table depends on it.
    ``val_groups`` are the groups of its images, ``val_spread`` the spread of its predictions in the scaled
    unit, float64 (n_val, T), which is empty where the model gives them none. ``images`` is a hash of the
    images of both sides, their groups and their truth; empty without predictions.
    """

    record: RunRecord
    folder: Path
    answered: Answered | None = None
    val: pd.DataFrame = field(default_factory=pd.DataFrame)
    val_groups: pd.Series = field(default_factory=lambda: pd.Series(dtype=object))
    val_spread: pd.DataFrame = field(default_factory=pd.DataFrame)
    images: str = ""

    @property
    def is_tested(self) -> bool:
        """Whether there are predictions for test images."""
        return self.answered is not None

    @property
    def test(self) -> pd.DataFrame:
        """The predictions for the test images as a table by image id; empty without any."""
        return _NO_TABLE if self.answered is None else self.answered.table

    @property
    def answers(self) -> tuple[np.ndarray, np.ndarray]:
        """Truth and prediction of the test images, float64 (N, T) each, in original units."""
        return self.of_test.both

    @property
    def of_test(self) -> Answered:
        """What ``answered`` is in a run that `is_tested`."""
        assert self.answered is not None
        return self.answered

    @cached_property
    def combination(self) -> str:
        """What all seeds and folds of the run's row share; `RunRecord.combination` hashes each time."""
        return self.record.combination


@dataclass(frozen=True)
class Answer:
    """What a baseline answers on one fold: its record, and its predictions, as those of a `Run`."""

    record: BaselineRecord
    answered: Answered


class Results(NamedTuple):
    """What results folders hold.

    Runs, keys with two different scores, runs that cannot be read, and what baselines answer.
    """

    runs: list[Run]
    conflicts: list[Conflict]
    unreadable: list[Unreadable]
    answers: Sequence[Answer] = ()


@uncollected()
def read_runs(folders: Iterable[Path]) -> Results:
    """Return the runs of all results folders, one a key, in the order of keys.

    Of several records with one key the newest that is ok counts, or the newest where none is. Two that are
    ok and differ in a score are a conflict, and the older is named, too. A run is unreadable, and takes no
    part, where its record is none, holds a number that is not finite, or says ok where its predictions cannot
    be scored, or have other scores than it says; so does the copy of a run under another seed, a further run
    with the seed of one, and a record whose facts of the division are not those of the others.
    """
    found: dict[str, list[Run]] = {}
    unreadable = []
    folders, tables = list(folders), _Tables()
    for folder in folders:
        # All records, then all predictions: by turns, each would drive the other out of the CPU's caches.
        for path, record in list(_records(folder)):
            if isinstance(record, DataError):
                unreadable.append(_unreadable(folder, path.parent, record))
                continue
            try:
                run = tables.of_run(path, record)
            except DataError as error:
                unreadable.append(_unreadable(folder, path.parent, error, record.combination))
            else:
                found.setdefault(run.record.key, []).append(run)
    runs, conflicts = [], []
    for key in sorted(found):
        taken, *others = sorted(
            found[key], key=lambda run: (run.record.status == "ok", run.record.finished), reverse=True
        )
        runs.append(taken)
        for other in others:
            if other.record.status != "ok" or other.record.metrics == taken.record.metrics:
                continue
            taken_mse, other_mse = (run.record.metrics.test_mse for run in (taken, other))
            conflicts.append(
                Conflict(
                    key=key,
                    backbone=taken.record.backbone,
                    head=taken.record.head,
                    seed=taken.record.seed,
                    taken_test_mse=taken_mse,
                    other_test_mse=other_mse,
                )
            )
            why = f"done twice with different scores, test MSE {other_mse}, and {taken_mse} in the newer one"
            unreadable.append(_unreadable(other.folder.parents[1], other.folder, DataError(why)))
    copied = {copy.key: told(like) for copy, like in copies(run.record for run in runs)}
    copied |= {one.record.key: told_twice(like.record) for one, like in repeated(runs)}
    copied |= {one.key: reason for one, reason in contradicting((run.record, run.images) for run in runs)}
    for run in runs:
        if reason := copied.get(run.record.key):
            where = run.folder.parents[1]
            unreadable.append(_unreadable(where, run.folder, DataError(reason), run.combination))
    runs = [run for run in runs if run.record.key not in copied]
    return Results(runs, conflicts, unreadable, _answers(folders, runs, tables))


def _answers(folders: Sequence[Path], runs: Sequence[Run], tables: _Tables) -> list[Answer]:
    """Return what baselines answer for the images of the runs, each once; not what cannot be read."""
    ranges = {fold_of(run.record): run.record for run in runs}
    found: dict[str, Answer] = {}
    for folder in folders:
        for key in baseline_keys(folder):
            record = None if key in found else read_baseline(folder, key)
            like = ranges.get(fold_of(record)) if record else None
            if record is None or like is None:
                continue
            path = baseline_folder(folder, key) / PREDICTIONS
            try:
                found[key] = Answer(record, tables.answer(path, record, like))
            except DataError:
                continue
    return [found[key] for key in sorted(found)]


class Kept(NamedTuple):
    """What a results folder holds, without a look at predictions.

    The keys of the runs that need not run again, and the records that cannot be read.
    """

    done: frozenset[str]
    unreadable: list[Unreadable]


def kept_records(out: Path) -> Kept:
    """Return what the records of a results folder say; each is read once."""
    done, unreadable = set(), []
    for path, record in _records(out):
        if isinstance(record, DataError):
            unreadable.append(_unreadable(out, path.parent, record))
        elif counts_as_done(record):
            done.add(record.key)
    return Kept(frozenset(done), unreadable)


def _records(out: Path) -> Iterator[tuple[Path, RunRecord | DataError]]:
    """Yield the file of each run's record, and the record, or why it cannot be read or is another run's."""
    for key in keys_in(out):
        path = run_folder(out, key) / RECORD
        try:
            yield path, read_record(out, key) or DataError(f"{path}: it is gone")
        except DataError as error:
            yield path, error


class _Tables:
    """Reads the predictions of runs; images that several runs have are kept once."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, ...], ...], NamedImages] = {}
        self._last: tuple[dict[str, list[str]], NamedImages] | None = None
        self._truths: KnownColumns = {}

    def of_run(self, path: Path, record: RunRecord) -> Run:
        """Return the run of a record and its file. Raises DataError for one that cannot be scored."""
        predictions = path.parent / PREDICTIONS
        if record.status != "ok" or (not predictions.exists() and PREDICTIONS not in record.files):
            return Run(record, path.parent)
        parsed = parsed_predictions(predictions, record.targets, self._truths)
        images = self._images(parsed.texts)
        test = _answered(predictions, parsed, images, record)
        val = _val(parsed, images, record)
        if record.files:
            if parsed.sha256 != record.files.get(PREDICTIONS):
                changed = "not the file that the record names: it was changed or cut off"
                raise DataError(f"{predictions}: {changed}")
            if val.empty and record.split.n_val:
                raise DataError(f"{predictions}: its val images are not those that the record counts")
            check_scores(record, val.to_numpy(), test.both)
        spread, known = _spread(parsed, images, val, record), images.digest(_both(parsed.numbers, record)[0])
        known = known if record.files else ""  # of an older folder nothing can be compared
        return Run(record, path.parent, test, val, images.groups, spread, known)

    def answer(self, path: Path, record: BaselineRecord, like: RunRecord) -> Answered:
        """Return the test images of a baseline's predictions, whose ranges are those of a run.

        Raises DataError for what cannot be scored, and for scores that are others.
        """
        parsed = parsed_predictions(path, like.targets, self._truths)
        images = self._images(parsed.texts)
        test, val = _answered(path, parsed, images, like), _val(parsed, images, like)
        check_means(record.metrics, val.to_numpy(), test.error)
        return test

    def _images(self, texts: dict[str, list[str]]) -> NamedImages:
        if self._last is None or self._last[0] != texts:  # mostly they are those of the run before
            key = ((*texts,), *map(tuple, texts.values()))
            if key not in self._known:
                self._known[key] = NamedImages(texts)
            self._last = texts, self._known[key]
        return self._last[1]


def _answered(path: Path, parsed: Parsed, images: NamedImages, record: RunRecord) -> Answered:
    """Return `Run.answered`. Raises DataError for predictions that are not those of the test images."""
    rows = images.rows["test"]
    if len(rows) != record.split.n_test:
        raise DataError(f"{path}: {len(rows)} test images, the record says {record.split.n_test}")
    if not images.is_unique["test"]:
        raise DataError(f"{path}: a test image is there twice")
    spread = np.array(record.target_high) - np.array(record.target_low)
    numbers = _of_side(parsed, images, "test")
    truth, prediction = _both(numbers, record)
    if spread.shape != truth.shape[1:] or not (spread > 0).all():
        raise DataError(f"{path.parent / RECORD}: target_low and target_high are no ranges of the targets")
    known = _known(truth, record, "test")
    with np.errstate(over="ignore"):  # told below
        error = None if known is None else image_errors((prediction - truth) / spread, known)
    if error is None or not np.isfinite(error).all():
        raise DataError(f"{path}: a target or prediction is not a finite number")
    texts, groups = images.of_side["test"], images.test_groups
    return Answered(texts, groups, parsed.names, numbers, error, len(record.targets))


def _of_side(parsed: Parsed, images: NamedImages, side: Side) -> np.ndarray:
    # Columns stay together in memory: sums keep their last digits.
    return parsed.numbers.T[:, images.rows[side]].T


def _both(numbers: np.ndarray, record: RunRecord) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction, float64 (n, T) each, of rows of `Parsed.numbers`."""
    end = 2 * len(record.targets)
    return numbers[:, 0:end:2], numbers[:, 1:end:2]


def _known(truth: np.ndarray, record: RunRecord, side: Side) -> np.ndarray | None:
    """Return where a side has a truth, bool (n, T); None where that is not as the record says."""
    known = ~np.isnan(truth)
    counts = dict(zip(record.targets, known.sum(axis=0).tolist(), strict=True))
    return known if counts == record.split.known_on(side, record.targets) else None


def _val(parsed: Parsed, images: NamedImages, record: RunRecord) -> pd.DataFrame:
    """Return `Run.val`."""
    rows = images.rows["val"]
    truth, prediction = _both(_of_side(parsed, images, "val"), record)
    residuals = (prediction - truth) / (np.array(record.target_high) - np.array(record.target_low))
    known = _known(truth, record, "val")
    finite = known is not None and bool(np.isfinite(residuals[known]).all())
    if len(rows) != record.split.n_val or not images.is_unique["val"] or not finite:
        return _NO_TABLE
    return pd.DataFrame(residuals, images.of_side["val"].index, images.columns(record.targets))


def _spread(parsed: Parsed, images: NamedImages, val: pd.DataFrame, record: RunRecord) -> pd.DataFrame:
    """Return `Run.val_spread`."""
    n = 2 * len(record.targets)
    if parsed.numbers.shape[1] == n or val.empty:
        return _NO_TABLE
    spread = parsed.numbers[images.rows["val"], n:]
    ranges = np.array(record.target_high) - np.array(record.target_low)
    return pd.DataFrame(spread / ranges, index=val.index, columns=val.columns)


def _unreadable(out: Path, folder: Path, error: DataError, combination: str = "") -> Unreadable:
    # The run's folder is named already.
    reason = str(error).replace(f"{folder}{os.sep}", "")
    key, told = one_line(folder.name, _REASON), one_line(reason, _REASON)
    return Unreadable(folder=str(out), key=key, reason=told, combination=combination)
