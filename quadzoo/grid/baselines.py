"""Two answers without a model that any run should beat."""

from __future__ import annotations

import numpy as np
from pydantic import ValidationError

from quadzoo.data.splits import Split
from quadzoo.errors import DataError
from quadzoo.metrics import means, scores_of
from quadzoo.records.baseline import LOOKUP, MEAN
from quadzoo.records.record import Metrics
from quadzoo.targets import TargetInfo


def simple_answers(targets: np.ndarray, content_ids: np.ndarray, split: Split) -> dict[str, np.ndarray]:
    """Return what ``mean-of-train`` and ``pixel-lookup`` answer for every image, float64 (N, T) each.

    ``targets`` are float64 (N, T) in original units, NaN where one is missing; ``content_ids`` int64 (N,)
    numbers identical images alike. ``pixel-lookup`` answers with the mean label of the identical training
    images that have it, else with the mean of all that do: where it beats ``mean-of-train``, the split leaks.
    """
    train = targets[split.train]
    known = ~np.isnan(train)
    mean = means(train, known)
    seen = content_ids[split.train]
    count, totals = np.zeros((2, int(content_ids.max()) + 1, targets.shape[1]))
    np.add.at(count, seen, known)
    np.add.at(totals, seen, np.where(known, train, 0.0))
    lookup = np.where(count > 0, totals / np.maximum(count, 1), mean)[content_ids]
    return {MEAN: np.broadcast_to(mean, targets.shape), LOOKUP: lookup}


def scored(answer: np.ndarray, targets: np.ndarray, split: Split, info: TargetInfo) -> Metrics:
    """Score an answer on val and test; both arrays are float64 (N, T) in original units.

    Raises DataError for targets so large that their errors cannot be computed.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return Metrics.of(
                *(scores_of(answer[side], targets[side], info) for side in (split.val, split.test))
            )
    except ValidationError as error:
        largest = float(np.nanmax(np.abs(targets)))
        raise DataError(
            f"targets as large as {largest:g} cannot be scored: their squares overflow; scale them down"
        ) from error
