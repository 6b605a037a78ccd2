"""Records to rows: one row a combination, averaged over seeds and folds. Nothing is trained or written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel
from scipy import stats

from quadzoo.records import (
    PREDICTIONS,
    DataFacts,
    Metrics,
    RunRecord,
    SplitFacts,
    read_records,
    run_folder,
)

_RESAMPLES = 2000


class FailedRun(BaseModel):
    """A run that failed, and why, in one line."""

    key: str
    seed: int
    fold: int
    error: str


class Row(BaseModel):
    """One combination, or one answer without a model (head ``-``); docs/metrics.md defines the columns."""

    rank: int | None = None
    backbone: str
    head: str
    weights: str
    seeds: int
    failed: int
    val_mse: float | None = None
    test_mse: float | None = None
    test_mse_low: float | None = None
    test_mse_high: float | None = None
    test_exact: float | None = None
    params: int | None = None
    gmacs: float | None = None
    train_images_per_second: float | None = None
    latency_ms: float | None = None
    fit_seconds: float | None = None
    leaky: bool
    image_size: str
    precision: str
    epochs: int | None = None
    plugins: str
    combination: str
    recipe: dict[str, Any] | None = None
    test_rmse: dict[str, float] | None = None
    test_r2: dict[str, float | None] | None = None
    failures: list[FailedRun] = []


class Leaderboard(BaseModel):
    """The rows for one data set and one split, best mean val MSE first."""

    data: DataFacts
    split: SplitFacts
    rows: list[Row]

    @property
    def failed(self) -> int:
        """How many runs failed."""
        return sum(row.failed for row in self.rows)


def leaderboard(out: Path, data_hash: str, split_hash: str) -> Leaderboard | None:
    """Return the leaderboard of the records in ``out`` for one data set and split; None without records."""
    records = [r for r in read_records(out) if r.data.hash == data_hash and r.split.hash == split_hash]
    if not records:
        return None
    combinations: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        combinations[record.combination].append(record)
    rows = [_row(group, out) for group in combinations.values()]
    rows += _baseline_rows(records)
    return Leaderboard(data=records[0].data, split=records[0].split, rows=_ranked(rows))


def _row(group: list[RunRecord], out: Path) -> Row:
    first = group[0]
    ok = [record for record in group if record.status == "ok"]
    low, high = _interval([_squared_errors(record, out) for record in ok])
    sides = [(record.metrics, record.split.n_val, record.split.n_test) for record in ok]
    return Row(
        backbone=first.backbone,
        head=first.head,
        weights=first.weights,
        seeds=len({record.seed for record in ok}),
        failed=len(group) - len(ok),
        **_pooled(sides),
        test_mse_low=low,
        test_mse_high=high,
        params=ok[0].cost.params if ok else None,
        gmacs=ok[0].cost.gmacs if ok else None,
        train_images_per_second=_mean(record.cost.train_images_per_second for record in ok),
        latency_ms=_mean(record.cost.latency_ms for record in ok),
        fit_seconds=_mean(record.cost.fit_seconds for record in ok),
        leaky=first.split.leaky,
        image_size="x".join(str(side) for side in first.image["size"]),
        precision=first.precision,
        epochs=first.recipe["epochs"],
        plugins=", ".join(f"{name} {version}" for name, version in first.environment.plugins.items()),
        combination=first.combination,
        recipe=first.recipe,
        failures=[
            FailedRun(
                key=r.key,
                seed=r.seed,
                fold=r.split.fold,
                error=f"{r.error.type}: {r.error.message}".splitlines()[0],
            )
            for r in group
            if r.error
        ],
    )


def _baseline_rows(records: list[RunRecord]) -> list[Row]:
    """Return the rows without a model; every record carries what they score on its fold."""
    by_fold = {record.split.fold: record for record in records}
    first = records[0]
    return [
        Row(
            backbone=name,
            head="-",
            weights="-",
            seeds=0,
            failed=0,
            **_pooled([(r.baselines[name], r.split.n_val, r.split.n_test) for r in by_fold.values()]),
            leaky=first.split.leaky,
            image_size="",
            precision="",
            plugins="-",
            combination="-",
        )
        for name in first.baselines
    ]


def _pooled(sides: list[tuple[Metrics, int, int]]) -> dict[str, Any]:
    """Average scores over runs, each weighted by its pictures: folds may differ by one or two."""
    if not sides:
        return {}
    metrics = [m for m, _, _ in sides]
    n_val, n_test = [n for _, n, _ in sides], [n for _, _, n in sides]

    def over_test(values: Iterable[float | None]) -> float | None:
        listed = list(values)
        known = [value for value in listed if value is not None]
        return float(np.average(known, weights=n_test)) if len(known) == len(listed) else None

    rmse = [m.test_rmse or {} for m in metrics]
    r2 = [m.test_r2 or {} for m in metrics]
    return {
        "val_mse": float(np.average([m.val_mse or 0.0 for m in metrics], weights=n_val)),
        "test_mse": over_test(m.test_mse for m in metrics),
        "test_exact": over_test(m.test_exact for m in metrics),
        # RMSEs average as the squares they are roots of.
        "test_rmse": {
            t: float(np.sqrt(np.average([one[t] ** 2 for one in rmse], weights=n_test))) for t in rmse[0]
        },
        "test_r2": {t: over_test(one[t] for one in r2) for t in r2[0]},
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _squared_errors(record: RunRecord, out: Path) -> pd.Series | None:
    """Return each test picture's squared error, in the scaled unit, averaged over targets, by id."""
    path = run_folder(out, record.key) / PREDICTIONS
    if not path.exists():
        return None
    table = pd.read_csv(path, dtype={"id": str, "split": str}, keep_default_na=False)
    table = table[table["split"] == "test"].set_index("id")
    spread = np.array(record.target_high) - np.array(record.target_low)
    truth = table[record.targets].to_numpy(dtype=float)
    prediction = table[[f"{name}_pred" for name in record.targets]].to_numpy(dtype=float)
    return pd.Series((((prediction - truth) / spread) ** 2).mean(axis=1), index=table.index)


def _interval(errors: list[pd.Series | None]) -> tuple[float | None, float | None]:
    """Return the 95 % bootstrap interval of the mean error over test pictures (not over seeds).

    Percentiles of resampled means (Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13).
    """
    known = [series for series in errors if series is not None]
    if not known:
        return None, None
    per_picture = pd.concat(known).groupby(level=0).mean().to_numpy()
    if len(per_picture) < 2:
        return None, None
    result = stats.bootstrap(
        (per_picture,),
        np.mean,
        n_resamples=_RESAMPLES,
        method="percentile",
        batch=100,
        rng=np.random.default_rng(0),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _ranked(rows: list[Row]) -> list[Row]:
    """Sort by mean val MSE, never by test; rows without a score come last and have no rank."""

    def key(row: Row) -> tuple[bool, float, str, str]:
        return row.val_mse is None, row.val_mse or 0.0, row.backbone, row.head

    ordered = sorted(rows, key=key)
    scores = [row.val_mse for row in ordered]
    return [
        row.model_copy(update={"rank": None if row.val_mse is None else scores.index(row.val_mse) + 1})
        for row in ordered
    ]
