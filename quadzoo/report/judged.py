"""Rows that are judged together: by their errors on the same test images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from operator import not_
from typing import NamedTuple

import numpy as np
import pandas as pd

from quadzoo.report.errors import Errors, errors_of
from quadzoo.report.results import Answer, Run
from quadzoo.report.rows import INCOMPLETE, Row
from quadzoo.report.statistics import FEWEST_SEEDS, Comparison, Folds

_MOST_ROWS = 100  # from which it is seen how far seeds differ


@dataclass(frozen=True, eq=False)
class Judged:
    """A row with a model, and its runs with predictions."""

    row: Row
    tests: list[Run]

    @cached_property
    def errors(self) -> Errors | None:
        """The errors of the runs; None without predictions."""
        return errors_of(self.tests) if self.tests else None


class Simple(NamedTuple):
    """A row without a model, and its answers, one a fold; none where they are not kept."""

    row: Row
    answers: list[Answer]

    def errors(self, index: pd.Index, target: str | None = None) -> np.ndarray | None:
        """Return the squared errors of the images with these ids, float64 (N,); None where one has none."""
        if not self.answers:
            return None
        place = None if target is None else self.answers[0].record.targets.index(target)
        folds = [one.answered for one in self.answers]
        errors = pd.concat([pd.Series(one.squared_error(place), one.ids) for one in folds])
        return None if index.difference(errors.index).size else errors.loc[index].to_numpy()


class Compared(NamedTuple):
    """Rows that were tested on the same images, by their positions, and what can be said of them."""

    comparison: Comparison
    place: dict[int, int]  # by the position of the row among all
    ids: pd.Index


def among(compared: Sequence[Compared], left: Sequence[int]) -> list[Compared]:
    """Return the comparisons of the rows at some positions, which are numbered anew, without the others."""
    found = []
    for comparison, places_of, ids in compared:
        places = {position: places_of[old] for position, old in enumerate(left) if old in places_of}
        if places:
            fewer = comparison.among([*places.values()])
            found.append(Compared(fewer, {position: n for n, position in enumerate(places)}, ids))
    return found


def comparisons(networks: Sequence[Judged]) -> list[Compared]:
    """Return what can be said of rows, and set how far their seeds differ, or why nothing can be said."""
    found: dict[tuple[str, ...], list[tuple[int, Errors]]] = defaultdict(list)
    for position, one in enumerate(networks):
        errors = one.errors
        if errors is None or not len(errors.table):
            continue
        n_seeds = errors.table.shape[1]
        if one.row.verdict == INCOMPLETE:
            one.row.covers = "not trained in full" if one.row.halved else "runs failed or are missing"
        elif n_seeds < one.row.seeds:
            one.row.covers = f"predictions of {n_seeds} of {one.row.seeds} seeds for all images"
        else:
            found[tuple(sorted(errors.ids))].append((position, errors))
            means = errors.table.mean(axis=0)
            if n_seeds >= FEWEST_SEEDS and (means > 0).all():
                one.row.seed_spread = float(np.log(means).std(ddof=1))
    compared = []
    for members in found.values():
        everyone = _compared(networks, members)
        withheld = [bool(everyone.comparison.withheld(place)) for place in range(len(members))]
        if not any(withheld):
            compared.append(everyone)
            continue
        alone = list(compress(members, withheld))
        together = list(compress(members, map(not_, withheld)))
        # The seeds of all rows are seen together; one that nothing can be said of says nothing of others.
        compared += [_compared(networks, some) for some in (together, *([one] for one in alone)) if some]
    return compared


def best_beside_others(ranked: Sequence[Judged], target: str | None = None) -> Compared | None:
    """Return the best row beside others that were tested on its images: they tell how far seeds differ.

    None where it has no predictions. With ``target`` it is about that alone.
    """
    found = [
        (place, errors_of(one.tests, target)) for place, one in enumerate(ranked[:_MOST_ROWS]) if one.tests
    ]
    if not found or found[0][0] or not len(found[0][1].table):
        return None
    ids = {*found[0][1].ids}
    members = [one for one in found if {*one[1].ids} == ids]
    everyone = _compared(ranked, members)
    sound = [one for n, one in enumerate(members) if not n or not everyone.comparison.withheld(n)]
    return everyone if len(sound) == len(members) else _compared(ranked, sound)


def _compared(networks: Sequence[Judged], members: Sequence[tuple[int, Errors]]) -> Compared:
    first = members[0][1]
    folds = None
    if len({*first.folds.tolist()}) > 1:
        sizes = [run.record.split.n_train for run in networks[members[0][0]].tests]
        folds = Folds(first.folds, float(np.mean(sizes)))
    tables = [errors.of(first.ids).table.T for _, errors in members]
    comparison = Comparison(tables, first.groups, folds)
    return Compared(comparison, {position: n for n, (position, _) in enumerate(members)}, first.ids)
