"""The rows of what answers without a network, from the records of runs and from what is kept beside them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from quadzoo.records.baseline import LOOKUP, MEAN, RIDGE_FEATURES, RIDGE_PIXELS, BaselineRecord, baseline_key
from quadzoo.records.facts import SplitFacts
from quadzoo.records.record import Metrics, RunRecord
from quadzoo.report.judged import Simple
from quadzoo.report.results import Answer
from quadzoo.report.rows import Row
from quadzoo.report.scores import Truths, mean_absolute, pooled

_ROUNDING = 1e-6


def baseline_rows(
    records: list[RunRecord], answers: Sequence[Answer] = (), truths: Truths | None = None
) -> list[Simple]:
    """Return the rows without a model; records hold their scores on the records' folds.

    A later bench may know baselines that an earlier one did not; what is kept in the results folder counts,
    too, if it is of images and weights that a record has. Of several of one name, such as those on images of
    two sizes, the best by val does. The ``answers`` of a row are those with its scores; ``truths`` are those
    of the folds.
    """
    found: dict[str, dict[int, tuple[Metrics, SplitFacts]]] = defaultdict(dict)
    splits = {record.split.fold: record.split for record in records}
    keys = _baseline_keys(records)
    kept = [one for one in answers if one.record.key in keys and _is_of(one.record, records[0], splits)]
    told = [(one.record.name, one.record.metrics, splits[one.record.split.fold]) for one in kept]
    kept_folds: dict[str, set[int]] = defaultdict(set)
    for one in kept:
        kept_folds[one.record.name].add(one.record.split.fold)
    # What is kept was scored anew; a record may say anything.
    told += [
        (name, metrics, record.split)
        for record in records
        for name, metrics in record.baselines.items()
        if kept_folds[name] != splits.keys()
    ]
    for name, metrics, split in told:
        known = found[name].get(split.fold)
        if known is None or (metrics.val_mse or 0.0) < (known[0].val_mse or 0.0):
            found[name][split.fold] = metrics, split
    folds = {record.split.fold for record in records}
    rows, targets = [], records[0].targets
    for name, by_fold in found.items():
        if by_fold.keys() != folds:
            continue
        by_place = {
            one.record.split.fold: one
            for one in kept
            if one.record.name == name and _same(one.record.metrics, by_fold[one.record.split.fold][0])
        }
        own = list(by_place.values()) if by_place.keys() == folds else []
        row = Row.without_model(
            name,
            **pooled(list(by_fold.values()), truths or {}),
            test_mae=mean_absolute([one.answered.both for one in own], targets),
            leaky=records[0].split.leaky,
            train_share=records[0].split.train_share,
            n_train=fmean(split.n_train for _, split in by_fold.values()),
        )
        rows.append(Simple(row, own))
    return rows


def _baseline_keys(records: Sequence[RunRecord]) -> set[str]:
    """Return the keys of the baselines of the runs' images, and of the weights that they started from."""
    started = {
        (one.data.hash, one.image, (one.split.hash, one.split.fold), one.backbone, one.loaded)
        for one in records
    }
    found = set()
    for data, image, split, backbone, loaded in started:
        found |= {baseline_key(name, data, image, split) for name in (MEAN, LOOKUP, RIDGE_PIXELS)}
        found.add(baseline_key(f"{RIDGE_FEATURES}{backbone}", data, image, split, loaded))
    return found


def _is_of(answer: BaselineRecord, record: RunRecord, splits: Mapping[int, SplitFacts]) -> bool:
    """Whether a baseline answers for the images and targets of some runs."""
    same = (answer.data.hash, answer.targets) == (record.data.hash, record.targets)
    split = splits.get(answer.split.fold)  # which may have another name
    return same and split is not None and answer.split.hash == split.hash


def _same(one: Metrics, other: Metrics) -> bool:
    """Whether two are scores of one baseline: another version may have fitted it again, up to rounding."""
    return all(
        math.isclose(a or 0.0, b or 0.0, rel_tol=_ROUNDING)
        for a, b in ((one.val_mse, other.val_mse), (one.test_mse, other.test_mse))
    )
