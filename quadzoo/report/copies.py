"""Runs that are copies of another one, or have its place: they are no evidence of how seeds differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from quadzoo.records.record import PREDICTIONS, WEIGHTS, RunRecord

if TYPE_CHECKING:
    from quadzoo.report.results import Run


def copies(records: Iterable[RunRecord]) -> Iterator[tuple[RunRecord, RunRecord]]:
    """Yield each record that repeats one of another seed, with the record that it repeats.

    Training draws a head, or the order of images, by the seed. So two seeds never end with the same weights
    to the last bit, unless the best weights are those from before the first epoch.
    """
    same: dict[tuple[int, str, str], list[RunRecord]] = defaultdict(list)
    for record in sorted(records, key=lambda one: one.seed):
        weights, predictions = (record.files.get(name) for name in (WEIGHTS, PREDICTIONS))
        if record.status == "ok" and record.best_epoch and weights and predictions:
            same[record.split.fold, weights, predictions].append(record)
    for members in same.values():
        first: dict[str, RunRecord] = {}
        for record in members if len(members) > 1 else ():
            like = first.setdefault(record.combination, record)
            if like.seed != record.seed:
                yield record, like


def told(like: RunRecord) -> str:
    """Return the reason that a copy of a run is left out."""
    return f"its weights and predictions are those of seed {like.seed}, run {like.key}: a copy"


def repeated(runs: Iterable[Run]) -> Iterator[tuple[Run, Run]]:
    """Yield each run that has the place of another one in the same row, with that: as two seeds 0.

    Keys differ where anything does that makes a run another one, so one of the two has been changed. The one
    that finished last stays.
    """
    first: dict[tuple[object, ...], Run] = {}
    for run in sorted(runs, key=lambda one: one.record.finished, reverse=True):
        record, split = run.record, run.record.split
        if record.status != "ok":
            continue
        data = record.data.hash, *record.targets, split.whole, split.hash, split.fold
        like = first.setdefault((run.combination, *data, record.precision, record.seed), run)
        if like is not run:
            yield run, like


def told_twice(like: RunRecord) -> str:
    """Return the reason that a second run with one seed is left out."""
    return f"run {like.key} has its place in the table: the same row, fold and seed {like.seed}"
