"""What intervals around predictions are worth: how many test images they contain, and how wide they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from quadzoo.errors import DataError
from quadzoo.inference.calibration import Calibration, combined
from quadzoo.inference.intervals import Intervals
from quadzoo.report.column import Column, csv_only, figure
from quadzoo.report.results import Run
from quadzoo.report.rows import PredictionIntervals, Row
from quadzoo.report.text import percent

LEVEL = 0.9  # of the columns


class Outcome(NamedTuple):
    """What intervals of one run, or of one fold's ensemble, did on n_test images, in the scaled unit.

    ``coverage`` and ``width`` are of each target singly, float64 (T,); ``joint_coverage`` is that of all at
    once, ``joint_width`` float64 (T,), None where there are no joint intervals.
    """

    n_test: int
    coverage: np.ndarray
    width: np.ndarray
    joint_coverage: float | None
    joint_width: np.ndarray | None


def outcome_of(runs: Sequence[Run], level: float, picks: Sequence[float] | None = None) -> Outcome | None:
    """Return what intervals that are calibrated on the val images of a run did on its test images.

    Of several runs it is the mean that predicts. They have the same images in one order, and count as often
    as ``picks`` says, by default once. None where val predictions are missing, or too few for the level.
    """
    first = runs[0]
    targets = first.record.targets
    if any(run.val.empty or not run.is_tested for run in runs):
        return None
    ranges = np.array(first.record.target_high) - np.array(first.record.target_low)
    val, val_spread = _mean(
        [run.val.to_numpy() for run in runs],
        [None if run.val_spread.empty else run.val_spread.to_numpy() for run in runs],
        picks,
    )
    spreads = [None if run.val_spread.empty else run.of_test.spread for run in runs]
    test, spread = _mean(
        [(prediction - truth) / ranges for truth, prediction in (run.answers for run in runs)],
        [None if one is None else one / ranges for one in spreads],
        picks,
    )
    try:
        intervals = Intervals.of(
            Calibration(
                targets=tuple(targets),
                ranges=np.ones(len(targets)),
                truth=np.zeros_like(val),
                prediction=val,
                spread=val_spread,
            ),
            level,
        )
    except DataError:  # too few val images
        return None
    low, high = intervals.around(test, spread=spread)
    inside = np.where(np.isfinite(test), (low <= 0) & (high >= 0), np.nan)  # NaN where the truth is missing
    complete = np.isfinite(test).all(axis=1)
    average = np.mean if complete.all() else np.nanmean
    singly = Outcome(len(test), average(inside, axis=0), average(high - low, axis=0), None, None)
    if not intervals.joint_half_widths or not complete.any():
        return singly
    low, high = (ends[complete] for ends in intervals.around(test, spread=spread, joint=True))
    all_inside = ((low <= 0) & (high >= 0)).all(axis=1).mean()
    return singly._replace(joint_coverage=float(all_inside), joint_width=(high - low).mean(axis=0))


def intervals_of(found: Sequence[Outcome | None], runs: Sequence[Run]) -> PredictionIntervals | None:
    """Return the mean of what intervals did, by test images; None where that is not known of all.

    ``found`` are of a row's runs, or of its folds; any of the ``runs`` names the targets.
    """
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    record, weights = runs[0].record, [one.n_test for one in known]
    ranges = np.array(record.target_high) - np.array(record.target_low)

    def of_targets_by_name(values: np.ndarray) -> dict[str, float]:
        return dict(zip(record.targets, values.tolist(), strict=True))

    width = np.average([one.width for one in known], axis=0, weights=weights)
    joint = [(one.joint_coverage, one.joint_width) for one in known if one.joint_width is not None]
    boxes = (
        np.average([box for _, box in joint], axis=0, weights=weights) if len(joint) == len(known) else None
    )
    return PredictionIntervals(
        level=LEVEL,
        coverage=of_targets_by_name(np.average([one.coverage for one in known], axis=0, weights=weights)),
        width=of_targets_by_name(width * ranges),
        share_of_range=float(width.mean()),
        joint_coverage=None if boxes is None else float(np.average([c for c, _ in joint], weights=weights)),
        joint_width=None if boxes is None else of_targets_by_name(boxes * ranges),
        joint_share_of_range=None if boxes is None else float(boxes.mean()),
    )


def _mean(
    values: Sequence[np.ndarray], spreads: Sequence[np.ndarray | None], picks: Sequence[float] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    if len(values) == 1:
        return values[0], spreads[0]
    known = [one for one in spreads if one is not None]
    return combined(np.stack(values), np.stack(known) if len(known) == len(values) else None, picks)


def _of(field: Callable[[PredictionIntervals], float | None]) -> Callable[[Row], float | None]:
    return lambda row: None if row.intervals is None else field(row.intervals)


def target_columns(target: str) -> list[Column[Row]]:
    """Return the columns of leaderboard.csv for a target."""
    return [
        csv_only(
            f"predict_coverage.{target}",
            f"share of test images whose {target} is in its 90 % interval",
            _of(lambda one: one.coverage.get(target)),
        ),
        csv_only(
            f"predict_width.{target}",
            f"mean width of the 90 % intervals of {target}, in its own unit",
            _of(lambda one: one.width.get(target)),
        ),
    ]


COLUMNS: tuple[Column[Row], ...] = (
    figure(
        "predict_coverage",
        "in 90 % interval",
        "share of test images inside the 90 % intervals of `quadzoo predict`, calibrated on val; mean over "
        "targets and runs; empty with fewer than 9 val images",
        _of(lambda one: float(np.mean([*one.coverage.values()]))),
        percent,
        page_only=True,
        priority=10,
    ),
    figure(
        "predict_width",
        "90 % width",
        "mean width of these intervals as a share of each target's range",
        _of(lambda one: one.share_of_range),
        percent,
        page_only=True,
        priority=10,
    ),
    figure(
        "predict_joint_coverage",
        "in joint interval",
        "share of test images with every target inside the 90 % intervals for all targets at once; empty "
        "with one target",
        _of(lambda one: one.joint_coverage),
        percent,
        page_only=True,
        priority=11,
    ),
    figure(
        "predict_joint_width",
        "joint width",
        "mean width of these intervals as a share of each target's range",
        _of(lambda one: one.joint_share_of_range),
        percent,
        page_only=True,
        priority=11,
    ),
)
