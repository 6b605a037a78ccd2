"""Score a run's predictions, and two answers without a model that any run should beat."""

from __future__ import annotations

import numpy as np

from quadzoo.data.splits import Split
from quadzoo.metrics import Scores, evaluate
from quadzoo.records.record import Metrics
from quadzoo.targets import TargetInfo


def score(val: np.ndarray, test: np.ndarray, targets: np.ndarray, split: Split, info: TargetInfo) -> Metrics:
    """Score predictions (n_val, T) and (n_test, T) against ``targets`` (N, T), all in original units."""
    return Metrics.of(scores_of(val, targets[split.val], info), scores_of(test, targets[split.test], info))


def scores_of(prediction: np.ndarray, truth: np.ndarray, info: TargetInfo) -> Scores:
    """Score predictions against the truth, both (N, T) in original units."""
    return evaluate(prediction, truth, names=info.names, low=info.low, high=info.high, integer=info.integer)


def baselines(targets: np.ndarray, pixels: np.ndarray, split: Split, info: TargetInfo) -> dict[str, Metrics]:
    """Score ``mean-of-train`` and ``pixel-lookup`` on ``targets`` (N, T), in original units.

    ``pixels`` (N,) numbers identical images alike. ``pixel-lookup`` answers with the mean label of the
    identical training images, else with the mean of all: where it beats ``mean-of-train``, the split leaks.
    """
    mean = targets[split.train].mean(axis=0)
    known = pixels[split.train]
    count = np.bincount(known, minlength=int(pixels.max()) + 1)
    totals = np.zeros((len(count), targets.shape[1]))
    np.add.at(totals, known, targets[split.train])
    lookup = np.where(count[:, None] > 0, totals / np.maximum(count, 1)[:, None], mean)[pixels]
    everywhere = np.broadcast_to(mean, targets.shape)
    return {
        name: score(answer[split.val], answer[split.test], targets, split, info)
        for name, answer in (("mean-of-train", everywhere), ("pixel-lookup", lookup))
    }
