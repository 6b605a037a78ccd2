"""The mean prediction of several runs: of the seeds of a row, and of runs that val chooses from a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from quadzoo.metrics import image_errors, mse_of
from quadzoo.records.facts import SplitFacts
from quadzoo.records.predictions import columns_of, of_targets
from quadzoo.records.record import Metrics, RunRecord
from quadzoo.report.column import Column, csv_only, figure
from quadzoo.report.doubts import beaten_on_test
from quadzoo.report.intervals import LEVEL, Outcome, intervals_of, outcome_of
from quadzoo.report.judged import Simple
from quadzoo.report.results import Run
from quadzoo.report.rows import ENSEMBLE, Leaderboard, Member, Row
from quadzoo.report.scores import mean_absolute, pooled, scores_as, truths_of
from quadzoo.report.text import listed, percent
from quadzoo.report.verdicts import compare_with_baselines, set_interval

_PICKS = 50  # in a fold, at most
_LOWER = 1e-9  # relative: less is rounding


class OfSeeds(NamedTuple):
    """MSE of the mean prediction of a row's seeds; None where it is not known."""

    val_mse: float | None
    test_mse: float | None


def of_seeds(runs: Sequence[Run]) -> OfSeeds:
    """Return the scores of the mean prediction of the seeds of a row, whose finished runs are given.

    An image is predicted by the models of its fold. Nothing is known where a fold has fewer than two seeds
    with predictions.
    """
    folds = _by_fold(runs)
    if any(len(members) < 2 for members in folds.values()):
        return OfSeeds(None, None)
    scored = []
    for members in folds.values():
        aligned = _aligned(members)
        if len(aligned) < len(members):
            return OfSeeds(None, None)
        scored.append((_mse_of_mean(aligned), members[0].record.split))
    means = pooled(scored, {})
    return OfSeeds(means.get("val_mse"), means.get("test_mse"))


def ensemble_row(runs: Sequence[Run], baselines: Sequence[Simple] = ()) -> Row | None:
    """Return the row of runs chosen by `select` from the finished runs of a table, in each fold for itself.

    Runs that started from a model that has seen images of val or test, or may have, take no part, nor do runs
    without predictions for all val images. It is compared with the ``baselines``. None
    where a fold has fewer than two others, and where the best run of each fold stays alone.
    """
    folds = _by_fold([run for run in runs if _is_clean(run.record) and not run.val.empty])
    expected = {run.record.split.fold for run in runs}
    pools = {fold: _aligned(members) for fold, members in sorted(folds.items())}
    if not pools or pools.keys() != expected or any(len(pool) < 2 for pool in pools.values()):
        return None
    scored: list[tuple[Metrics, SplitFacts]] = []
    members: list[Member] = []
    tests: list[pd.DataFrame] = []
    intervals: list[Outcome | None] = []
    for pool in pools.values():
        picks = select(np.stack([_weighted(run.val.to_numpy()) for run in pool]))
        order = [number for number in np.argsort(-picks, kind="stable") if picks[number]]
        chosen = [pool[number] for number in order]
        combined = _combined(chosen, picks[order])
        scored.append((combined.metrics, chosen[0].record.split))
        tests.append(combined.test)
        intervals.append(outcome_of(chosen, LEVEL, picks[order].tolist()))
        members += [
            _member(run.record, int(picks[n]), picks.sum()) for run, n in zip(chosen, order, strict=True)
        ]
    if len(members) == len(pools):  # in no fold does another run lower the error of the best
        return None
    split, targets = scored[0][1], runs[0].record.targets
    row = Row.without_model(
        ENSEMBLE,
        **pooled(scored, truths_of(runs)),
        test_mae=mean_absolute([of_targets(test, targets) for test in tests], targets),
        intervals=intervals_of(intervals, runs),
        members=members,
        leaky=split.leaky,
        train_share=split.train_share,
        n_train=float(np.mean([facts.n_train for _, facts in scored])),
    )
    everything = pd.concat(tests)
    set_interval(row, everything)
    compare_with_baselines(row, everything, baselines)
    return row


def select(residuals: np.ndarray, most: int = _PICKS) -> np.ndarray:
    """Return how often each run is picked for an ensemble, int64 (R,), by the error of the mean residual.

    ``residuals`` are float64 (R, M): those of R runs on the same val images and targets. It begins with the
    run that has the lowest mean squared residual. Then it adds, again and again, that whose addition lowers
    the error of the mean most, and ends where none lowers it, or after ``most`` picks. A run may be picked
    again, which gives it more weight (Caruana, Niculescu-Mizil, Crew & Ksikes 2004, Ensemble selection from
    libraries of models, ICML, section 2). Of equal runs the first is picked.
    """
    squares = np.einsum("rm,rm->r", residuals, residuals)
    picks = np.zeros(len(residuals), dtype=np.int64)
    first = int(squares.argmin())
    picks[first], total, error = 1, residuals[first].copy(), float(squares[first])
    for size in range(2, most + 1):
        errors = (total @ total + 2 * residuals @ total + squares) / size**2
        best = int(errors.argmin())
        if not errors[best] < error * (1 - _LOWER):
            break
        picks[best], error = picks[best] + 1, float(errors[best])
        total += residuals[best]
    return picks


def _weighted(residuals: np.ndarray) -> np.ndarray:
    """Return residuals, float64 (N, T), NaN where missing, as (N × T,): their mean square is the MSE."""
    known = ~np.isnan(residuals)
    if known.all():
        return residuals.ravel()
    weights = len(known) / np.maximum(known.sum(axis=0), 1)
    return np.asarray(np.where(known, residuals, 0.0) * np.sqrt(weights)).ravel()


def made_of(board: Leaderboard) -> str:
    """Return what the row ``ensemble`` is made of, and how far it can be trusted; nothing without one."""
    row = next((row for row in board.rows if row.members), None)
    if row is None:
        return ""
    ordered = sorted(row.members, key=lambda one: (one.fold, -one.weight))
    folds = board.split.folds
    named = listed([_named(one, folds) for one in ordered])
    doubt = f" It {failed}." if (failed := beaten_on_test(row, board)) else ""
    of = f"{len(ordered)} runs" if folds == 1 else f"the runs of its fold among {len(ordered)}"
    return (
        f"{row.name} is the mean prediction of {of}, chosen greedily by val MSE: {named}. That choice makes "
        f"its val MSE too low, so it has no rank; it costs as much as all of them together.{doubt}"
    )


def _named(one: Member, folds: int = 1) -> str:
    name = f"{one.backbone} + {one.head} seed {one.seed}"
    if folds > 1:  # shares are of a fold, and do not add up
        return f"{name} in fold {one.fold}"
    return f"{name}{f', fold {one.fold}' if one.fold else ''} ({percent(one.weight)})"


def _is_clean(record: RunRecord) -> bool:
    """Whether no image of val or test was seen by the model that the run started from."""
    return record.initial is None or (record.initial.overlap == 0 and record.initial.overlap_val == 0)


def _by_fold(runs: Sequence[Run]) -> dict[int, list[Run]]:
    """Return the runs with predictions, in the order of their keys."""
    folds: dict[int, list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.record.key):
        if run.is_tested:
            folds[run.record.split.fold].append(run)
    return folds


def _aligned(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with their images in one order, that of the first; without those of other images."""
    first, found = runs[0], []
    for run in runs:
        own, ids = run.of_test, first.of_test.ids
        if run.val.index.equals(first.val.index) and own.ids.equals(ids):
            found.append(run)
        elif {*run.val.index} == {*first.val.index} and {*own.ids} == {*ids}:
            order = first.val.index
            found.append(
                replace(
                    run,
                    answered=own.of(ids),
                    val=run.val.reindex(order),
                    val_groups=run.val_groups.reindex(order),
                    val_spread=run.val_spread if run.val_spread.empty else run.val_spread.reindex(order),
                )
            )
    return found


class _Combined(NamedTuple):
    """A weighted mean prediction on one fold: its test table, as that of a `Run`, and its scores."""

    test: pd.DataFrame
    metrics: Metrics


def _combined(runs: Sequence[Run], picks: np.ndarray) -> _Combined:
    """Return the mean prediction of aligned runs of one fold, each ``picks`` times.

    ``picks`` is (R,). Without val predictions there is no val MSE.
    """
    record, first = runs[0].record, runs[0].test
    truth, prediction = _mean_of_tests(runs, picks)
    spread = np.array(record.target_high) - np.array(record.target_low)
    names = columns_of(record.targets).values()
    columns = {f"{name}_pred": prediction[:, place] for place, name in enumerate(names)}
    known = ~np.isnan(truth)
    test = first.assign(**columns, error=image_errors((prediction - truth) / spread, known))
    return _Combined(test, _scored(runs, picks))


def _mean_of_tests(runs: Sequence[Run], picks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and mean prediction of the test images of aligned runs, float64 (N, T) each."""
    truth, _ = runs[0].answers
    return truth, np.average([run.answers[1] for run in runs], axis=0, weights=picks)


def _scored(runs: Sequence[Run], picks: np.ndarray) -> Metrics:
    """Return the scores of the mean prediction of aligned runs of one fold, each ``picks`` times."""
    val_mse = _val_mse(runs, picks)
    scores = scores_as(runs[0].record, *_mean_of_tests(runs, picks))
    return Metrics(
        val_mse=val_mse,
        test_mse=scores["mse"],
        test_exact=scores["exact"],
        test_rmse=scores["rmse"],
        test_r2=scores["r2"],
    )


def _mse_of_mean(runs: Sequence[Run]) -> Metrics:
    """Return val and test MSE of the mean prediction of aligned runs of one fold."""
    record, once = runs[0].record, np.ones(len(runs))
    spread = np.array(record.target_high) - np.array(record.target_low)
    truth, prediction = _mean_of_tests(runs, once)
    return Metrics(val_mse=_val_mse(runs, once), test_mse=mse_of((prediction - truth) / spread))


def _val_mse(runs: Sequence[Run], picks: np.ndarray) -> float | None:
    """Return the val MSE of the mean prediction of aligned runs; None without val predictions."""
    if runs[0].val.empty:
        return None
    return mse_of(np.average([run.val.to_numpy() for run in runs], axis=0, weights=picks))


def _member(record: RunRecord, picks: int, of: float) -> Member:
    return Member(
        key=record.key,
        backbone=record.backbone,
        head=record.head,
        seed=record.seed,
        fold=record.split.fold,
        picks=picks,
        weight=picks / of,
    )


def _members_text(row: Row) -> str | None:
    if not row.members:
        return None
    return "; ".join(f"{one.picks} × {one.key} ({_named(one)})" for one in row.members)


COLUMNS: tuple[Column[Row], ...] = (
    csv_only(
        "ensemble_val_mse",
        "val MSE of the mean prediction of the row's seeds; empty with fewer than two",
        lambda row: row.ensemble_val_mse,
    ),
    figure(
        "ensemble_test_mse",
        "seeds averaged",
        "test MSE of the mean prediction of the row's seeds; empty with fewer than two",
        lambda row: row.ensemble_test_mse,
        priority=8,
    ),
    Column(
        name="members",
        heading="models",
        meaning="runs whose mean prediction the row `ensemble` is, how often each was picked and its weight; "
        "val MSE chose them, so that of this row is too low",
        value=_members_text,
        text=lambda row: f"{len(row.members)}" if row.members else "",
        priority=4,
    ),
)
