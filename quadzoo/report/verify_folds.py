"""Check what records say of their data, split and baselines against each other, and against predictions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from quadzoo.errors import DataError
from quadzoo.metrics import variances
from quadzoo.records.baseline import BASELINE, LOOKUP, MEAN, RIDGE_FEATURES, BaselineRecord
from quadzoo.records.facts import DataFacts, Side, SplitFacts
from quadzoo.records.predictions import columns_of, of_targets, read_predictions
from quadzoo.records.record import PREDICTIONS, Metrics, RunRecord, sha256_of
from quadzoo.report.scores import differences, scores_as
from quadzoo.storage import read_regular

_TOLERANCE = 1e-9  # relative: rounding in another order
_FITTED = 1e-6  # the same, of what was fitted again by another version of a library
_RECORD_BYTES = 64 << 20
_FACTS = ("folds", "n_train", "n_val", "n_test", "leaked", "leaky")

Found = Iterator[tuple[str, str]]
"""Where something does not match, and what."""


class _Place(NamedTuple):
    """A fold of a split of some data."""

    data: str
    split: str
    fold: int

    @classmethod
    def of(cls, data: DataFacts, split: SplitFacts) -> _Place:
        """Return the fold with all its training images: all shares of them have the same val and test."""
        return cls(data.hash, split.whole, split.fold)


class Folds:
    """The val and test images of each fold: groups and truth as the first run has them."""

    def __init__(self) -> None:
        self._first: dict[_Place, tuple[str, pd.DataFrame]] = {}
        self._leaked: dict[tuple[_Place, int, bool], tuple[int, bool]] = {}
        self._as_written: dict[_Place, tuple[list[list[str]], list[str], np.ndarray]] = {}

    def compare(self, record: RunRecord | BaselineRecord, table: pd.DataFrame) -> Iterator[str]:
        """Yield how images and truth of a record's predictions differ from the first ones of its fold."""
        truth = [*columns_of(record.targets).values()]
        place = _Place.of(record.data, record.split)
        images, values = (
            [table[name].tolist() for name in ("split", "id", "image_group")],
            table[truth].to_numpy(),
        )
        first_images, first_truth, first_values = self._as_written.setdefault(place, (images, truth, values))
        if (
            place in self._first
            and (images, truth) == (first_images, first_truth)
            and np.array_equal(values, first_values, equal_nan=True)
        ):
            return  # as of nearly all runs, without sorting
        table = table.sort_values(["split", "id"], ignore_index=True)[["split", "id", "image_group", *truth]]
        if place not in self._first:
            self._first[place] = record.key, table
            return
        first_key, first = self._first[place]
        same = f"{PREDICTIONS} has other {{}} than {first_key}, which has the same split"
        if not table[["split", "id"]].equals(first[["split", "id"]]):
            yield same.format("images")
        elif not set(truth) <= {*first.columns}:
            yield same.format("targets")
        elif not table["image_group"].equals(first["image_group"]):
            yield same.format("groups of images")
        elif (wrong := (table[truth].fillna(np.inf) != first[truth].fillna(np.inf)).any(axis=1)).any():
            yield same.format(f"true values of image {table['id'][wrong].iloc[0]}")

    def table(self, data: DataFacts, split: SplitFacts) -> pd.DataFrame | None:
        """Return the images of a fold, in the order of split and id; None where no run has predicted them."""
        found = self._first.get(_Place.of(data, split))
        return found and found[1]

    def leaked(self, data: DataFacts, split: SplitFacts) -> tuple[int, bool]:
        """Return how many test images share a group with an image outside of test, and whether that is all.

        predictions.csv does not name the images of train. Where all folds have been predicted they are known
        all the same: each image is in the test images of one fold. Asked once all runs have been compared.
        """
        key = _Place.of(data, split), split.folds, split.train_share == 1
        if key not in self._leaked:
            self._leaked[key] = self._count_leaked(data, split)
        return self._leaked[key]

    def _count_leaked(self, data: DataFacts, split: SplitFacts) -> tuple[int, bool]:
        table = self.table(data, split)
        if table is None:
            return 0, False
        sides = {side: part["image_group"] for side, part in table.groupby("split")}
        test, others = sides.get("test", pd.Series(dtype=str)), [sides.get("val", pd.Series(dtype=str))]
        # Of the folds that there are: how many there should be is a record's word, and may be any number.
        tables = {
            place.fold: known
            for place, (_, known) in self._first.items()
            if (place.data, place.split) == (data.hash, split.whole) and place.fold != split.fold
        }
        others += [one.query("split == 'test'")["image_group"] for one in tables.values()]
        everything = split.folds > 1 and len(tables) == split.folds - 1 and split.train_share == 1
        return int(test.isin(pd.concat(others)).sum()), everything


def fold_faults(records: Sequence[RunRecord], folds: Folds) -> Found:
    """Yield what does not match in the facts of split and data, and in the baselines that records hold."""
    first: dict[tuple[str, str, int], RunRecord] = {}
    for record in records:
        split = record.split
        for text in _leaks(record, folds):
            yield record.key, text
        for text in _related(record, folds):
            yield record.key, text
        one = first.setdefault((record.data.hash, split.hash, split.fold), record)
        for fact in _FACTS:
            said, other = getattr(split, fact), getattr(one.split, fact)
            if said != other:
                yield record.key, f"split.{fact} is {said}, that of run {one.key} with the same split {other}"
        if (record.data.n, record.data.duplicates) != (one.data.n, one.data.duplicates):
            yield record.key, f"data.n or data.duplicates differ from those of run {one.key}"
        for name in record.baselines.keys() & one.baselines.keys():
            # Others depend on the size of the images, or on weights.
            if name == MEAN or (record.image == one.image and not name.startswith(RIDGE_FEATURES)):
                for text in _unlike(name, record.baselines[name], one.baselines[name], f"run {one.key}"):
                    yield record.key, text


def _leaks(record: RunRecord, folds: Folds) -> Iterator[str]:
    split = record.split
    if split.leaky != (split.leaked > 0):
        yield f"split.leaky is {str(split.leaky).lower()}, but split.leaked is {split.leaked}"
    shared, is_all = folds.leaked(record.data, split)
    if shared > split.leaked or (is_all and shared != split.leaked):
        least = "" if is_all else "at least "
        yield (
            f"split.leaked is {split.leaked}, but {least}{shared} test images share a group with images "
            "outside of test"
        )
    mean, lookup = (record.baselines.get(name) for name in (MEAN, LOOKUP))
    if mean and lookup and not split.leaked and mean.test_mse != lookup.test_mse:
        yield (
            f"split.leaked is 0, but {LOOKUP} has another test MSE than {MEAN}: it has found test images "
            "in train"
        )


def _related(record: RunRecord, folds: Folds) -> Iterator[str]:
    """Compare the test scores of baselines with what follows from their RMSE and the truth."""
    table = folds.table(record.data, record.split)
    columns = [*columns_of(record.targets).values()]
    if table is None or not {*columns} <= {*table.columns}:
        return
    truth = table[table["split"] == "test"][columns].to_numpy()
    spread = np.array(record.target_high) - np.array(record.target_low)
    for name, metrics in record.baselines.items():
        rmse, r2 = metrics.test_rmse or {}, metrics.test_r2 or {}
        if not len(truth) or {*rmse} != {*record.targets}:
            continue
        squares = np.array([rmse[target] for target in record.targets]) ** 2
        variance = variances(truth, ~np.isnan(truth))
        expected = metrics.model_copy(
            update={
                "test_mse": float(np.mean(squares / spread**2)),
                "test_r2": {
                    target: float(1 - square / of) if of > 0 else None
                    for target, square, of in zip(record.targets, squares, variance, strict=True)
                }
                if r2
                else metrics.test_r2,
            }
        )
        yield from _unlike(name, metrics, expected, "its RMSE and the truth")


def baseline_faults(out: Path, records: Sequence[RunRecord], folds: Folds) -> Found:
    """Yield what does not match in OUT/baselines: scores by their predictions, files, and what runs say."""
    ranges = {_Place.of(record.data, record.split): record for record in records}
    found: dict[tuple[str, str, str, int], list[BaselineRecord]] = defaultdict(list)
    for path in sorted((out / "baselines").glob(f"*/{BASELINE}")):
        where = f"baselines/{path.parent.name}"
        try:
            baseline = BaselineRecord.model_validate_json(read_regular(path, _RECORD_BYTES))
        except (OSError, ValidationError) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            yield where, f"{BASELINE} is no record of a baseline ({reason})"
            continue
        split = baseline.split
        found[baseline.name, baseline.data.hash, split.hash, split.fold].append(baseline)
        for text in _baseline(path.parent, baseline, ranges.get(_Place.of(baseline.data, split)), folds):
            yield where, text
    for record in records:
        for name, said in record.baselines.items():
            kept = found.get((name, record.data.hash, record.split.hash, record.split.fold), [])
            if kept and not any(_same(said, one.metrics) for one in kept):
                of = f"baselines/{kept[0].key}"
                for text in _unlike(name, said, kept[0].metrics, of):
                    yield record.key, text


def _baseline(folder: Path, baseline: BaselineRecord, like: RunRecord | None, folds: Folds) -> Iterator[str]:
    """Check one baseline; ``like`` is a run on the same fold, whose ranges are those of the scores."""
    if baseline.key != folder.name:
        yield f"it is the record of {baseline.key}"
    path = folder / PREDICTIONS
    try:
        if (digest := sha256_of(path)) != baseline.files.get(PREDICTIONS):
            yield f"{PREDICTIONS} has SHA-256 {digest}, the record says {baseline.files.get(PREDICTIONS)}"
        table = read_predictions(path, baseline.targets)
    except (OSError, DataError) as error:
        yield f"{PREDICTIONS} cannot be read ({error})"
        return
    if like is None:  # a bench that was interrupted before its first run; nobody uses these scores
        return
    if baseline.targets != like.targets:
        yield f"its targets are not those of run {like.key}, which has the same split"
        return
    yield from folds.compare(baseline, table)
    sides = [table[table["split"] == side] for side in ("val", "test")]
    if [len(side) for side in sides] != [baseline.split.n_val, baseline.split.n_test]:
        yield f"{PREDICTIONS} has {len(sides[0])} val and {len(sides[1])} test images, the record says others"
        return
    if lacking := [*known_faults(table, baseline.split, baseline.targets)]:
        yield from lacking
        return
    val, test = (scores_as(like, *of_targets(side, like.targets)) for side in sides)
    try:
        expected = Metrics.of(val, test)
    except ValidationError:
        yield f"{PREDICTIONS}: a prediction is too large to be scored"
        return
    for name, said, score in differences(baseline.metrics, expected, _TOLERANCE):
        yield f"{name} is {said} in the record, {score} by its predictions"


def known_faults(table: pd.DataFrame, split: SplitFacts, targets: Sequence[str]) -> Iterator[str]:
    """Yield the targets that another number of a side's images have than the facts of the split say."""
    sides: tuple[Side, ...] = ("val", "test")
    for side in sides:
        truth, _ = of_targets(table[table["split"] == side], targets)
        found = (~np.isnan(truth)).sum(axis=0).tolist()
        for (target, n), count in zip(split.known_on(side, targets).items(), found, strict=True):
            if count != n and len(truth) == getattr(split, f"n_{side}"):
                yield f"{target} is known for {count} {side} images, the record says {n}"


def _same(one: Metrics, other: Metrics) -> bool:
    return not list(differences(one, other, _FITTED))


def _unlike(name: str, said: Metrics, other: Metrics, of: str) -> Iterator[str]:
    for score, value, expected in differences(said, other, _TOLERANCE):
        yield f"{score} of {name} is {value} in the record, {expected} by {of}"
