"""Runs that are copies of another one under a further seed: they are no evidence of how seeds differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from quadzoo.records.record import PREDICTIONS, WEIGHTS, RunRecord


def copies(records: Iterable[RunRecord]) -> Iterator[tuple[RunRecord, RunRecord]]:
    """Yield each record that repeats one of another seed, with the record that it repeats.

    Training draws a head, or the order of images, by the seed. So two seeds never end with the same weights
    to the last bit, unless the best weights are those from before the first epoch.
    """
    first: dict[tuple[str, int, str, str], RunRecord] = {}
    for record in sorted(records, key=lambda one: one.seed):
        weights, predictions = (record.files.get(name) for name in (WEIGHTS, PREDICTIONS))
        if record.status != "ok" or not record.best_epoch or not weights or not predictions:
            continue
        like = first.setdefault((record.combination, record.split.fold, weights, predictions), record)
        if like.seed != record.seed:
            yield record, like


def told(like: RunRecord) -> str:
    """Return the reason that a copy of a run is left out."""
    return f"its weights and predictions are those of seed {like.seed}, run {like.key}: a copy"
