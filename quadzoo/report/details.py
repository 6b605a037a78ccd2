"""The details of a row: learning curves, errors over each target's range and by kind, the worst images."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd

from quadzoo.records.predictions import of_targets
from quadzoo.records.record import N_WORST, RunRecord
from quadzoo.report.results import Run
from quadzoo.report.rows import Bin, Curve, Details, Kind, Worst

_BINS = 10  # of each target


def details_of(runs: list[Run]) -> Details:
    """Return the details of a combination's runs with predictions."""
    if not runs:
        return Details()
    everything = pd.concat([run.test for run in runs])
    record = runs[0].record
    seed, worst = _worst(runs)
    return Details(
        curves=[_curve(run.record) for run in runs],
        kinds=_kinds(everything, record),
        bins={target: _bins(everything, target) for target in record.targets},
        worst=worst,
        worst_seed=seed,
    )


def _curve(record: RunRecord) -> Curve:
    return Curve(
        seed=record.seed,
        fold=record.split.fold,
        best_epoch=record.best_epoch,
        train_mse=[epoch.train_mse for epoch in record.history],
        val_mse=[epoch.val_mse for epoch in record.history],
    )


def _kinds(tests: pd.DataFrame, record: RunRecord) -> list[Kind]:
    if "image_kind" not in tests:
        return []
    truth, prediction = of_targets(tests, record.targets)
    exact = pd.Series((np.rint(prediction) == truth).all(axis=1), index=tests.index)
    return [
        Kind(
            kind=str(kind),
            n=members.index.nunique(),
            test_mse=float(members["error"].mean()),
            test_exact=float(exact[tests["image_kind"] == kind].mean())
            if all(record.target_integer)
            else None,
        )
        for kind, members in tests.groupby("image_kind")
    ]


def _bins(tests: pd.DataFrame, target: str) -> list[Bin]:
    """Cut the range of the truth into equal bins and return those that have images."""
    truth = tests[target].to_numpy(dtype=float)
    squared = (tests[f"{target}_pred"].to_numpy(dtype=float) - truth) ** 2
    edges = np.linspace(truth.min(), truth.max(), _BINS + 1)
    place = np.clip(np.digitize(truth, edges) - 1, 0, _BINS - 1)
    return [
        Bin(
            low=float(edges[index]),
            high=float(edges[index + 1]),
            n=tests.index[place == index].nunique(),
            rmse=float(np.sqrt(squared[place == index].mean())),
        )
        for index in range(_BINS)
        if (place == index).any()
    ]


def _worst(runs: list[Run]) -> tuple[int, list[Worst]]:
    """Return the seed with the best mean val MSE, and the images of all its folds with the largest errors."""
    by_seed: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        by_seed[run.record.seed].append(run)
    seed = min(
        by_seed, key=lambda seed: (np.mean([run.record.metrics.val_mse for run in by_seed[seed]]), seed)
    )
    worst = [
        Worst(
            id=identity,
            error=run.test["error"][identity],
            truth={target: run.test[target][identity] for target in run.record.targets},
            prediction={target: run.test[f"{target}_pred"][identity] for target in run.record.targets},
            run=run.record.key,
            position=position,
        )
        for run in by_seed[seed]
        for position, identity in enumerate(run.record.worst)
        if identity in run.test.index
    ]
    return seed, sorted(worst, key=lambda one: -one.error)[:N_WORST]
