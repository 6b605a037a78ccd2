"""What a record says against its own predictions, and against the other records of its data and split."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from quadzoo.errors import DataError
from quadzoo.metrics import mse_of
from quadzoo.records.baseline import BaselineRecord
from quadzoo.records.record import PREDICTIONS, Metrics, RunRecord, sha256_of
from quadzoo.report.scores import differences, scores_as

_TOLD = ("leaked", "n_train", "folds")  # of the division, above the table
_NOTHING = 1e-15  # an MSE
_ROUNDING = 1e-6  # relative: predictions may have been scored by other versions


def fold_of(record: RunRecord | BaselineRecord) -> tuple[object, ...]:
    """Return what stands for the images and targets of a fold."""
    return record.data.hash, *record.targets, record.split.hash, record.split.fold


def wrong_scores(
    record: RunRecord,
    val: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    tolerance: float,
) -> list[tuple[str, float | None, float | None]]:
    """Return each score that a record has wrong by its predictions, as `differences` yields them.

    ``val`` and ``test`` are truth and prediction of each side in original units, float64 (n, T) each. Raises
    DataError for predictions that cannot be scored.
    """
    try:
        found = Metrics.of(*(scores_as(record, *side) for side in (val, test)))
    except ValidationError as error:
        reason = "a target or prediction is not a finite number, or too large to be scored"
        raise DataError(f"{PREDICTIONS}: {reason}") from error
    return list(differences(record.metrics, found, tolerance))


def check_scores(
    record: RunRecord, val: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
) -> None:
    """Check that a record's scores are those of its predictions, which are as for `wrong_scores`.

    They are float64 (n, T). Raises DataError where scores are others.
    """
    for name, said, own in wrong_scores(record, val, test, _ROUNDING):
        told, made = ("empty" if value is None else f"{value:.6g}" for value in (said, own))
        raise DataError(f"{name} is {told} in the record, but {made} by its {PREDICTIONS}: one was changed")


def check_means(metrics: Metrics, val: np.ndarray, test: np.ndarray) -> None:
    """Check that val and test MSE are those of predictions.

    ``val`` are residuals as in `check_scores`, ``test`` what each test image adds to the MSE, float64 (N,).
    Raises DataError where they are not.
    """
    found = [(metrics.test_mse, float(test.mean()))]
    if val.size:
        found.append((metrics.val_mse, mse_of(val)))
    for said, own in found:
        if said is None or not math.isclose(said, own, rel_tol=_ROUNDING, abs_tol=_NOTHING):
            raise DataError(f"an MSE is {said} in the record, but {own:.6g} by its {PREDICTIONS}")


def check_whole(path: Path, record: RunRecord) -> None:
    """Check that predictions are the file that a record names. Raises DataError where they are not."""
    try:
        same = sha256_of(path) == record.files.get(PREDICTIONS)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if not same:
        raise DataError(f"{path}: not the file that the record names: it was changed or cut off")


def contradicting(records: Iterable[RunRecord]) -> Iterator[tuple[RunRecord, str]]:
    """Yield each record whose facts of the division are not those of most records of it, and why.

    The facts stand above the table, so that one record would speak for all. Of as many on both sides those
    are believed that speak against the division: leaks first.
    """
    divisions: dict[tuple[object, ...], list[RunRecord]] = defaultdict(list)
    for record in (one for one in records if one.status == "ok"):
        divisions[fold_of(record)].append(record)
    for members in divisions.values():
        same: dict[str, list[RunRecord]] = defaultdict(list)
        for record in members:
            same[json.dumps(_told(record))].append(record)
        most, *others = sorted(same.values(), key=_weight, reverse=True)
        for some in others:
            for record in some:
                said, usual = _told(record), _told(most[0])
                name = next(name for name in said if said[name] != usual[name])
                known = f"{usual[name]} in {len(most)} other{'s' * (len(most) > 1)} of this division"
                yield record, f"{name} is {said[name]} in its record, but {known}"


def _weight(records: list[RunRecord]) -> tuple[int, ...]:
    facts = records[0].split
    return len(records), facts.leaked, records[0].data.duplicates, -facts.n_train, facts.folds


def _told(record: RunRecord) -> dict[str, int]:
    facts = record.split.model_dump()
    return {f"split.{name}": facts[name] for name in _TOLD} | {"data.duplicates": record.data.duplicates}
