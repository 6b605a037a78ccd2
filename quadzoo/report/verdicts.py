"""What may be said of each row: its rank, its interval, and whether it beats the baselines and the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from operator import not_
from typing import NamedTuple

import numpy as np
import pandas as pd

from quadzoo.records.baseline import MEAN
from quadzoo.report.baselines import by_strength, in_words
from quadzoo.report.caveats import ends_of, restless_of
from quadzoo.report.results import Answer, Errors, Run, errors_of, squared_error, val_errors_of
from quadzoo.report.rows import (
    BEST,
    DOES_NOT_BEAT,
    INCOMPLETE,
    NO_EVIDENCE,
    NOT_WORSE,
    WORSE,
    Row,
    Unread,
)
from quadzoo.report.statistics import FEWEST_SEEDS, Comparison, Folds, holm, places
from quadzoo.report.text import listed

ALPHA = 0.05  # the level of all tests
READ = 0.02  # R²: a smaller one is nothing read, however many images there are
_MOST_TARGETS = 50  # that are tested one by one
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
        errors = pd.concat([squared_error(one.test, one.record.targets, target) for one in self.answers])
        return None if index.difference(errors.index).size else errors.loc[index].to_numpy()


def by_val(row: Row) -> tuple[bool, float, str, str]:
    """Order by mean val MSE, never by test; rows without a score come last."""
    return row.val_mse is None, row.val_mse or 0.0, row.backbone, row.head


def seeds_of(rows: Iterable[Row]) -> list[int]:
    """Return the number of seeds of each row that can be ranked, or of all where none can.

    An incomplete row has no place in the order, so that its seeds tell nothing of it.
    """
    known = [row for row in rows if row.seeds]
    return [row.seeds for row in [row for row in known if row.complete] or known]


def judge(networks: Sequence[Judged], baselines: Sequence[Simple]) -> None:
    """Set ranks, intervals and verdicts of the rows with a model, and which verdicts hang on other rows."""
    ranked = sorted((one for one in networks if one.row.complete), key=lambda one: by_val(one.row))
    set_intervals([one for one in networks if not one.row.complete])
    compared = set_intervals(ranked, chosen=True)
    _set_ranks(ranked)
    known = sorted(
        (one for one in baselines if one.row.val_mse is not None),
        key=lambda one: by_strength(one.row.backbone, one.row.val_mse),
    )
    _set_verdicts(ranked, compared, known)
    for simple in baselines:
        if simple.answers:
            set_interval(simple.row, pd.concat([one.test for one in simple.answers]))
    if known and ranked:
        _find_unread(ranked, baselines, known[0])
    if alone := restless_of([one.row for one in ranked]):
        _judge_without(alone, ranked, known)
    for row in ends_of([one.row for one in ranked]):
        _judge_first_without(row, ranked, known)


def _set_verdicts(ranked: Sequence[Judged], compared: Sequence[_Compared], known: Sequence[Simple]) -> None:
    """Set the verdicts of ranked rows, against baselines that are ``known``, the strongest first."""
    for one in ranked:
        best = ranked[0].row
        one.row.verdict = BEST if one.row is best else NOT_WORSE
        if best.test_mse and one.row.test_mse is not None:
            one.row.times_best = one.row.test_mse / best.test_mse
    _compare_with_best(ranked, compared)
    untold = {position for one in compared for position in one.withheld}
    for position, one in enumerate(ranked):
        untested = one.row.p_value is None if position else position in untold
        if one.row.seeds < FEWEST_SEEDS or untested:
            one.row.verdict = NO_EVIDENCE
    for baseline in reversed(known):  # the best by val has the last word
        _compare_with_baseline(ranked, compared, baseline)


def _judged_without(
    alone: Sequence[Row], ranked: Sequence[Judged], known: Sequence[Simple]
) -> list[tuple[Row, Row]]:
    """Return each other row, the best by val first, and a copy of it with the verdict that it would have."""
    left = [one for one in ranked if all(one.row is not row for row in alone)]
    fresh = {"p_value": None, "p_baseline": None}
    others = [Judged(one.row.model_copy(update=fresh), one.tests) for one in left]
    _set_verdicts(others, _comparisons(others), known)
    return [(one.row, other.row) for one, other in zip(left, others, strict=True)]


def _judge_without(alone: Sequence[Row], ranked: Sequence[Judged], known: Sequence[Simple]) -> None:
    """Set the verdicts that would be others without some rows, where the best row stays what it is."""
    pairs = _judged_without(alone, ranked, known)
    for row, other in pairs if pairs and pairs[0][0].rank == 1 else ():
        if other.verdict != row.verdict:
            row.otherwise[listed([one.name for one in alone])] = other.verdict


def _judge_first_without(alone: Row, ranked: Sequence[Judged], known: Sequence[Simple]) -> None:
    """Set the verdict that the best row would have without another, where it is not the same.

    Without the best row itself it is that of the second, where neither beats the baselines beside the other.
    """
    row, other = _judged_without([alone], ranked, known)[0]
    if other.verdict != row.verdict and (row.rank == 1 or not (alone.beats_baselines or row.beats_baselines)):
        row.otherwise[alone.name] = other.verdict


class _Compared(NamedTuple):
    """Rows that were tested on the same images, by their positions, and what can be said of them."""

    comparison: Comparison
    place: dict[int, int]  # by the position of the row among all
    ids: pd.Index

    @property
    def withheld(self) -> list[int]:
        """The positions of rows that nothing can be said of."""
        return [position for position, place in self.place.items() if self.comparison.withheld(place)]


def set_intervals(networks: Sequence[Judged], *, chosen: bool = False) -> list[_Compared]:
    """Set the intervals of rows, and return their comparisons: one for all rows with the same test images.

    ``chosen`` says that the first row was chosen from all by its val MSE.
    """
    compared = _comparisons(networks)
    for comparison, positions, _ in compared:
        for position, place in positions.items():
            row = networks[position].row
            from_rows = len(networks) if chosen and position == 0 else 1
            ends = comparison.interval(place, selected_from=from_rows)
            if ends is None:
                row.covers = comparison.without_interval(place)
                continue
            row.test_mse_low, row.test_mse_high = ends
            few = row.seeds < FEWEST_SEEDS
            row.covers = "this run, test images only" if few else "test images and seeds"
            if not few and from_rows > 1:
                row.covers = f"test images, seeds and the choice from {from_rows} rows"
    return compared


def _comparisons(networks: Sequence[Judged]) -> list[_Compared]:
    """Return what can be said of rows, and set how far their seeds differ, or why nothing can be said."""
    found: dict[tuple[str, ...], list[tuple[int, Errors]]] = defaultdict(list)
    for position, one in enumerate(networks):
        errors = one.errors
        if errors is None or not len(errors.table):
            continue
        n_seeds = errors.table.shape[1]
        if one.row.verdict == INCOMPLETE:
            one.row.covers = "runs failed or are missing"
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


def set_interval(row: Row, test: pd.DataFrame) -> None:
    """Set the interval of a row without runs of its own, from the table of its test images."""
    comparison = Comparison([test["error"].to_numpy()[None]], test["image_group"].to_numpy())
    ends = comparison.interval(0)
    row.covers = comparison.without_interval(0) or "these predictions, test images only"
    if ends is not None:
        row.test_mse_low, row.test_mse_high = ends


def compare_with_baselines(row: Row, test: pd.DataFrame, baselines: Sequence[Simple]) -> None:
    """Set whether a row without seeds, such as an ensemble, beats all baselines on the test images.

    It is judged as it is: other seeds might make another one. Without a test the means must be lower.
    """
    comparison = Comparison([test["error"].to_numpy()[None]], test["image_group"].to_numpy())
    failed = []
    for baseline in baselines:
        other = baseline.row.test_mse
        if other is None or row.test_mse is None:
            continue
        errors = baseline.errors(test.index)
        versus = None if errors is None else comparison.versus(0, errors, as_it_is=True)
        if versus is not None:
            row.p_baseline = max(versus.better, row.p_baseline or 0.0)
        if row.test_mse >= other or (versus is not None and versus.better >= ALPHA):
            failed.append((other, baseline.row.backbone))
    if failed:
        row.verdict = f"{DOES_NOT_BEAT} {in_words(min(failed)[1])}"


def compare_with_best(row: Row, test: pd.DataFrame, ranked: Sequence[Judged]) -> None:
    """Set how a row without seeds compares with the best of the ranked rows on the same test images."""
    best = ranked[0].row
    if best.test_mse and row.test_mse is not None:
        row.times_best = row.test_mse / best.test_mse
    chosen = _chosen(ranked)
    if chosen and not chosen.ids.difference(test.index).size:
        errors = test["error"].loc[chosen.ids].to_numpy()
        versus = chosen.comparison.versus(0, errors, selected_from=len(ranked))
        row.p_value = versus.different if versus else None


def _chosen(ranked: Sequence[Judged], target: str | None = None) -> _Compared | None:
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


def _compared(networks: Sequence[Judged], members: Sequence[tuple[int, Errors]]) -> _Compared:
    first = members[0][1]
    folds = None
    if len({*first.folds.tolist()}) > 1:
        sizes = [run.record.split.n_train for run in networks[members[0][0]].tests]
        folds = Folds(first.folds, float(np.mean(sizes)))
    tables = [errors.of(first.ids).table.T for _, errors in members]
    comparison = Comparison(tables, first.groups, folds)
    return _Compared(comparison, {position: n for n, (position, _) in enumerate(members)}, first.ids)


def _set_ranks(ranked: Sequence[Judged]) -> None:
    """Set the ranks, by val MSE, and how sure they are."""
    for number, one in enumerate(ranked):
        one.row.rank = number + 1
    if len(ranked) < 2:
        return  # it is the first of one
    errors = [val_errors_of(one.tests) for one in ranked]
    known = [one for one in errors if one is not None]
    if len(known) < len(ranked) or any(not known[0].ids.equals(one.ids) for one in known):
        return
    found = places([one.table.T for one in known], known[0].groups)
    for one, place in zip(ranked, found, strict=True):
        if place is not None:
            one.row.rank_low, one.row.rank_high, one.row.p_best = place


def _compare_with_best(ranked: Sequence[Judged], compared: Sequence[_Compared]) -> None:
    """Set p-value and verdict of each row that was tested on the images of the best."""
    for one in compared:
        if 0 not in one.place:
            continue
        p_values = one.comparison.p_values()
        for position, place in one.place.items():
            row, best = ranked[position].row, ranked[0].row
            p = p_values[place, one.place[0]]
            if row is best or np.isnan(p):
                continue
            row.p_value = float(p)
            if p < ALPHA and (row.test_mse or 0.0) > (best.test_mse or 0.0):
                row.verdict = WORSE


def _compare_with_baseline(ranked: Sequence[Judged], compared: Sequence[_Compared], baseline: Simple) -> None:
    """Set the verdict of each row that does not beat a baseline.

    It must be lower by val, and, where at least three seeds allow a test, significantly so on the test
    images: by Holm's method, so that of all rows none seems better by chance. Where the baseline has left no
    predictions to test against, the means of three seeds and more must be lower on test, too.
    """
    found: dict[int, float] = {}
    for comparison, positions, ids in compared:
        errors = baseline.errors(ids)
        versus = [None] * len(positions) if errors is None else comparison.every_versus(errors)
        found |= {position: one.better for position, one in zip(positions, versus, strict=True) if one}
    for position, p in zip(found, holm(list(found.values()), len(found)), strict=True):
        row = ranked[position].row
        row.p_baseline = max(p, row.p_baseline or 0.0)
        found[position] = p
    for position, one in enumerate(ranked):
        row = one.row
        beats = (row.val_mse or 0.0) < (baseline.row.val_mse or 0.0)
        if position in found:
            beats &= found[position] < ALPHA
        elif row.seeds >= FEWEST_SEEDS and baseline.row.test_mse is not None:
            beats &= (row.test_mse or 0.0) < baseline.row.test_mse
            row.p_baseline = row.p_baseline if beats else None  # those of others say nothing
        if not beats:
            row.verdict = f"{DOES_NOT_BEAT} {in_words(baseline.row.backbone)}"


def _find_unread(ranked: Sequence[Judged], baselines: Sequence[Simple], strongest: Simple) -> None:
    """Name the targets that the best row does not read better than the mean, or than the best baseline.

    A lower error of the best baseline says more than a test against the mean that leaves a target open.
    """
    best = ranked[0]
    mean = next((one for one in baselines if one.row.backbone == MEAN), None)
    against = [one for one in (mean, strongest) if one is not None]
    shares = (mean.row.test_r2 if mean else None) or {}
    # Of a target that is one number in test nothing can be said.
    open_targets = [one for one in best.row.test_rmse or {} if shares.get(one, 0.0) is not None]
    for baseline in dict.fromkeys(one.row.backbone for one in against):
        simple = next(one for one in against if one.row.backbone == baseline)
        failed = _not_better(ranked, simple, open_targets)
        if simple is not strongest:
            masked = _no_lower(best.row, strongest.row, [one for one, by_test in failed.items() if by_test])
            failed = {target: by_test for target, by_test in failed.items() if target not in masked}
        best.row.unread += [
            Unread(target=target, r2=(best.row.test_r2 or {}).get(target), baseline=baseline, open=by_test)
            for target, by_test in failed.items()
        ]
        open_targets = [target for target in open_targets if target not in failed]


def _not_better(ranked: Sequence[Judged], baseline: Simple, targets: Sequence[str]) -> dict[str, bool]:
    """Return the targets that the best row does not read better than a baseline, and whether by a test alone.

    Without a test its mean error says so.
    """
    best = ranked[0]
    failed = {target: False for target in _no_lower(best.row, baseline.row, targets)}
    if baseline.row.backbone == MEAN:
        shares = best.row.test_r2 or {}
        failed |= {one: False for one in targets if (share := shares.get(one)) is not None and share < READ}
    p_values = {}
    for target in targets if len(targets) <= _MOST_TARGETS else ():
        if target in failed or not best.tests:
            continue
        one = _chosen(ranked, target)
        if one is None:
            break
        others = baseline.errors(one.ids, target)
        versus = None if others is None else one.comparison.versus(0, others, selected_from=len(ranked))
        if versus is not None:
            p_values[target] = versus.better
    for target, p in zip(p_values, holm(list(p_values.values()), len(p_values)), strict=True):
        if p >= ALPHA:
            failed[target] = True
    return {target: failed[target] for target in targets if target in failed}


def _no_lower(row: Row, baseline: Row, targets: Iterable[str]) -> list[str]:
    """Return the targets of which a row's error is no lower than that of a baseline."""
    own, other = row.test_rmse or {}, baseline.test_rmse or {}
    return [target for target in targets if target in other and own[target] >= other[target]]
