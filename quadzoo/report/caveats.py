"""What limits a row: differences between its runs, and images that its model had seen before."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from quadzoo.records.record import RunRecord
from quadzoo.report.rows import Leaderboard, Overlap, Row
from quadzoo.report.text import listed

_RESTLESS = 0.5  # standard deviation of the logarithm of the MSE, between seeds
_TIMES_OTHERS = 5  # the median of other rows
_SURER = " More seeds per row make verdicts surer."

# What may differ between the runs of a row and move a score.
_CONDITIONS: dict[str, Callable[[RunRecord], str]] = {
    "device": lambda record: record.environment.device_name,
    # On a GPU, threads only prepare images.
    "threads": lambda record: str(record.environment.threads) if record.environment.device == "cpu" else "",
    "compiled": lambda record: record.environment.compiled,
    "replayed": lambda record: (
        ("no", "yes")[record.environment.replayed] if record.environment.device == "cuda" else ""
    ),
    # On the CPU all runs are.
    "deterministic": lambda record: (
        ("no", "yes")[record.environment.deterministic] if record.environment.device == "cuda" else ""
    ),
    "precision": lambda record: record.precision,
    "torch": lambda record: record.environment.torch,
    "torchvision": lambda record: record.environment.libraries.get("torchvision", ""),
    "timm": lambda record: record.environment.libraries.get("timm", ""),
    "pytorch-lightning": lambda record: record.environment.libraries.get("pytorch-lightning", ""),
}


def plugins_of(records: Sequence[RunRecord]) -> str:
    """Return the distributions that code of runs is from, in all their versions."""
    found = {f"{name} {version}" for one in records for name, version in one.environment.plugins.items()}
    return ", ".join(sorted(found))


def conditions_of(records: Sequence[RunRecord]) -> dict[str, str]:
    """Return what runs were made with beside their recipe, such as device and versions; of several, all."""
    return {
        name: text
        for name, values in _conditions(records).items()
        if (text := ", ".join(sorted(values, key=_in_order)))
    }


def _conditions(records: Sequence[RunRecord]) -> dict[str, set[str]]:
    return {name: {condition(one) for one in records} - {""} for name, condition in _CONDITIONS.items()}


def mixed_of(records: Sequence[RunRecord]) -> str:
    """Return what differs between the runs of a row, as "torch 2.10.0, 2.11.0; threads 1, 2"."""
    plugins = {plugins_of([record]) for record in records}
    found = {**_conditions(records), "plugins": plugins, "learning rate": _learning_rates(records)}
    return "; ".join(
        f"{name} {', '.join(sorted(values, key=_in_order))}"
        for name, values in found.items()
        if len(values) > 1
    )


def restless_of(rows: Sequence[Row]) -> list[Row]:
    """Return the rows whose seeds differ far more than those of others."""
    known = [(row, row.seed_spread) for row in rows if row.seed_spread is not None]
    found = []
    for place, (row, spread) in enumerate(known):
        if spread <= _RESTLESS:  # of most rows: others need not be looked at
            continue
        others = [other for at, (_, other) in enumerate(known) if at != place]
        if others and spread > _TIMES_OTHERS * median(others):
            found.append(row)
    return found


def ends_of(rows: Sequence[Row]) -> list[Row]:
    """Return the row whose seeds differ most and that whose seeds differ least; none of fewer than two.

    Without these the estimate from all rows changes most.
    """
    known = sorted((row for row in rows if row.seed_spread is not None), key=lambda row: row.seed_spread or 0)
    return [known[-1], known[0]] if len(known) > 1 else []


def restless(board: Leaderboard) -> str:
    """Return which rows have seeds that differ far more than those of others; nothing without any.

    And which verdicts would be others without these rows, or without another one.
    """
    if all(row.test_mse_low is None for row in board.rows if row.seed_spread is not None):
        return ""  # there is nothing that could be less sure
    without: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in board.rows:
        for left_out, verdict in row.otherwise.items():
            without[left_out][verdict].append(row.name)
    told = []
    if found := restless_of(board.rows):
        names = listed([row.name for row in found])
        told.append(
            f"Seeds of {names} differ far more than those of other rows. How far seeds differ is estimated "
            "from all rows together, so all intervals and verdicts here are less sure than without."
        )
        if changed := without.pop(names, None):
            told.append(f"Without {'them' if len(found) > 1 else 'it'} {_in_words(changed)}.{_SURER}")
    for left_out, changed in without.items():
        told.append(
            "Rows are judged together, by how far the seeds of all differ, and a verdict hangs on that: "
            f"without {left_out} {_in_words(changed)}.{_SURER}"
        )
    return " ".join(told)


def _in_words(changed: Mapping[str, Sequence[str]]) -> str:
    """Return what verdicts would be, from the names of their rows."""
    return f"the verdict would be {'; '.join(f'{one} for {listed(names)}' for one, names in changed.items())}"


def overlap_of(records: Sequence[RunRecord]) -> Overlap | None:
    """Return how many images of a row the model it started from had been trained on, over all folds.

    None where it started from no trained model.
    """
    by_fold = {record.split.fold: record for record in records if record.initial}
    starts = [record.initial for record in by_fold.values() if record.initial]
    if not starts:
        return None
    return Overlap(
        test=_sum([start.overlap for start in starts]),
        val=_sum([start.overlap_val for start in starts]),
        n_test=sum(record.split.n_test for record in by_fold.values()),
        n_val=sum(record.split.n_val for record in by_fold.values()),
    )


def needs_row_per_precision(records: Sequence[RunRecord]) -> bool:
    """Whether a seed and fold of a combination was run in several precisions, which one row cannot hold."""
    tested = {(record.seed, record.split.fold, record.precision) for record in records}
    return len({(seed, fold) for seed, fold, _ in tested}) < len(tested)


def _learning_rates(records: Sequence[RunRecord]) -> set[str]:
    """Return the tuned learning rates of folds whose runs differ in them; each fold may have its own."""
    by_fold: dict[int, set[str]] = defaultdict(set)
    for record in records:
        if record.found.lr:
            by_fold[record.split.fold].add(f"{record.found.lr:g}")
    return set().union(*(rates for rates in by_fold.values() if len(rates) > 1))


def _sum(counts: Sequence[int | None]) -> int | None:
    """Return the sum of what is known, None where nothing is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _in_order(value: str) -> list[str | int]:
    """Sort 2.9 before 2.10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", value)]
