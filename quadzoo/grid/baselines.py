"""Two answers without a model that any run should beat."""

from __future__ import annotations

import numpy as np
from pydantic import ValidationError

from quadzoo.data.splits import Split
from quadzoo.errors import DataError
from quadzoo.metrics import Scores, scores_of
from quadzoo.records.record import Metrics
from quadzoo.targets import TargetInfo


def baselines(
    targets: np.ndarray, content_ids: np.ndarray, split: Split, info: TargetInfo
) -> dict[str, Metrics]:
    """Score ``mean-of-train`` and ``pixel-lookup`` on ``targets``, float64 (N, T) in original units.

    ``content_ids`` int64 (N,) numbers identical images alike. ``pixel-lookup`` answers with the mean label of
    the identical training images, else with the mean of all: where it beats ``mean-of-train``, the split
    leaks. Raises DataError for targets so large that their errors cannot be computed.
    """
    mean = targets[split.train].mean(axis=0)
    known = content_ids[split.train]
    count = np.bincount(known, minlength=int(content_ids.max()) + 1)
    totals = np.zeros((len(count), targets.shape[1]))
    np.add.at(totals, known, targets[split.train])
    lookup = np.where(count[:, None] > 0, totals / np.maximum(count, 1)[:, None], mean)[content_ids]
    everywhere = np.broadcast_to(mean, targets.shape)

    def scores(answer: np.ndarray, side: np.ndarray) -> Scores:
        with np.errstate(over="ignore", invalid="ignore"):
            return scores_of(answer[side], targets[side], info)

    try:
        return {
            name: Metrics.of(scores(answer, split.val), scores(answer, split.test))
            for name, answer in (("mean-of-train", everywhere), ("pixel-lookup", lookup))
        }
    except ValidationError as error:
        largest = float(np.abs(targets).max())
        raise DataError(
            f"targets as large as {largest:g} cannot be scored: their squares overflow; scale them down"
        ) from error
