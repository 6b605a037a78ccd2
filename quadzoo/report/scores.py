"""Scores of predictions in the unit of a record, and the scores of several runs as one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from quadzoo.metrics import Scores, evaluate, means, variances
from quadzoo.records.facts import SplitFacts
from quadzoo.records.record import Metrics, RunRecord

if TYPE_CHECKING:
    from quadzoo.report.results import Run

Truths = Mapping[int, Mapping[str, tuple[float, float]]]
"""Mean and variance of each target over the test images of a fold, by the fold's number."""


def scores_as(record: RunRecord, truth: np.ndarray, prediction: np.ndarray) -> Scores:
    """Score predictions, float64 (N, T) in original units as the truth is, by the ranges of a record."""
    return evaluate(
        prediction,
        truth,
        names=record.targets,
        low=record.target_low,
        high=record.target_high,
        integer=record.target_integer,
    )


def truths_of(runs: Iterable[Run]) -> Truths:
    """Return mean and variance of the truth of each fold, from its first run with predictions.

    All runs of a fold are tested on the same images. A fold without predictions is left out.
    """
    found: dict[int, dict[str, tuple[float, float]]] = {}
    for run in runs:
        if run.record.split.fold not in found and run.is_tested:
            truth, _ = run.answers
            known = ~np.isnan(truth)
            both = zip(means(truth, known).tolist(), variances(truth, known).tolist(), strict=True)
            found[run.record.split.fold] = dict(zip(run.record.targets, both, strict=True))
    return found


def pooled(scored: list[tuple[Metrics, SplitFacts]], truths: Truths) -> dict[str, Any]:
    """Average every score over runs, each weighted by its images: folds may differ by one or two.

    Scores of a target are weighted by the images that have it, ``test_exact`` by those that have all. R² of
    several folds is that of all their test images, whose ``truths`` are given.
    """
    splits = [split for _, split in scored]
    found = {
        name: _average(name, [getattr(one, name) for one, _ in scored], splits)
        for name in (Metrics.model_fields if scored else ())
    }
    if len({split.fold for split in splits}) > 1 and found["test_r2"] and found["test_rmse"]:
        found["test_r2"] = {
            target: _r2_of_folds(scored, truths, target, rmse) for target, rmse in found["test_rmse"].items()
        }
    return found


def _r2_of_folds(
    scored: Sequence[tuple[Metrics, SplitFacts]], truths: Truths, target: str, rmse: float
) -> float | None:
    """Return the R² of a target over all test images of some folds; None where it does not vary.

    The squares are around the mean of all these images. Around each fold's own they would be fewer, and R²
    of a few images a fold too low. That is taken where no predictions are kept that tell the means.
    """
    if any(target not in truths.get(split.fold, {}) for _, split in scored):
        return _r2_around_folds(scored, target, rmse)
    weights = [_weight("test_r2", split, target) for _, split in scored]
    # Of a fold where no image has the target they are NaN, and weigh nothing.
    of_folds = np.nan_to_num([truths[split.fold][target] for _, split in scored])
    centre = np.average(of_folds[:, 0], weights=weights)
    variance = np.average(of_folds[:, 1] + (of_folds[:, 0] - centre) ** 2, weights=weights)
    return float(1 - rmse**2 / variance) if variance > 0 else None


def _r2_around_folds(scored: Sequence[tuple[Metrics, SplitFacts]], target: str, rmse: float) -> float | None:
    """Return the R² of a target around the means of the folds, from the scores of the folds alone.

    Each fold's variance follows from its scores; one without R² has none. None where the target varies in no
    fold.
    """
    spreads, weights = [], []
    for metrics, split in scored:
        own, r2 = (metrics.test_rmse or {})[target], (metrics.test_r2 or {})[target]
        if r2 == 1:  # without an error the variance cannot be told
            continue
        spreads.append(0.0 if r2 is None else own**2 / (1 - r2))
        weights.append(_weight("test_r2", split, target))
    if any(spreads):
        return 1 - rmse**2 / float(np.average(spreads, weights=weights))
    return None if spreads else 1.0


def differences(
    said: Metrics, found: Metrics, tolerance: float
) -> Iterator[tuple[str, float | None, float | None]]:
    """Yield the name of each score that differs by more than a relative ``tolerance``, and both values."""
    recomputed = _flat(found)
    for name, value in _flat(said).items():
        other = recomputed.get(name)
        if value is None or other is None:
            same = value is other
        else:
            # R² is a difference from 1, and rounded like that: near 0, that of the mean is all rounding.
            nothing = tolerance if "r2" in name else 1e-15
            same = abs(value - other) <= nothing + tolerance * abs(other)
        if not same:
            yield name, value, other


def _flat(metrics: Metrics) -> dict[str, float | None]:
    flat: dict[str, float | None] = {}
    for name, value in metrics.model_dump().items():
        if isinstance(value, dict):
            flat |= {f"{name} of {target}": one for target, one in value.items()}
        else:
            flat[name] = value
    return flat


def _average(
    name: str, values: Sequence[Any], splits: Sequence[SplitFacts], target: str | None = None
) -> Any:
    """Return the weighted mean of a score, or of each target's; None where a run has none."""
    if any(value is None for value in values):
        return None
    if isinstance(values[0], dict):
        return {key: _average(name, [one.get(key) for one in values], splits, key) for key in values[0]}
    weights = [_weight(name, split, target) for split in splits]
    if name.endswith("rmse"):  # the mean of the squares, of which it is the root
        return math.sqrt(fmean([value**2 for value in values], weights))
    # Rounding must not put a mean of largest values beyond what a row may have.
    return min(max(fmean(values, weights), min(values)), max(values))


def _weight(name: str, split: SplitFacts, target: str | None) -> int:
    """Return how many images a score is a mean over."""
    if name.startswith("val_"):
        return split.n_val
    if target is not None:
        return split.known_on("test", [target])[target]
    return split.known.complete if split.known and name == "test_exact" else split.n_test


def mean_absolute(
    answers: Sequence[tuple[np.ndarray, np.ndarray]], targets: Sequence[str]
) -> dict[str, float] | None:
    """Return the mean absolute error of each target over the images that have it; None without any answer.

    ``answers`` are truth and prediction, float64 (N, T) each.
    """
    if not answers:
        return None
    truth, prediction = (np.concatenate(side) for side in zip(*answers, strict=True))
    error = means(np.abs(prediction - truth), ~np.isnan(truth))
    return dict(zip(targets, error.tolist(), strict=True))
