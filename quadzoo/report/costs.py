"""What a row costs: medians over its runs on each device, their spread, and what was run side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from statistics import median
from typing import Any

from quadzoo.records.record import Cost, RunRecord
from quadzoo.report.column import Column, Value, csv_only
from quadzoo.report.results import Run
from quadzoo.report.rows import Leaderboard, Row, RowCost
from quadzoo.report.text import listed, percent
from quadzoo.threads import LEAST_SHARE


def device_of(record: RunRecord) -> str:
    """Return the device of a run as the table names it; costs of one name can be compared."""
    where = record.environment
    threads = "" if where.device != "cpu" else f", {where.threads} thread{'s' * (where.threads > 1)}"
    return f"{where.device_name}{threads}{', compiled' * (where.compiled != 'no')}"


def costs_of(records: Sequence[RunRecord], device: str, crowded: Collection[str]) -> list[RowCost]:
    """Return the cost of a row's finished runs on each device; that on ``device`` comes first.

    ``crowded`` are the keys of runs that were under way beside others, as `side_by_side` finds them.
    """
    by_device: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        by_device[device_of(record)].append(record)
    names = sorted(by_device, key=lambda name: (name != device, -len(by_device[name]), name))
    return [
        RowCost(
            device=name,
            runs=len(by_device[name]),
            side_by_side=sum(record.key in crowded for record in by_device[name]),
            **_medians([record.cost for record in by_device[name]]),
        )
        for name in names
    ]


def side_by_side(runs: Iterable[Run]) -> frozenset[str]:
    """Return the keys of runs that were under way at the same time as another one.

    Records do not hold `jobs`; ``started`` and ``finished`` tell more, since the last of several jobs may
    have run alone. Only runs of one results folder on devices of one name are compared, of several GPUs on
    the same one, and of a cluster on the same node: two folders may be of two machines. Work of other
    programs cannot be seen, nor that of a bench with another folder.
    """
    by_place: dict[tuple[str, str, str, str], list[RunRecord]] = defaultdict(list)
    for run in runs:
        where = run.record.environment
        place = str(run.folder.parent), where.device_name, where.gpu, where.machine
        by_place[place].append(run.record)
    found: set[str] = set()
    for records in by_place.values():
        first, *others = sorted(records, key=lambda record: record.started)
        latest = first  # to end, of those that have started
        for record in others:
            if record.started < latest.finished:
                found |= {record.key, latest.key}
            latest = max(latest, record, key=lambda one: one.finished)
    return frozenset(found)


def crowded(board: Leaderboard) -> str:
    """Return which costs were measured with several runs side by side; nothing where none was."""
    rows = [
        f"{row.name} ({row.cost.side_by_side} of {row.cost.runs} runs)"
        for row in board.rows
        if row.cost.side_by_side
    ]
    if not rows:
        return ""
    return (
        f"Runs were made side by side, which makes them slower than they are alone: {listed(rows)}. "
        "Compare such costs with care, or measure them again with one job."
    )


def busy(board: Leaderboard) -> str:
    """Return which costs are of runs that got less CPU time than they asked for; nothing without any."""
    rows = [
        f"{row.name} ({percent(share)})"
        for row in board.rows
        if not row.cost.side_by_side
        and (share := (row.cost.spread.get("cpu_share") or (row.cost.cpu_share,))[0]) is not None
        and share < LEAST_SHARE
    ]
    if not rows:
        return ""
    return (
        f"Runs got only a part of the CPU time that their threads asked for: {listed(rows)}. Other programs "
        "ran, or there were more threads than CPUs. Such runs are slower than they are alone: compare their "
        "costs with care, or measure them again."
    )


def _medians(costs: Sequence[Cost]) -> dict[str, Any]:
    """Return the median of each figure that is known, and the ``spread`` of those that differ."""
    medians: dict[str, Any] = {}
    spread: dict[str, tuple[float, float]] = {}
    for field in Cost.model_fields:
        known = [value for cost in costs if (value := getattr(cost, field)) is not None]
        if not known:
            continue
        # Counts are the same in all runs, and stay whole numbers.
        medians[field] = known[0] if isinstance(known[0], int) else median(known)
        if min(known) < max(known):
            spread[field] = min(known), max(known)
    return {**medians, "spread": spread}


def _end(figure: str, which: int) -> Callable[[Row], Value]:
    def value(row: Row) -> Value:
        ends = row.cost.spread.get(figure)
        return ends[which] if ends else None

    return value


SPREADS: tuple[Column[Row], ...] = (
    *(
        csv_only(
            f"{figure}_{name}",
            f"{text} `{figure}` of the runs; empty where all are equal",
            _end(figure, which),
        )
        for figure in ("train_images_per_second", "latency_ms", "fit_seconds")
        for which, (name, text) in enumerate((("min", "lowest"), ("max", "highest")))
    ),
    csv_only(
        "cpu_share",
        "share that training on a CPU got of the CPU time that its threads asked for; empty where unknown",
        lambda row: row.cost.cpu_share,
    ),
    csv_only(
        "side_by_side",
        "how many of the runs that the costs are of were under way at the same time as another run",
        lambda row: row.cost.side_by_side,
    ),
)
