"""Two answers without a model that any run should beat."""

from __future__ import annotations

import numpy as np
from pydantic import ValidationError

from quadzoo.data.splits import Split
from quadzoo.errors import DataError
from quadzoo.metrics import scores_of
from quadzoo.records.baseline import LOOKUP, MEAN
from quadzoo.records.record import Metrics
from quadzoo.targets import TargetInfo


def simple_answers(targets: np.ndarray, content_ids: np.ndarray, split: Split) -> dict[str, np.ndarray]:
    """Return what ``mean-of-train`` and ``pixel-lookup`` answer for every image, float64 (N, T) each.

    ``targets`` are float64 (N, T) in original units; ``content_ids`` int64 (N,) numbers identical images
    alike. ``pixel-lookup`` answers with the mean label of the identical training images, else with the mean
    of all: where it beats ``mean-of-train``, the split leaks.
    """
    mean = targets[split.train].mean(axis=0)
    known = content_ids[split.train]
    count = np.bincount(known, minlength=int(content_ids.max()) + 1)
    totals = np.zeros((len(count), targets.shape[1]))
    np.add.at(totals, known, targets[split.train])
    lookup = np.where(count[:, None] > 0, totals / np.maximum(count, 1)[:, None], mean)[content_ids]
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
        largest = float(np.abs(targets).max())
        raise DataError(
            f"targets as large as {largest:g} cannot be scored: their squares overflow; scale them down"
        ) from error
