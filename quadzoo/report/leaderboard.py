"""From records to rows: one per combination, averaged over seeds and folds. Nothing is trained or written."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from statistics import fmean

from quadzoo.garbage import uncollected
from quadzoo.records.record import RunRecord
from quadzoo.report.baseline_rows import baseline_rows
from quadzoo.report.caveats import mixed_of, needs_row_per_precision, overlap_of, plugins_of
from quadzoo.report.costs import costs_of, device_of, side_by_side
from quadzoo.report.details import MOST_DETAILED, details_of
from quadzoo.report.ensemble import ensemble_row, of_seeds
from quadzoo.report.intervals import LEVEL, intervals_of, outcome_of
from quadzoo.report.judged import Judged
from quadzoo.report.learning import OfShare, share_curves
from quadzoo.report.results import Answer, Run
from quadzoo.report.rows import INCOMPLETE, Evidence, FailedRun, Leaderboard, Row, RowCost, Tuned, Unreadable
from quadzoo.report.scores import Truths, mean_absolute, pooled, truths_of
from quadzoo.report.settings import origin_of, set_variants, settings_of
from quadzoo.report.statistics import FEWEST_SEEDS
from quadzoo.report.text import listed
from quadzoo.report.verdicts import by_val, judge, seeds_of, set_intervals

_PUBLISH = 6  # seeds
_HASH = 8  # digits that are shown
_ROUNDING = 1e-6
_Costs = Callable[[Sequence[RunRecord]], list[RowCost]]


@uncollected()
def leaderboards(
    runs: Iterable[Run], unreadable: Sequence[Unreadable] = (), answers: Sequence[Answer] = ()
) -> list[Leaderboard]:
    """Return one leaderboard for each data set and split, the one with most runs first.

    Shares of the training images of a split belong to its leaderboard. Each names the ``unreadable`` runs: it
    is unknown which of them they belong to. ``answers`` are those of baselines, which rows are tested
    against.
    """
    by_task: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        by_task[run.record.data.hash, run.record.split.whole, *run.record.targets].append(run)
    ordered = sorted(by_task.items(), key=lambda item: (-len(item[1]), item[1][0].record.data.name, item[0]))
    boards = [_leaderboard(members, unreadable, answers) for _, members in ordered]
    _tell_apart(boards)
    return boards


def _tell_apart(boards: Sequence[Leaderboard]) -> None:
    """Set what tells a leaderboard from others of the same names: what differs of data, division, targets."""
    same: dict[str, list[Leaderboard]] = defaultdict(list)
    for board in boards:
        same[board.title].append(board)
    for members in same.values():
        facts = [
            {
                "data": board.data.hash[:_HASH],
                "division": board.split.whole[:_HASH],
                "targets": listed(board.targets),
            }
            for board in members
        ]
        differ = [name for name in facts[0] if len({one[name] for one in facts}) > 1]
        for board, one in zip(members, facts, strict=True):
            board.apart = {name: one[name] for name in differ}


@dataclass(frozen=True, eq=False)
class _Combination(Judged):
    """The row of a combination; ``curve`` is what it shares with itself on other shares of the images."""

    curve: str


def _leaderboard(
    everything: list[Run], unreadable: Sequence[Unreadable], answers: Sequence[Answer]
) -> Leaderboard:
    by_share: dict[tuple[float, str], list[Run]] = defaultdict(list)
    for run in everything:
        by_share[run.record.split.train_share, run.record.split.hash].append(run)
    runs, *smaller = (by_share[share] for share in sorted(by_share, reverse=True))
    records = [run.record for run in runs]
    devices = [name for name, _ in Counter(sorted(map(device_of, records))).most_common()]
    costs = partial(costs_of, device=devices[0], crowded=side_by_side(everything))
    truths = truths_of(everything)
    combinations = _combinations(runs, costs, truths)
    baselines = baseline_rows(records, answers, truths)
    rows = [*(one.row for one in combinations), *(one.row for one in baselines)]
    rows.sort(key=by_val)
    set_variants(rows)
    unscored = {one.combination for one in unreadable}
    for row in rows:
        if row.combination in unscored:  # there is no telling how that run has done
            row.verdict = INCOMPLETE
    judge(combinations, baselines)
    for place, one in enumerate(sorted(combinations, key=lambda one: by_val(one.row))):
        one.row.details = details_of(one.tests, brief=place >= MOST_DETAILED)
    # After ranks: it has none, and no network is tested against it.
    if combined := ensemble_row(runs, baselines):
        rows = sorted([*rows, combined], key=by_val)
    points = [OfShare(one.curve, one.row, one.errors) for one in combinations] if smaller else []
    for members in smaller:
        of_share = _combinations(members, costs, truths)
        set_variants([one.row for one in of_share])
        set_intervals(of_share)
        points += [OfShare(one.curve, one.row, one.errors) for one in of_share]
    simple = [
        one.row
        for members in (runs, *smaller)
        for one in baseline_rows([run.record for run in members], truths=truths)
    ]
    first = _typical(records)
    return Leaderboard(
        data=first.data,
        split=first.split.model_copy(update={"fold": 0}),
        targets=first.targets,
        low=first.target_low,
        high=first.target_high,
        evidence=_evidence(one.row for one in combinations),
        devices=devices,
        versions=_versions(records),
        rows=rows,
        shares=share_curves(points, simple, [row.name for row in rows]) if smaller else [],
        unreadable=list(unreadable),
        sizes=_sizes(records),
        partial=sorted({name for one in records for name in one.baselines} - {row.backbone for row in rows}),
    )


def _typical(records: Sequence[RunRecord]) -> RunRecord:
    """Return a record whose data and split are called as in most: one does not speak for all."""
    names = [(record.data.name, record.data.n, record.split.name) for record in records]
    usual, _ = Counter(names).most_common(1)[0]
    return records[names.index(usual)]


def _sizes(records: Sequence[RunRecord]) -> dict[str, tuple[int, int]]:
    sizes = {
        "train": [record.split.n_train for record in records],
        "val": [record.split.n_val for record in records],
        "test": [record.split.n_test for record in records],
    }
    return {side: (min(numbers), max(numbers)) for side, numbers in sizes.items()}


def _combinations(runs: list[Run], costs: _Costs, truths: Truths) -> list[_Combination]:
    by_combination: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_combination[run.combination].append(run)
    return [
        _combination(row, costs, truths) for members in by_combination.values() for row in _rows_of(members)
    ]


def _rows_of(members: list[Run]) -> list[list[Run]]:
    """Return the runs of a combination in one group a row."""
    if not needs_row_per_precision([run.record for run in members]):
        return [members]
    by_precision: dict[str, list[Run]] = defaultdict(list)
    for run in members:
        by_precision[run.record.precision].append(run)
    return list(by_precision.values())


def _combination(members: list[Run], costs: _Costs, truths: Truths) -> _Combination:
    members = sorted(members, key=lambda run: (run.record.seed, run.record.split.fold))
    ok = [run for run in members if run.record.status == "ok"]
    halved = [run.record.found.halved for run in members if run.record.found.halved]
    tests = [run for run in ok if run.is_tested]
    first = members[0].record
    overlap = overlap_of([run.record for run in members])
    scored = [(run.record.metrics, run.record.split) for run in ok]
    averaged = of_seeds(ok)
    row = Row(
        backbone=first.backbone,
        head=first.head,
        weights=first.weights,
        seeds=len({run.record.seed for run in ok}),
        failed=len(members) - len(ok) - len(halved),
        **pooled(scored, truths),
        verdict=INCOMPLETE if len(ok) < len({run.record.seed for run in members}) * first.split.folds else "",
        test_mae=mean_absolute([run.answers for run in tests], first.targets),
        ensemble_val_mse=averaged.val_mse,
        ensemble_test_mse=averaged.test_mse,
        intervals=intervals_of([outcome_of([run], LEVEL) for run in ok], ok),
        leaky=first.split.leaky or bool(overlap and overlap.test),
        overlap=overlap,
        mixed=mixed_of([run.record for run in ok]),
        image_size="x".join(str(side) for side in first.image.size),
        precision=", ".join(sorted({run.record.precision for run in ok or members})),
        epochs=_epochs(ok or members),
        train_share=first.split.train_share,
        n_train=fmean(run.record.split.n_train for run in members),
        frozen=first.recipe.freeze,
        closed_form=first.recipe.freeze and bool(ok) and not any(run.record.history for run in ok),
        tuned=_tuned([run.record for run in members]),
        halved=halved[0] if halved else None,
        plugins=plugins_of([run.record for run in ok or members]),
        combination=members[0].combination,
        recipe=first.recipe.model_dump(),
        settings=settings_of([run.record for run in ok or members]),
        origin=origin_of(first),
        command=_command(first, sorted({run.record.seed for run in members})),
        costs=costs([run.record for run in ok]),
        failures=[
            _failure(run.record) for run in members if run.record.error and not run.record.found.halved
        ],
    )
    return _Combination(row, tests, first.curve)


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


def _command(record: RunRecord, seeds: list[int]) -> str | None:
    """Return the command that repeats runs; None where a program gave their backbone or head."""
    if record.provenance.backbone.is_given or record.provenance.head.is_given:
        return None
    flags = {
        "--backbones": record.backbone,
        "--heads": record.head,
        "--seeds": ",".join(map(str, seeds)),
        **record.flags,
    }
    words = (f"{name} {shlex.quote(value)}" if value else name for name, value in flags.items())
    return " ".join(["quadzoo bench", *words])


def _evidence(rows: Iterable[Row]) -> Evidence | None:
    """Grade by the fewest seeds of any row that has some."""
    seeds = seeds_of(rows)
    if not seeds:
        return None
    return "publish" if min(seeds) >= _PUBLISH else "screen" if min(seeds) >= FEWEST_SEEDS else "smoke"


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
