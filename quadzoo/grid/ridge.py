"""Ridge regression on pixels and on frozen features: what a network has to beat to be worth its cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from quadzoo.data.cache import ImageSet
from quadzoo.data.fold import Fold
from quadzoo.data.geometry import shrunk, unenlarged
from quadzoo.data.splits import Split
from quadzoo.executors.base import Executor, NoAnswer, answer
from quadzoo.grid.baselines import simple_answers
from quadzoo.grid.observer import Observer
from quadzoo.grid.plan import FoldPlan, Plan
from quadzoo.metrics import scores_of
from quadzoo.model.closed_form import drawn, fit_ridge
from quadzoo.records import predictions
from quadzoo.records.baseline import (
    RIDGE_FEATURES,
    RIDGE_PIXELS,
    BaselineRecord,
    baseline_key,
    read_baseline,
    write_baseline,
)
from quadzoo.records.facts import SplitFacts
from quadzoo.records.keys import ImageFacts
from quadzoo.records.record import Metrics
from quadzoo.training.task import Task

_SIDE = 32  # pixels
_CHUNK = 1024
_LONG = 1800.0  # seconds for the features of a backbone


class Fit(NamedTuple):
    """Predictions float64 (n_val, T) and (n_test, T) in original units, penalties (T,), images fitted to."""

    val: np.ndarray
    test: np.ndarray
    alphas: np.ndarray
    n_fitted: int


def ridge(rows: Callable[[np.ndarray], np.ndarray], fold: Fold) -> Fit:
    """Fit ridge regression to the training images of a fold and predict the others.

    ``rows`` returns the features, float (M, F), of the images at int64 positions (M,). Predictions are
    clipped to the range of train.
    """
    train, split = drawn(fold.split.train), fold.split
    model = fit_ridge(rows(train), fold.targets[train])
    low, high = (end(fold.targets[split.train], axis=0) for end in (np.nanmin, np.nanmax))

    def predicted(side: np.ndarray) -> np.ndarray:
        parts = [model.predict(rows(side[start : start + _CHUNK])) for start in range(0, len(side), _CHUNK)]
        return np.asarray(np.clip(np.concatenate(parts), low, high))

    return Fit(predicted(split.val), predicted(split.test), model.alphas, len(train))


def with_ridge(plan: Plan, executor: Executor, observer: Observer) -> Plan:
    """Return the plan with the scores of ridge regression among the baselines of each task.

    On pixels always, and on the frozen features of each backbone with pretrained weights, unless all that is
    to do with it is ridge regression. Each is computed
    once for a results folder and fold, and kept there with its predictions, and so are those of the
    baselines that the plan has already. A backbone whose features cannot be computed is noted, and has no
    such row.
    """
    if not plan.to_do:
        return plan
    # A head in closed form is ridge regression on features itself: it would have to beat its own scores.
    firsts = {task.backbone: task for task in plan.to_do if task.identity.loaded and not task.closed_form}
    advance = observer.counting("fitting ridge regression", (1 + len(firsts)) * len(plan.data.folds))
    found: dict[tuple[str, int], dict[str, Metrics]] = {}  # by the hash of the split, and fold
    for one in plan.data.folds:
        of_pixels = partial(_of_pixels, plan.data.images.file, _own_size(plan.data.images))
        answers = simple_answers(one.fold.targets, plan.data.images.content_ids, one.fold.split)
        for name, given in answers.items():
            _kept(plan, one, name, None, partial(_given, given, one.fold.split))
        found[_place(one.fold.split)] = {
            RIDGE_PIXELS: _kept(plan, one, RIDGE_PIXELS, None, partial(_fitted, of_pixels, one.fold))
        }
        advance(1)
    for backbone, task in firsts.items():
        name = f"{RIDGE_FEATURES}{backbone}"
        try:
            for one in plan.data.folds:
                rows = _of_features(plan, task, executor)
                fit = partial(_fitted, rows, one.fold)
                found[_place(one.fold.split)][name] = _kept(plan, one, name, task, fit)
                advance(1)
        except NoAnswer as error:
            observer.note(f"warning: no {name}: {error}")
    tasks = [replace(task, baselines={**task.baselines, **found[_place(task.split)]}) for task in plan.tasks]
    return replace(plan, tasks=tasks)


def _place(split: Split | SplitFacts) -> tuple[str, int]:
    return split.hash, split.fold


Rows = Callable[[np.ndarray], np.ndarray]


def _given(answer: np.ndarray, split: Split) -> Fit:
    """Return an answer that needs no fit, float64 (N, T) for all images."""
    return Fit(answer[split.val], answer[split.test], np.empty(0), len(split.train))


def _fitted(rows: Callable[[], Rows], fold: Fold) -> Fit:
    return ridge(rows(), fold)


def _kept(plan: Plan, of_fold: FoldPlan, name: str, task: Task | None, made: Callable[[], Fit]) -> Metrics:
    """Return the scores of a baseline, from the results folder where they are."""
    fold, data = of_fold.fold, plan.data
    loaded = task.identity.loaded if task else None
    image = ImageFacts(**asdict(data.images.geometry))
    key = baseline_key(name, data.images.hash, image, _place(fold.split), loaded)
    record = read_baseline(plan.config.out, key)
    if record is None:
        clock = time.perf_counter()
        fit, info, split = made(), of_fold.targets, fold.split
        metrics = Metrics.of(
            scores_of(fit.val, fold.targets[split.val], info),
            scores_of(fit.test, fold.targets[split.test], info),
        )
        record = BaselineRecord(
            key=key,
            name=name,
            data=data.facts,
            split=next(task.split for task in plan.tasks if _place(task.split) == _place(split)),
            targets=list(info.names),
            metrics=metrics,
            alphas=dict(
                zip(info.names, fit.alphas.tolist(), strict=False)
            ),  # of an answer without a fit: none
            n_fitted=fit.n_fitted,
            seconds=time.perf_counter() - clock,
            files={},
        )
        write_baseline(plan.config.out, record, predictions.of_fold(fold, info.names, fit.val, fit.test))
    return record.metrics


def _own_size(images: ImageSet) -> tuple[int, int]:
    """Return the (H, W) that the canvas would have had, had images not been enlarged for networks."""
    (height, width), before = images.geometry.size, images.originals
    if before is None:
        return height, width
    top, left, bottom, right = images.geometry.crop or (0, 0, before.height[1], before.width[1])
    down, across = max(1.0, height / (bottom - top)), max(1.0, width / (right - left))
    if images.geometry.resize == "letterbox":
        down = across = min(down, across, images.geometry.max_scale or math.inf)
    return math.ceil(height / down), math.ceil(width / across)


def _of_pixels(images: Path, own: tuple[int, int]) -> Rows:
    """Return what gives images as vectors, float32 (M, F), at most 32 pixels a side, in all bands.

    Where their ``own`` size, (H, W), is smaller, they have that: enlarging adds nothing but what its filter
    makes up.
    """

    def rows(positions: np.ndarray) -> np.ndarray:
        array = _mapped(images)
        size = min(_SIDE, own[0], array.shape[1]), min(_SIDE, own[1], array.shape[2])
        small = unenlarged if size == own != array.shape[1:3] else shrunk
        return np.stack([small(array[at], size).reshape(-1) for at in positions]).astype(np.float32)

    return rows


def _of_features(plan: Plan, task: Task, executor: Executor) -> Callable[[], Rows]:
    """Return what computes a backbone's pooled features once, and then gives them, float32 (M, F)."""

    def computed() -> Rows:
        work, longest = "quadzoo.training.features:pooled_features", plan.config.timeout or _LONG
        placement = plan.placement(task)
        path = answer(executor, work, (task, placement), longest, placement.needs)
        return partial(_finite, path)

    return computed


def _finite(path: Path, positions: np.ndarray) -> np.ndarray:
    """Return the rows of an array at int64 positions (M,). Raises NoAnswer for one that is not finite."""
    rows = np.asarray(_mapped(path)[positions])
    if bad := int((~np.isfinite(rows)).any(axis=1).sum()):
        raise NoAnswer(f"its features of {bad:,} of {len(rows):,} images are NaN or infinite")
    return rows


def _mapped(path: Path) -> np.ndarray:
    """Map an array, anew for each chunk: pages count as this process's memory for as long as it is mapped."""
    array: np.ndarray = np.load(path, mmap_mode="r")
    return array
