"""What each image adds to the error of a row: the errors of its runs, in a column a seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from quadzoo.metrics import image_errors
from quadzoo.records.record import RunRecord
from quadzoo.report.results import Run


class Errors(NamedTuple):
    """Squared errors, float64 (N, S) for N images and S seeds; id, group and fold of each image, (N,)."""

    ids: pd.Index
    table: np.ndarray
    groups: np.ndarray
    folds: np.ndarray

    def of(self, ids: pd.Index) -> Errors:
        """Return the errors of some of the images, in their order."""
        if self.ids.equals(ids):
            return self
        rows = self.ids.get_indexer(ids)
        # A seed's errors stay together in memory: sums keep their last digits.
        return Errors(ids, self.table.T[:, rows].T, self.groups[rows], self.folds[rows])


class _Part(NamedTuple):
    """The errors of a run, float64 (n,), and the groups of its images, (n,)."""

    record: RunRecord
    ids: pd.Index
    errors: np.ndarray
    groups: np.ndarray


def errors_of(tests: Sequence[Run], target: str | None = None) -> Errors:
    """Return the errors of the images that every seed has been tested on, float64 (N, S).

    ``tests`` are runs with predictions. With ``target`` they are the squared errors of that alone, in its own
    unit.
    """
    return _by_seed([
        _Part(
            run.record,
            run.of_test.ids,
            run.of_test.squared_error(None if target is None else run.record.targets.index(target)),
            run.of_test.groups,
        )
        for run in tests
    ])  # fmt: skip


def val_errors_of(tests: Sequence[Run]) -> Errors | None:
    """Return the errors of the val images, as `errors_of` does of the test images; None where a run has none.

    An image that is in the val of several folds is there once for each: the index has fold and id then.
    """
    if any(run.val.empty for run in tests) or not tests:
        return None
    several = len({run.record.split.fold for run in tests}) > 1
    parts = []
    for run in sorted(tests, key=lambda run: run.record.split.fold):
        ids, residuals = run.val.index, run.val.to_numpy()
        if several:
            ids = pd.MultiIndex.from_product([[run.record.split.fold], ids])
        errors = image_errors(residuals, ~np.isnan(residuals))
        parts.append(_Part(run.record, ids, errors, run.val_groups.to_numpy()))
    return _by_seed(parts)


def _by_seed(parts: Sequence[_Part]) -> Errors:
    """Return the errors in a column a seed, of the images that all seeds have."""
    by_seed: dict[int, list[_Part]] = defaultdict(list)
    for part in parts:
        by_seed[part.record.seed].append(part)
    first, *others = (_joined(some) for some in by_seed.values())
    ids = first.ids
    for other in others:
        if not other.ids.equals(ids):
            ids = ids[ids.isin(other.ids)]
    first = first.of(ids)
    table = np.vstack([first.table.T, *(other.of(ids).table.T for other in others)])
    known = ~np.isnan(table).any(axis=0)
    found = Errors(ids, table.T, first.groups, first.folds)
    return found if known.all() else found.of(ids[known])


def _joined(parts: Sequence[_Part]) -> Errors:
    """Return the errors of one seed: its folds have different images."""
    first, *others = (part.ids for part in parts)
    return Errors(
        first.append(others) if others else first,
        np.concatenate([part.errors for part in parts])[:, None],
        np.concatenate([part.groups for part in parts]),
        np.repeat([part.record.split.fold for part in parts], [len(part.ids) for part in parts]),
    )
