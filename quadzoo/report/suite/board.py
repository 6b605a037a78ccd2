"""Backbones over several data sets: the place of each row on each set, its mean rank, its wins.

Ranks and everything else that orders rows are of val MSE, never of test.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Any, NamedTuple

from pydantic import BaseModel, Field
from scipy.stats import rankdata

from quadzoo.records.facts import DataFacts, SplitFacts
from quadzoo.records.suite import SetRequest, is_set_name, read_suite
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from quadzoo.report.rows import (
    BEST,
    DOES_NOT_BEAT,
    INCOMPLETE,
    NO_EVIDENCE,
    NOT_WORSE,
    WORSE,
    Leaderboard,
    Row,
    Unreadable,
)
from quadzoo.report.settings import differ_in
from quadzoo.report.statistics import critical_difference
from quadzoo.report.text import one_line

_FEWEST = 2  # rows to rank
_LONGEST_VARIANT = 60  # characters of it in a name


class Cell(BaseModel):
    """A row on one set: means over its ``runs`` finished runs, of ``wanted``.

    ``ratio`` is the val MSE relative to that of the set's best baseline. ``rank`` is the place among the rows
    that are finished on all sets; rows that are equal share the mean of their places. ``ambiguous`` counts
    the rows of the set's leaderboard that answer to this row's name, where they are more than one.
    """

    rank: float | None = None
    val_mse: float | None = None
    ratio: float | None = None
    test_mse: float | None = None
    runs: int = 0
    failed: int = 0
    wanted: int
    ambiguous: int = 0

    @property
    def finished(self) -> bool:
        """Whether all runs that were asked for have finished."""
        return self.val_mse is not None and not self.failed and self.runs >= self.wanted

    @property
    def wins(self) -> bool:
        """Whether the val MSE is lower than that of the set's best baseline."""
        return self.finished and self.ratio is not None and self.ratio < 1


class SuiteRow(BaseModel):
    """One backbone × head × weights on all sets.

    ``mean_rank``, its interval and ``rank``, the place by it, are None where a cell is not finished, and
    where no other row is finished on all sets. ``sets`` counts the finished cells, ``wins`` those where the
    row beats the set's best baseline, ``mean_ratio`` is the geometric mean of their ratios.
    ``verdict`` is one of those that docs/metrics.md lists. ``variant`` tells rows of one name apart.
    """

    rank: int | None = None
    backbone: str
    head: str
    weights: str
    variant: str
    name: str
    mean_rank: float | None = None
    mean_rank_low: float | None = None
    mean_rank_high: float | None = None
    wins: int = 0
    sets: int = 0
    mean_ratio: float | None = None
    verdict: str = INCOMPLETE
    cells: dict[str, Cell]

    @property
    def beats_baselines(self) -> bool:
        """Whether nothing is known against it being better than the best baselines, on average."""
        return not self.verdict.startswith(DOES_NOT_BEAT)


class SetFacts(BaseModel):
    """One set: its data and split, None before its first run, its best row, and its best baseline, by val.

    ``beaten`` says whether the best row has a lower val MSE than the best baseline, ``shown`` whether any row
    is significantly better than all baselines on the test images.
    """

    name: str
    data: DataFacts | None = None
    split: SplitFacts | None = None
    seeds: int = 0
    best: str | None = None
    best_val_mse: float | None = None
    best_test_mse: float | None = None
    baseline: str | None = None
    baseline_val_mse: float | None = None
    baseline_test_mse: float | None = None
    beaten: bool | None = None
    shown: bool = False


class SuiteBoard(BaseModel):
    """The rows of a suite, best mean rank first, and its sets in the order of the suite's file.

    ``boards`` are the sets' own leaderboards, ``others`` the numbers of further leaderboards in a set's
    folder, for other data or splits; ``strangers`` are folders with runs that are none of the suite's.
    ``unreadable`` are runs that could not be read, and ``errors`` say which sets could not be run to their
    end, and why.
    """

    sets: list[SetFacts]
    rows: list[SuiteRow]
    critical_difference: float | None
    boards: dict[str, Leaderboard] = Field(exclude=True)
    others: dict[str, int] = {}
    strangers: list[str] = []
    unreadable: dict[str, list[Unreadable]] = {}
    errors: dict[str, str] = {}

    @property
    def best(self) -> SuiteRow | None:
        """The row with the best mean rank."""
        return next((row for row in self.rows if row.rank), None)

    @property
    def ranked(self) -> list[SuiteRow]:
        """The rows with a mean rank."""
        return [row for row in self.rows if row.rank]

    @property
    def counted(self) -> list[SetFacts]:
        """The sets that have a finished row, over which mean ranks are taken."""
        return [one for one in self.sets if one.best is not None]


def read_suite_board(out: Path, errors: Mapping[str, str] | None = None) -> SuiteBoard:
    """Return the board of a suite's results folder. Raises DataError where OUT/suite.json cannot be read."""
    suite = read_suite(out)
    boards: dict[str, Leaderboard] = {}
    others, unreadable = {}, {}
    for name, request in suite.sets.items():
        results = read_runs([out / name])
        found = leaderboards(results.runs, results.unreadable, results.answers)
        asked = (request.data_hash, request.split_hash)
        for one in found:
            if (one.data.hash, one.split.whole) == asked:
                boards[name] = one
        others[name] = len(found) - (name in boards)
        unreadable[name] = results.unreadable
    board = suite_board(suite.sets, boards)
    board.others = {name: number for name, number in others.items() if number}
    board.unreadable = {name: some for name, some in unreadable.items() if some}
    board.errors = dict(errors or {})
    board.strangers = sorted(
        entry.name
        for entry in os.scandir(out)
        if entry.name not in suite.sets
        and is_set_name(entry.name)
        and os.path.isdir(out / entry.name / "runs")
    )
    return board


def suite_board(requests: Mapping[str, SetRequest], boards: Mapping[str, Leaderboard]) -> SuiteBoard:
    """Return the rows of a suite from the leaderboards of its sets, by the sets' names."""
    sets = {name: _facts(name, request, boards.get(name)) for name, request in requests.items()}
    rows = _rows({name: boards[name] for name in sets if name in boards}, sets)
    # The order of rows and the best of a set are those among finished cells.
    for name, one in sets.items():
        finished = [(row.cells[name], row.name) for row in rows if row.cells[name].finished]
        if finished:
            cell, one.best = min(finished, key=lambda pair: (pair[0].val_mse or 0.0, pair[1]))
            one.best_val_mse, one.best_test_mse = cell.val_mse, cell.test_mse
            one.beaten = None if one.baseline is None else cell.wins
    width = _rank(rows, [one for one in sets.values() if one.best is not None])
    rows.sort(key=lambda row: (row.rank is None, row.mean_rank or 0.0, -row.sets, -row.wins, row.name))
    return SuiteBoard(
        sets=list(sets.values()), rows=rows, critical_difference=width,
        boards={name: boards[name] for name in sets if name in boards},
    )  # fmt: skip


def _facts(name: str, request: SetRequest, board: Leaderboard | None) -> SetFacts:
    if board is None:
        return SetFacts(name=name, seeds=request.seeds)
    facts = SetFacts(
        name=name,
        data=board.data,
        split=board.split,
        # A later bench may have asked for fewer seeds than an earlier one: means of fewer are not comparable.
        seeds=max([request.seeds, *(row.seeds for row in board.rows)]),
    )
    if best := board.best_baseline:
        facts.baseline, facts.baseline_val_mse = best.backbone, best.val_mse
        facts.baseline_test_mse = best.test_mse
    facts.shown = any(row.rank and row.beats_baselines and row.p_baseline is not None for row in board.rows)
    return facts


class _Names(NamedTuple):
    """What a row is called on every set."""

    backbone: str
    head: str
    weights: str
    variant: str = ""


def _rows(boards: Mapping[str, Leaderboard], sets: Mapping[str, SetFacts]) -> list[SuiteRow]:
    """Return the rows, without ranks. A row that a set's leaderboard lacks has a cell without runs there."""
    trained = {name: [row for row in board.rows if row.head != "-"] for name, board in boards.items()}
    differ = _what_differs(trained.values())
    found: dict[_Names, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for name, members in trained.items():
        for row in members:
            plain, facts = _plain(row), _variant_facts(row)
            told = [f"{field} {facts.get(field, '-')}" for field in differ[plain]]
            found[plain._replace(variant=", ".join([plain.variant] * bool(plain.variant) + told))][
                name
            ].append(row)
    rows = []
    for names, by_set in found.items():
        cells = {name: _cell(one, by_set.get(name, [])) for name, one in sets.items()}
        ratios = [cell.ratio for cell in cells.values() if cell.finished and cell.ratio is not None]
        rows.append(
            SuiteRow(
                **names._asdict(),
                name=_name(names, found),
                cells=cells,
                sets=sum(cell.finished for cell in cells.values()),
                wins=sum(cell.wins for cell in cells.values()),
                mean_ratio=(geometric_mean(ratios) if all(ratios) else 0.0) if ratios else None,
            )
        )
    return rows


def _plain(row: Row) -> _Names:
    return _Names(
        row.backbone,
        row.head,
        f"{row.weights}, frozen" if row.frozen else row.weights,
        f"tune {row.tuned.request}" if row.tuned else "",
    )


def _what_differs(boards: Iterable[Sequence[Row]]) -> dict[_Names, list[str]]:
    """Return, by name, in what the rows of one name differ where a set has several of them.

    What differs only between sets, such as the size of their images, does not tell rows apart.
    """
    differ: dict[_Names, list[str]] = defaultdict(list)
    for rows in boards:
        same: dict[_Names, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            same[_plain(row)].append(_variant_facts(row))
        for names, facts in same.items():
            differ[names] += [field for field in differ_in(facts) if field not in differ[names]]
    return differ


def _variant_facts(row: Row) -> dict[str, Any]:
    """Return what a row's runs share and can be told by, by the words for it."""
    facts = {"precision": row.precision, "size": row.image_size, "plugins": row.plugins}
    return {**(row.recipe or {}), **facts}


def _name(names: _Names, every: Iterable[_Names]) -> str:
    """Return backbone and head, and of weights and variant what is needed to tell the row from others."""
    same = [one for one in every if one[:2] == names[:2]]
    told = [names.weights] if len({one.weights for one in same}) > 1 else []
    told += [one_line(names.variant, _LONGEST_VARIANT)] if names.variant else []
    return f"{names.backbone} + {names.head}" + (f" ({', '.join(told)})" if told else "")


def _cell(one: SetFacts, rows: Sequence[Row]) -> Cell:
    wanted = one.seeds * (one.split.folds if one.split else 1)
    if len(rows) != 1:
        return Cell(wanted=wanted, ambiguous=len(rows))
    (row,) = rows
    ratio = None
    if row.val_mse is not None and one.baseline_val_mse:
        ratio = row.val_mse / one.baseline_val_mse
    return Cell(
        val_mse=row.val_mse,
        ratio=ratio,
        test_mse=row.test_mse,
        runs=sum(cost.runs for cost in row.costs),
        failed=row.failed,
        wanted=wanted,
    )


def _rank(rows: list[SuiteRow], counted: Sequence[SetFacts]) -> float | None:
    """Set ranks and verdicts of the rows finished on all counted sets; return the critical difference.

    The others are left out of the ranking on every set: on some only, they would shift the ranks there.
    """
    names = [one.name for one in counted]
    whole = [row for row in rows if counted and all(row.cells[name].finished for name in names)]
    for row in whole:
        row.verdict = ""
    width = _rank_whole(whole, names) if len(whole) >= _FEWEST else None
    if any(one.baseline for one in counted):
        for row in whole:
            # A set whose best baseline has no error has no ratio, and is no win.
            if not row.wins or (row.mean_ratio or 0.0) >= 1:
                row.verdict = f"{DOES_NOT_BEAT} the baselines"
    return width


def _rank_whole(whole: Sequence[SuiteRow], names: Sequence[str]) -> float:
    """Set ranks and verdicts of rows that are finished on all sets; return the critical difference."""
    for name in names:
        places = rankdata([row.cells[name].val_mse for row in whole])
        for row, place in zip(whole, places, strict=True):
            row.cells[name].rank = float(place)
    for row in whole:
        row.mean_rank = fmean(row.cells[name].rank or 0.0 for name in names)
    width = critical_difference(len(whole), len(names))
    best = min(row.mean_rank or 0.0 for row in whole)
    for row in whole:
        mean = row.mean_rank or 0.0
        row.rank = 1 + sum((other.mean_rank or 0.0) < mean for other in whole)
        row.verdict = BEST if row.rank == 1 else WORSE if mean - best >= width else NOT_WORSE
        if width > len(whole) - 1:  # more than mean ranks can differ by, on so few sets
            row.verdict = NO_EVIDENCE
        row.mean_rank_low = max(1.0, mean - width / 2)
        row.mean_rank_high = min(float(len(whole)), mean + width / 2)
    return width


def overlapping(board: SuiteBoard, row: SuiteRow) -> list[SuiteRow]:
    """Return the other rows whose mean rank is not significantly different from that of a row."""
    width = board.critical_difference
    if width is None or row.mean_rank is None:
        return []
    return [
        other
        for other in board.ranked
        if other is not row and abs((other.mean_rank or 0.0) - row.mean_rank) < width
    ]
