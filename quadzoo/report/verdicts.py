"""What may be said of each row: its rank, its interval, and whether it beats the baselines and the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

import numpy as np
import pandas as pd

from quadzoo.records.baseline import MEAN
from quadzoo.report.baselines import by_strength, in_words, is_of_features
from quadzoo.report.caveats import ends_of, restless_of
from quadzoo.report.errors import val_errors_of
from quadzoo.report.judged import Compared, Judged, Simple, among, best_beside_others, comparisons
from quadzoo.report.rows import (
    BEST,
    DOES_NOT_BEAT,
    NO_EVIDENCE,
    NOT_WORSE,
    WORSE,
    Row,
    Unread,
)
from quadzoo.report.statistics import FEWEST_SEEDS, Comparison, holm, places
from quadzoo.report.text import listed

ALPHA = 0.05  # the level of all tests
READ = 0.02  # R²: a smaller one is nothing read, however many images there are
_MOST_TARGETS = 50  # that are tested one by one


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
    rows = [one.row for one in ranked]
    if rows:
        _set_verdicts(rows, compared, known)
    for simple in baselines:
        if simple.answers:
            set_interval(simple.row, pd.concat([one.answered.table for one in simple.answers]))
    if against := [one for one in known if ranked and _is_held_against(ranked[0].row, one.row)]:
        _find_unread(ranked, baselines, against[0])
    if alone := restless_of(rows):
        _judge_without(alone, rows, compared, known)
    for row in ends_of(rows):
        _judge_first_without(row, rows, compared, known)


def _set_verdicts(rows: Sequence[Row], compared: Sequence[Compared], known: Sequence[Simple]) -> None:
    """Set the verdicts of ranked rows, against baselines that are ``known``, the strongest first."""
    best, *others = rows
    for row in rows:
        if best.test_mse and row.test_mse is not None:
            row.times_best = row.test_mse / best.test_mse
    best.verdict = _of_best(best, compared)
    for row in others:
        row.verdict = NOT_WORSE
    _compare_with_best(rows, compared)
    for row in others:
        if row.seeds < FEWEST_SEEDS or row.p_value is None:
            row.verdict = NO_EVIDENCE
    for baseline in reversed(known):  # the best by val has the last word
        p_values = _against(baseline, compared)
        for position, row in enumerate(rows):
            _compare_with_baseline(row, baseline.row, p_values.get(position))


def _of_best(row: Row, compared: Sequence[Compared]) -> str:
    """Return the verdict of the first of the rows, before a look at baselines."""
    untold = any(0 in one.place and one.comparison.withheld(one.place[0]) for one in compared)
    return NO_EVIDENCE if untold or row.seeds < FEWEST_SEEDS else BEST


def _judge_without(
    alone: Sequence[Row], rows: Sequence[Row], compared: Sequence[Compared], known: Sequence[Simple]
) -> None:
    """Set the verdicts that would be others without some rows, where the best row stays what it is."""
    left = _left(rows, alone)
    if not left or left[0]:
        return
    others = [rows[place].model_copy(update={"p_value": None, "p_baseline": None}) for place in left]
    _set_verdicts(others, among(compared, left), known)
    for place, other in zip(left, others, strict=True):
        if other.verdict != rows[place].verdict:
            rows[place].otherwise[listed([one.name for one in alone])] = other.verdict


def _judge_first_without(
    alone: Row, rows: Sequence[Row], compared: Sequence[Compared], known: Sequence[Simple]
) -> None:
    """Set the verdict that the best row would have without another, where it is not the same.

    Without the best row itself it is that of the second, where neither beats the baselines beside the other.
    """
    left = _left(rows, [alone])
    row, compared = rows[left[0]], among(compared, left)
    other = row.model_copy(update={"p_baseline": None, "verdict": _of_best(row, compared)})
    for baseline in reversed(known):
        _compare_with_baseline(other, baseline.row, _against(baseline, compared).get(0))
    if other.verdict != row.verdict and (row.rank == 1 or not (alone.beats_baselines or row.beats_baselines)):
        row.otherwise[alone.name] = other.verdict


def _left(rows: Sequence[Row], alone: Sequence[Row]) -> list[int]:
    return [place for place, row in enumerate(rows) if all(row is not one for one in alone)]


def set_intervals(networks: Sequence[Judged], *, chosen: bool = False) -> list[Compared]:
    """Set the intervals of rows, and return their comparisons: one for all rows with the same test images.

    ``chosen`` says that the first row was chosen from all by its val MSE.
    """
    compared = comparisons(networks)
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
    chosen = best_beside_others(ranked)
    if chosen and not chosen.ids.difference(test.index).size:
        errors = test["error"].loc[chosen.ids].to_numpy()
        versus = chosen.comparison.versus(0, errors, selected_from=len(ranked))
        row.p_value = versus.different if versus else None


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


def _compare_with_best(rows: Sequence[Row], compared: Sequence[Compared]) -> None:
    """Set p-value and verdict of each row that was tested on the images of the best."""
    best = rows[0]
    for one in compared:
        if 0 not in one.place:
            continue
        p_values = one.comparison.p_values()[:, one.place[0]]
        for position, place in one.place.items():
            row, p = rows[position], float(p_values[place])
            if row is best or np.isnan(p):
                continue
            row.p_value = p
            if p < ALPHA and (row.test_mse or 0.0) > (best.test_mse or 0.0):
                row.verdict = WORSE


def _against(baseline: Simple, compared: Sequence[Compared]) -> dict[int, float]:
    """Return the p-values of "the row is not better than a baseline" of those that can be tested.

    By Holm's method, so that of all rows none seems better by chance.
    """
    found: dict[int, float] = {}
    for comparison, positions, ids in compared:
        errors = baseline.errors(ids)
        versus = [None] * len(positions) if errors is None else comparison.every_versus(errors)
        found |= {position: one.better for position, one in zip(positions, versus, strict=True) if one}
    return dict(zip(found, holm(list(found.values()), len(found)), strict=True))


def _compare_with_baseline(row: Row, baseline: Row, p: float | None) -> None:
    """Set the verdict of a row that does not beat a baseline.

    It must be lower by val, and, where at least three seeds allow a test, significantly so on the test
    images, which ``p`` tells. Where the baseline has left no predictions to test against, the means of three
    seeds and more must be lower on test, too. A row that is ridge regression on features itself need not
    beat that.
    """
    if not _is_held_against(row, baseline):
        return
    beats = (row.val_mse or 0.0) < (baseline.val_mse or 0.0)
    if p is not None:
        row.p_baseline = max(p, row.p_baseline or 0.0)
        beats &= p < ALPHA
    elif row.seeds >= FEWEST_SEEDS and baseline.test_mse is not None:
        beats &= (row.test_mse or 0.0) < baseline.test_mse
        row.p_baseline = row.p_baseline if beats else None  # those of others say nothing
    if not beats:
        row.verdict = f"{DOES_NOT_BEAT} {in_words(baseline.backbone)}"


def _is_held_against(row: Row, baseline: Row) -> bool:
    return not (row.closed_form and is_of_features(baseline.backbone))


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
    of_target = cache(partial(best_beside_others, ranked))
    for baseline in dict.fromkeys(one.row.backbone for one in against):
        simple = next(one for one in against if one.row.backbone == baseline)
        failed = _not_better(ranked, simple, open_targets, of_target)
        if simple is not strongest:
            masked = _no_lower(best.row, strongest.row, [one for one, by_test in failed.items() if by_test])
            failed = {target: by_test for target, by_test in failed.items() if target not in masked}
        best.row.unread += [
            Unread(target=target, r2=(best.row.test_r2 or {}).get(target), baseline=baseline, open=by_test)
            for target, by_test in failed.items()
        ]
        open_targets = [target for target in open_targets if target not in failed]


def _not_better(
    ranked: Sequence[Judged],
    baseline: Simple,
    targets: Sequence[str],
    of_target: Callable[[str], Compared | None],
) -> dict[str, bool]:
    """Return the targets that the best row does not read better than a baseline, and whether by a test alone.

    Without a test its mean error says so. ``of_target`` returns the best row's comparison of a target.
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
        one = of_target(target)
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
