"""The details of a row: learning curves, errors by target, range, kind and group, the worst images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd

from quadzoo.metrics import exact_share, means
from quadzoo.records.predictions import of_targets
from quadzoo.records.record import N_WORST, RunRecord
from quadzoo.report.results import Run
from quadzoo.report.rows import Bin, Curve, Details, Fit, Group, Groups, Kind, Leaderboard, Worst
from quadzoo.report.scores import scores_as

_BINS = 10  # of each target
_GROUPS = 10  # with the largest errors, and as many with the smallest
_NEAR = 0.1  # of a target's range
MOST_DETAILED = 200  # rows of a table whose details are whole: as many as page and terminal show


def details_of(runs: list[Run], *, brief: bool = False) -> Details:
    """Return the details of a combination's runs with predictions; brief ones have nothing of test images."""
    if not runs:
        return Details()
    if brief:
        seed, chosen = _best_seed(runs)
        curves, keys = [_curve(run.record) for run in runs], [run.record.key for run in chosen]
        return Details(curves=curves, worst_seed=seed, runs=keys)
    everything = pd.concat([run.test for run in runs])
    images = pd.factorize(everything.index)[0]
    record = runs[0].record
    seed, chosen = _best_seed(runs)
    return Details(
        curves=[_curve(run.record) for run in runs],
        kinds=_kinds(everything, images, record),
        bins=_bins_of(everything, images, record.targets),
        fits=_fits(chosen),
        groups=_groups(everything, record),
        worst=_worst(chosen),
        worst_seed=seed,
        runs=[run.record.key for run in chosen],
    )


def _curve(record: RunRecord) -> Curve:
    return Curve(
        seed=record.seed,
        fold=record.split.fold,
        best_epoch=record.best_epoch,
        train_mse=[epoch.train_mse for epoch in record.history],
        val_mse=[epoch.val_mse for epoch in record.history],
    )


def _kinds(tests: pd.DataFrame, images: np.ndarray, record: RunRecord) -> list[Kind]:
    """Return the scores by kind; ``images`` int64 (N,) gives each image a number."""
    if "image_kind" not in tests:
        return []
    codes, kinds = pd.factorize(tests["image_kind"], sort=True)
    truth, prediction = of_targets(tests, record.targets)
    errors = tests["error"].to_numpy()
    found = []
    for code, kind in enumerate(kinds):
        rows = codes == code
        exact = exact_share(prediction[rows], truth[rows]) if all(record.target_integer) else None
        mse = _mse(errors[rows], truth[rows], prediction[rows], record)
        found.append(Kind(kind=str(kind), n=len(np.unique(images[rows])), test_mse=mse, test_exact=exact))
    return found


def _mse(errors: np.ndarray, truth: np.ndarray, prediction: np.ndarray, record: RunRecord) -> float:
    """Return the MSE of test images from their errors (n,).

    Where targets are missing it is of those that one of the images has: float64 (n, T) each.
    """
    if record.split.known is None:
        return float(errors.mean())
    return float(np.nanmean(means(((prediction - truth) / _spread(record)) ** 2, ~np.isnan(truth))))


def _spread(record: RunRecord) -> np.ndarray:
    return np.subtract(record.target_high, record.target_low, dtype=np.float64)


def _bins_of(tests: pd.DataFrame, images: np.ndarray, targets: Sequence[str]) -> dict[str, list[Bin]]:
    truth, prediction = of_targets(tests, targets)
    squared = (prediction - truth) ** 2
    return {target: _bins(images, truth[:, place], squared[:, place]) for place, target in enumerate(targets)}


def _bins(images: np.ndarray, truth: np.ndarray, squared: np.ndarray) -> list[Bin]:
    """Cut the range of the truth into equal bins and return those that have images."""
    known = ~np.isnan(truth)
    images, truth, squared = images[known], truth[known], squared[known]
    edges = np.linspace(truth.min(), truth.max(), _BINS + 1)
    place = np.clip(np.digitize(truth, edges) - 1, 0, _BINS - 1)
    return [
        Bin(
            low=float(edges[index]),
            high=float(edges[index + 1]),
            n=len(np.unique(images[inside])),
            rmse=float(np.sqrt(squared[inside].mean())),
        )
        for index in range(_BINS)
        if (inside := place == index).any()
    ]


def _fits(runs: list[Run]) -> dict[str, Fit]:
    """Return the fit of each target over the test images of the folds of one seed."""
    record = runs[0].record
    truth, prediction = of_targets(pd.concat([run.test for run in runs]), record.targets)
    scores = scores_as(record, truth, prediction)
    known, error = ~np.isnan(truth), prediction - truth
    bias, near = means(error, known), means(np.abs(error) <= _NEAR * _spread(record), known)
    return {
        name: Fit(
            n=int(known[:, index].sum()),
            rmse=scores["rmse"][name],
            r2=scores["r2"][name],
            bias=float(bias[index]),
            near=float(near[index]),
        )
        for index, name in enumerate(record.targets)
    }


def _groups(tests: pd.DataFrame, record: RunRecord) -> Groups | None:
    """Return the errors by group; None where most images are alone in theirs.

    A group has its cell in the group column for a name, and without such a column that of its first image.
    Pixel-identical images make a group, too. Data without a group column has a few such pairs, whose errors
    say no more than those of single images.
    """
    group = tests["image_group"]
    sizes = tests.index.to_series().groupby(group).nunique()
    several = sizes[sizes > 1]
    if 2 * several.sum() < sizes.sum():
        return None
    targets = record.targets
    truth, prediction = of_targets(tests, targets)
    squares = (
        pd.DataFrame((prediction - truth) ** 2, columns=targets, index=tests.index).groupby(group).mean()
    )
    errors = (
        tests["error"].groupby(group).mean()
        if record.split.known is None
        else (squares / _spread(record) ** 2).mean(axis=1)
    )  # over the targets that one of the group has
    errors = errors[several.index].sort_values(ascending=False, kind="stable")
    rmse = np.sqrt(squares.loc[errors.index].to_numpy())
    names = tests["group_value"].groupby(group).first() if "group_value" in tests else None
    everyone = [
        Group(
            name=str(name if names is None else names[name]),
            n=int(n),
            test_mse=float(error),
            test_rmse=dict(zip(targets, map(_or_none, values.tolist()), strict=True)),
        )
        for name, n, error, values in zip(errors.index, several[errors.index], errors, rmse, strict=True)
    ]
    few = len(everyone) <= 2 * _GROUPS
    return Groups(
        worst=everyone if few else everyone[:_GROUPS],
        best=[] if few else everyone[-_GROUPS:],
        left_out=0 if few else len(everyone) - 2 * _GROUPS,
        alone=len(sizes) - len(several),
    )


def _best_seed(runs: list[Run]) -> tuple[int, list[Run]]:
    """Return the seed with the best mean val MSE, and its runs."""
    by_seed: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        by_seed[run.record.seed].append(run)
    seed = min(
        by_seed, key=lambda seed: (np.mean([run.record.metrics.val_mse for run in by_seed[seed]]), seed)
    )
    return seed, by_seed[seed]


def _worst(runs: list[Run]) -> list[Worst]:
    """Return the images with the largest errors of all folds of one seed."""
    targets = runs[0].record.targets
    worst = []
    for run in runs:
        (truth, prediction), errors, ids = run.answers, run.of_test.error, run.of_test.ids
        for position, identity in enumerate(run.record.worst):
            if identity not in ids:
                continue
            row = np.flatnonzero(ids == identity)
            worst.append(
                Worst(
                    id=identity,
                    error=_mse(errors[row], truth[row], prediction[row], run.record),
                    truth=dict(zip(targets, map(_or_none, truth[row[0]].tolist()), strict=True)),
                    prediction=dict(zip(targets, prediction[row[0]].tolist(), strict=True)),
                    run=run.record.key,
                    position=position,
                )
            )
    return sorted(worst, key=lambda one: -one.error)[:N_WORST]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def with_best_rows(board: Leaderboard, most: int) -> Leaderboard:
    """Return a leaderboard with the best rows by val: at most so many with a model, and as many without."""
    without = [row for row in board.rows if row.head == "-"][:most]
    models = [row for row in board.rows if row.head != "-"][:most]
    kept = {id(row) for row in (*without, *models)}
    return board.model_copy(update={"rows": [row for row in board.rows if id(row) in kept]})
