"""From records to rows: one per combination, averaged over seeds and folds. Nothing is trained or written."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Any

import numpy as np

from quadzoo.records.record import Cost, Metrics, RunRecord, SplitFacts
from quadzoo.report.caveats import mixed_of, needs_row_per_precision, overlap_of
from quadzoo.report.details import details_of
from quadzoo.report.learning import OfShare, share_curves
from quadzoo.report.results import Errors, Run, errors_of
from quadzoo.report.rows import Evidence, FailedRun, Leaderboard, Row, RowCost, Tuned, Unreadable
from quadzoo.report.statistics import compare, holm, interval

_SCREEN, _PUBLISH = 3, 6  # seeds
_ALPHA = 0.05


def leaderboards(runs: Iterable[Run], unreadable: Sequence[Unreadable] = ()) -> list[Leaderboard]:
    """Return one leaderboard for each data set and split, the one with most runs first.

    Shares of the training images of a split belong to its leaderboard. Each names the ``unreadable`` runs: it
    is unknown which of them they belong to.
    """
    by_task: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        by_task[run.record.data.hash, run.record.split.whole].append(run)
    ordered = sorted(by_task.items(), key=lambda item: (-len(item[1]), item[1][0].record.data.name, item[0]))
    return [_leaderboard(members, unreadable) for _, members in ordered]


@dataclass
class _Combination:
    """The row of a combination, and the errors of its runs; None without predictions.

    ``curve`` is what the combination shares with itself on other shares of the training images.
    """

    row: Row
    errors: Errors | None
    curve: str


def _leaderboard(everything: list[Run], unreadable: Sequence[Unreadable]) -> Leaderboard:
    by_share: dict[tuple[float, str], list[Run]] = defaultdict(list)
    for run in everything:
        by_share[run.record.split.train_share, run.record.split.hash].append(run)
    runs, *smaller = (by_share[share] for share in sorted(by_share, reverse=True))
    records = [run.record for run in runs]
    devices = [name for name, _ in Counter(sorted(map(_device, records))).most_common()]
    combinations = _combinations(runs, devices[0])
    rows = [one.row for one in combinations] + _baseline_rows(records)
    rows.sort(key=_by_val)
    _rank(rows, combinations)
    points = [OfShare(one.curve, one.row, one.errors) for one in combinations]
    for members in smaller:
        points += [OfShare(one.curve, one.row, one.errors) for one in _combinations(members, devices[0])]
    simple = [row for members in (runs, *smaller) for row in _baseline_rows([run.record for run in members])]
    first = records[0]
    return Leaderboard(
        data=first.data,
        split=first.split.model_copy(update={"fold": 0}),
        evidence=_evidence(one.row for one in combinations),
        devices=devices,
        versions=_versions(records),
        rows=rows,
        shares=share_curves(points, simple, [row.name for row in rows]) if smaller else [],
        unreadable=list(unreadable),
    )


def _combinations(runs: list[Run], device: str) -> list[_Combination]:
    by_combination: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_combination[run.record.combination].append(run)
    return [_combination(row, device) for members in by_combination.values() for row in _rows_of(members)]


def _rows_of(members: list[Run]) -> list[list[Run]]:
    """Return the runs of a combination in one group a row."""
    if not needs_row_per_precision([run.record for run in members]):
        return [members]
    by_precision: dict[str, list[Run]] = defaultdict(list)
    for run in members:
        by_precision[run.record.precision].append(run)
    return list(by_precision.values())


def _combination(members: list[Run], device: str) -> _Combination:
    members = sorted(members, key=lambda run: (run.record.seed, run.record.split.fold))
    ok = [run for run in members if run.record.status == "ok"]
    tests = [run for run in ok if not run.test.empty]
    errors = errors_of(tests) if tests else None
    ends = interval(errors.table.to_numpy().T, errors.groups.to_numpy()) if errors else None
    first = members[0].record
    overlap = overlap_of([run.record for run in members])
    scored = [(run.record.metrics, run.record.split) for run in ok]
    row = Row(
        backbone=first.backbone,
        head=first.head,
        weights=first.weights,
        seeds=len({run.record.seed for run in ok}),
        failed=len(members) - len(ok),
        **_pooled(scored),
        test_mse_low=ends.low if ends else None,
        test_mse_high=ends.high if ends else None,
        leaky=first.split.leaky or bool(overlap and overlap.test),
        overlap=overlap,
        mixed=mixed_of([run.record for run in ok]),
        image_size="x".join(str(side) for side in first.image.size),
        precision=", ".join(sorted({run.record.precision for run in ok or members})),
        epochs=_epochs(ok or members),
        train_share=first.split.train_share,
        n_train=fmean(run.record.split.n_train for run in members),
        frozen=first.recipe.freeze,
        tuned=_tuned([run.record for run in members]),
        plugins=", ".join(f"{name} {version}" for name, version in first.environment.plugins.items()),
        combination=first.combination,
        recipe=first.recipe.model_dump(),
        command=_command(first, sorted({run.record.seed for run in members})),
        costs=_costs([run.record for run in ok], device),
        failures=[_failure(run.record) for run in members if run.record.error],
        details=details_of(tests),
    )
    return _Combination(row, errors, first.curve)


def _epochs(runs: list[Run]) -> int | None:
    """Return the number of epochs, on average over runs that stopped at different ones."""
    known = [run.record.epochs for run in runs if run.record.epochs is not None]
    return round(fmean(known)) if known else None


def _tuned(records: list[RunRecord]) -> Tuned | None:
    recipe = records[0].recipe
    if recipe.tune is None:
        return None
    found = {record.found.lr for record in records if record.found.lr}
    return Tuned(request=recipe.tune, tried=list(recipe.learning_rates), found=sorted(found))


def _failure(record: RunRecord) -> FailedRun:
    assert record.error
    text = f"{record.error.type}: {record.error.message}".splitlines()[0]
    return FailedRun(key=record.key, seed=record.seed, fold=record.split.fold, error=text)


def _command(record: RunRecord, seeds: list[int]) -> str:
    flags = {
        "--backbones": record.backbone,
        "--heads": record.head,
        "--seeds": ",".join(map(str, seeds)),
        **record.flags,
    }
    words = (f"{name} {shlex.quote(value)}" if value else name for name, value in flags.items())
    return " ".join(["quadzoo bench", *words])


def _device(record: RunRecord) -> str:
    where = record.environment
    threads = "" if where.device == "cuda" else f", {where.threads} thread{'s' * (where.threads > 1)}"
    return f"{where.device_name}{threads}{', compiled' * (where.compiled != 'no')}"


def _costs(records: list[RunRecord], device: str) -> list[RowCost]:
    """Return the mean cost of the runs on each device; that on ``device`` comes first."""
    by_device: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        by_device[_device(record)].append(record)
    names = sorted(by_device, key=lambda name: (name != device, -len(by_device[name]), name))
    return [
        RowCost(
            device=name,
            runs=len(by_device[name]),
            **_mean_cost([record.cost for record in by_device[name]]),
        )
        for name in names
    ]


def _mean_cost(costs: list[Cost]) -> dict[str, Any]:
    return {field: _mean([getattr(cost, field) for cost in costs]) for field in Cost.model_fields}


def _baseline_rows(records: list[RunRecord]) -> list[Row]:
    """Return the rows without a model; records hold their scores on the records' folds.

    A later bench may know baselines that an earlier one did not.
    """
    found: dict[str, dict[int, tuple[Metrics, SplitFacts]]] = defaultdict(dict)
    for record in records:
        for name, metrics in record.baselines.items():
            found[name][record.split.fold] = metrics, record.split
    folds = {record.split.fold for record in records}
    return [
        Row(
            backbone=name,
            head="-",
            weights="-",
            seeds=0,
            failed=0,
            **_pooled(list(by_fold.values())),
            leaky=records[0].split.leaky,
            train_share=records[0].split.train_share,
            n_train=fmean(split.n_train for _, split in by_fold.values()),
        )
        for name, by_fold in found.items()
        if by_fold.keys() == folds
    ]


def _pooled(scored: list[tuple[Metrics, SplitFacts]]) -> dict[str, Any]:
    """Average every score over runs, each weighted by its images: folds may differ by one or two."""
    if not scored:
        return {}
    n_val, n_test = [split.n_val for _, split in scored], [split.n_test for _, split in scored]
    return {
        name: _average(
            name, [getattr(one, name) for one, _ in scored], n_val if name.startswith("val_") else n_test
        )
        for name in Metrics.model_fields
    }


def _average(name: str, values: Sequence[Any], weights: Sequence[int]) -> Any:
    """Return the weighted mean of a score, or of each target's; None where a run has none."""
    if any(value is None for value in values):
        return None
    if isinstance(values[0], dict):
        return {key: _average(name, [one.get(key) for one in values], weights) for key in values[0]}
    if name.endswith("rmse"):  # the mean of the squares, of which it is the root
        return float(np.sqrt(np.average(np.square(values), weights=weights)))
    return float(np.average(values, weights=weights))


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of what is known; of counts, which are the same in all runs, the first."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return known[0] if isinstance(known[0], int) else fmean(known)


def _by_val(row: Row) -> tuple[bool, float, str, str]:
    """Order by mean val MSE, never by test; rows without a score come last."""
    return row.val_mse is None, row.val_mse or 0.0, row.backbone, row.head


def _rank(rows: list[Row], combinations: list[_Combination]) -> None:
    """Set ranks: the place in the order, or that of the best trained row where a row is not worse than it.

    A row is worse where its test errors on the same images are significantly larger (α = 0.05), corrected
    by Holm's method for all pairs of rows, because the best row was chosen by its scores.
    """
    scores = [row.val_mse for row in rows]
    for row in rows:
        row.rank = None if row.val_mse is None else scores.index(row.val_mse) + 1
    scored = [(one.row, one.errors) for one in combinations if one.errors]
    if not scored:
        return
    (best, best_errors), *others = sorted(scored, key=lambda pair: _by_val(pair[0]))
    judged = [(row, p) for row, errors in others if (p := _p_value(errors, best_errors)) is not None]
    corrected = holm([p for _, p in judged], tests=len(scored) * (len(scored) - 1) // 2)
    for (row, _), p in zip(judged, corrected, strict=True):
        row.p_value = p
        if p >= _ALPHA or (row.test_mse or 0.0) <= (best.test_mse or 0.0):
            row.tied = best.tied = True
            row.rank = best.rank


def _p_value(one: Errors, other: Errors) -> float | None:
    common = one.table.index.intersection(other.table.index)
    return compare(
        one.table.loc[common].to_numpy().T,
        other.table.loc[common].to_numpy().T,
        one.groups.loc[common].to_numpy(),
    )


def _evidence(rows: Iterable[Row]) -> Evidence | None:
    """Grade by the fewest seeds of any row that has some."""
    seeds = [row.seeds for row in rows if row.seeds]
    if not seeds:
        return None
    return "publish" if min(seeds) >= _PUBLISH else "screen" if min(seeds) >= _SCREEN else "smoke"


def _versions(records: list[RunRecord]) -> dict[str, str]:
    """Return the versions of the software that made the runs; where they differ, all of them."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        where = record.environment
        pairs = chain(
            (("quadzoo", where.quadzoo), ("torch", where.torch), ("python", where.python)),
            where.libraries.items(),
            where.plugins.items(),
        )
        for name, version in pairs:
            found[name].add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}
