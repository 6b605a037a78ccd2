"""What a record says against its own predictions, and against the other records of its data and split."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from pydantic import ValidationError

from quadzoo.errors import DataError
from quadzoo.metrics import mse_of
from quadzoo.records.baseline import BaselineRecord
from quadzoo.records.record import PREDICTIONS, Metrics, RunRecord
from quadzoo.report.scores import differences, scores_as

_TOLD = ("leaked", "leaky", "n_train", "folds")  # of the division, above the table
_NOTHING = 1e-15  # an MSE
_ROUNDING = 1e-6  # relative: predictions may have been scored by other versions


def fold_of(record: RunRecord | BaselineRecord) -> tuple[object, ...]:
    """Return what stands for the images and targets of a fold."""
    return record.data.hash, *record.targets, record.split.hash, record.split.fold


def wrong_scores(
    record: RunRecord, val: np.ndarray, test: tuple[np.ndarray, np.ndarray], tolerance: float
) -> list[tuple[str, float | None, float | None]]:
    """Return each score that a record has wrong by its predictions, as `differences` yields them.

    ``val`` are the residuals of val images in the scaled unit, float64 (n_val, T), NaN where a truth is
    missing, ``test`` truth and prediction of test images in original units, float64 (n_test, T) each. Raises
    DataError for predictions that cannot be scored.
    """
    scores = scores_as(record, *test)
    try:
        found = Metrics.of({**scores, "mse": mse_of(val)}, scores)
    except ValidationError as error:
        reason = "a target or prediction is not a finite number, or too large to be scored"
        raise DataError(f"{PREDICTIONS}: {reason}") from error
    return list(differences(record.metrics, found, tolerance))


def check_scores(record: RunRecord, val: np.ndarray, test: tuple[np.ndarray, np.ndarray]) -> None:
    """Check that a record's scores are those of its predictions.

    ``val``, float64 (n_val, T), and ``test``, float64 (n_test, T) each, are as for `wrong_scores`. Raises
    DataError where scores are others.
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


def contradicting(records: Iterable[tuple[RunRecord, str]]) -> Iterator[tuple[RunRecord, str]]:
    """Yield each record whose facts of the division are not those of most records of it, and why.

    With each record comes a hash of the images of its predictions, of their groups and of their truth.
    The facts stand above the table, so that one record would speak for all. Of as many on both sides those
    are believed that speak against the division: leaks first.
    """
    divisions: dict[tuple[object, ...], list[tuple[RunRecord, str]]] = defaultdict(list)
    for record, images in records:
        if record.status == "ok":
            divisions[fold_of(record)].append((record, images))
    for members in divisions.values():
        for record, usual, n in _fewer((record, json.dumps(_told(record))) for record, _ in members):
            said, most = _told(record), _told(usual)
            name = next(name for name in said if said[name] != most[name])
            yield record, f"{name} is {said[name]} in its record, but {most[name]} in {_others(n)}"
        for record, _, n in _fewer((record, images) for record, images in members if images):
            yield record, f"{PREDICTIONS} has other images, groups or true values than {_others(n)}"


def _fewer(said: Iterable[tuple[RunRecord, str]]) -> Iterator[tuple[RunRecord, RunRecord, int]]:
    """Yield each record that says something else than most do, one of these, and how many they are."""
    same: dict[str, list[RunRecord]] = defaultdict(list)
    for record, text in said:
        same[text].append(record)
    most, *others = sorted(same.values(), key=_weight, reverse=True) or [[]]
    for record in (one for some in others for one in some):
        yield record, most[0], len(most)


def _others(n: int) -> str:
    return f"{n} other{'s' * (n > 1)} of this division"


def _weight(records: list[RunRecord]) -> tuple[int, ...]:
    facts = records[0].split
    return len(records), facts.leaked, records[0].data.duplicates, -facts.n_train, facts.folds


def _told(record: RunRecord) -> dict[str, Any]:
    facts = record.split.model_dump()
    return {
        **{f"split.{name}": facts[name] for name in _TOLD},
        "data.duplicates": record.data.duplicates,
        "target_low": record.target_low,
        "target_high": record.target_high,
    }
