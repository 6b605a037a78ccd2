"""Are the intervals and tests of a leaderboard right as often as they say? Simulated, with rivals.

    python benchmarks/coverage.py

Every case draws leaderboards whose rows are equally good (coverage_boards.py). Measured are: in how many any
two rows differ significantly, how often a row's 95 % interval covers its true mean, and that of the row
with the best val MSE its own; in how many any row "beats" an equally good baseline; and, with three rows
1.5, 2 and 4 times worse, how often each is told from the row with the best val MSE, and how often the
interval of a rank covers the true one. The same with what was used before (coverage_rivals.py). It writes
results/coverage.json and COVERAGE.md; on one core of an Intel Xeon it takes 18 minutes.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from coverage_boards import Board, Case, board
from coverage_rivals import INTERVALS, TESTS, covered, interval_until_now, p_values, told_until_now

from quadzoo.report.statistics import Comparison, holm, places
from quadzoo.report.statistics.images import Images

HERE = Path(__file__).parent
OURS = "ours"
_WORSE = (1.5, 2.0, 4.0)
_ALPHA = 0.05

CASES = [
    *(
        Case(f"{images} images of spread {hardness:g}, {seeds} seeds of spread {spread:g}", images=images,
             hardness=hardness, seeds=(seeds,), spread=(spread,))
        for images, hardness in ((100, 1.0), (400, 1.0), (400, 1.5))
        for seeds, spread in ((3, 0.05), (3, 0.3), (6, 0.05), (6, 0.3))
    ),
    Case("no spread of seeds", spread=(0.0,)),
    Case("4 seeds", seeds=(4,)),
    Case("5 seeds", seeds=(5,)),
    Case("3 to 6 seeds", seeds=(3, 4, 5, 6)),
    Case("spread of seeds 1", spread=(1.0,)),
    Case("spread 0.05 or 0.5", spread=(0.05, 0.5)),
    Case("spread 0.05 or 0.5, 6 seeds", spread=(0.05, 0.5), seeds=(6,)),
    Case("spread 0.02, 0.1 or 0.5", spread=(0.02, 0.1, 0.5)),
    Case("one row of spread 1, five of 0.05", spread=(1.0, *[0.05] * 5)),
    Case("2 rows", rows=2),
    Case("2 rows, spread 0.1 and 0.5", rows=2, spread=(0.1, 0.5)),
    Case("3 rows, spread 0.1, 0.1 and 0.5", rows=3, spread=(0.1, 0.1, 0.5)),
    Case("20 rows, spread 0.05", rows=20, spread=(0.05,)),
    Case("20 rows, spread 0.3", rows=20),
    Case("20 rows, spread 0.05 or 0.5", rows=20, spread=(0.05, 0.5)),
    Case("20 rows, spread 0.02, 0.1 or 0.5", rows=20, spread=(0.02, 0.1, 0.5)),
    Case("20 rows, 30 % bad seeds", rows=20, spread=(0.1,), bad=0.3),
    Case("30 % bad seeds", spread=(0.1,), bad=0.3),
    Case("30 % bad seeds, 6 seeds", spread=(0.1,), bad=0.3, seeds=(6,)),
    Case("10 % bad seeds", spread=(0.1,), bad=0.1),
    Case("Pareto 1.8", pareto=1.8, spread=(0.1,), images=400),
    Case("Pareto 1.3", pareto=1.3, spread=(0.1,), images=400),
    Case("20 rows, Pareto 1.3", rows=20, pareto=1.3, spread=(0.1,), images=400),
    Case("rare huge errors", huge=0.01, spread=(0.1,), images=400),
    Case("20 groups of 10 images", images=200, size=10, spread=(0.2,)),
    Case("12 groups of 10 images", images=120, size=10, spread=(0.2,)),
    Case("8 groups of 10 images", images=80, size=10, spread=(0.2,)),
    Case("5 folds, 3 seeds", folds=True),
    Case("5 folds, 3 seeds, spread 0.05", folds=True, spread=(0.05,)),
    Case("5 folds, 3 seeds, 20 rows", folds=True, rows=20),
    Case("trained trees", learner="tree"),
    Case("trained ridge on random features", learner="features"),
    Case("trained trees, 5 folds", learner="tree", folds=True),
    Case("trained ridge on random features, 5 folds", learner="features", folds=True),
    Case("1 seed, no spread", seeds=(1,), spread=(0.0,)),
    Case("1 seed", seeds=(1,)),
    Case("2 seeds", seeds=(2,)),
    Case("5 folds, 1 seed", folds=True, seeds=(1,)),
    Case("20 seeds of spread 0.05, five rows of 3 and 0.5", seeds=(20, 3, 3, 3, 3, 3),
         spread=(0.05, *[0.5] * 5)),
    Case("three rows of 20 seeds of spread 0.05, three of 3 and 0.5", seeds=(20, 20, 20, 3, 3, 3),
         spread=(*[0.05] * 3, *[0.5] * 3)),
    *(
        Case(f"{images} images of spread 1.5, 3 seeds of spread 0.1", images=images, hardness=1.5,
             spread=(0.1,))
        for images in (12, 20, 40)
    ),
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--to", type=Path, default=HERE, help="folder of results/ and COVERAGE.md")
    arguments = parser.parse_args()
    cases = [measure(case, arguments.repeats) for case in CASES]
    (arguments.to / "results").mkdir(parents=True, exist_ok=True)
    (arguments.to / "results" / "coverage.json").write_text(json.dumps(cases, indent=1) + "\n")
    (arguments.to / "COVERAGE.md").write_text(page(cases))


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """Return the shares of leaderboards, or of their rows, in which each thing happened."""
    rng = np.random.default_rng(CASES.index(case))
    # What costs most is drawn half as often.
    repeats = repeats // 2 if case.rows >= 20 or case.learner else repeats
    seen: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        drawn = board(rng, case)
        for name, share in (*_of_equal_rows(drawn), *(_of_worse_rows(drawn) if case.rows > 3 else ())):
            seen[name].append(share)
    found = {name: round(float(np.mean(shares)), 4) for name, shares in seen.items()}
    return {"case": case.name, "rows": case.rows, "seeds": list(case.seeds), "repeats": repeats, **found}


def _of_equal_rows(drawn: Board) -> Iterator[tuple[str, float]]:
    ours, images = Comparison(drawn.test, drawn.groups, drawn.folds), Images(drawn.test, drawn.groups)
    rows, best = range(len(drawn.test)), _best(drawn.val)
    yield "falsely told", float((ours.p_values() < _ALPHA).any())
    told = told_until_now(drawn.test, drawn.val, images)
    yield "falsely told until now", float(told.any())
    alone = [p for row in rows if row != best and (p := ours.p_value(row, best)) is not None]
    yield "falsely told from the best", float(min(holm(alone, len(alone)), default=1.0) < _ALPHA)
    better = [versus.better for row in rows if (versus := ours.versus(row, drawn.baseline))]
    yield "falsely better than the baseline", float(min(holm(better, len(better)), default=1.0) < _ALPHA)
    for name, of in (("selected falsely better", len(rows)), ("selected falsely better, not corrected", 1)):
        versus = ours.versus(best, drawn.baseline, selected_from=of)
        yield name, float(versus is not None and versus.better < _ALPHA)
    for row in rows:
        found = ours.interval(row)
        yield "withheld", float(found is None)
        if found:
            yield "covered", float(found.low <= drawn.truth <= found.high)
            yield "runs covered", float(found.low <= drawn.runs[row] <= found.high)
    for name, row in (("covered until now", 0), ("selected covered until now", best)):
        low, high = interval_until_now(drawn.test[row], images, row)
        yield name, float(low <= drawn.truth <= high)
    for name, of in (("selected covered", len(rows)), ("selected covered, not widened", 1)):
        found = ours.interval(best, of)
        if found:
            yield name, float(found.low <= drawn.truth <= found.high)
    if min(map(len, drawn.test)) > 2 and drawn.folds is None:
        for test in TESTS:
            yield f"falsely told: {test}", float((p_values(drawn.test, images, test) < _ALPHA).any())
        for method in INTERVALS:
            yield f"covered: {method}", float(covered(drawn.test, images, drawn.truth, method).mean())


def _of_worse_rows(drawn: Board) -> Iterator[tuple[str, float]]:
    factors = np.ones(len(drawn.test))
    factors[-len(_WORSE) :] = _WORSE
    test, val = ([one * by for one, by in zip(of, factors, strict=True)] for of in (drawn.test, drawn.val))
    ours, images, best = Comparison(test, drawn.groups, drawn.folds), Images(test, drawn.groups), _best(val)
    told = ours.p_values() < _ALPHA
    before = told_until_now(test, val, images)
    for row, times in zip(range(len(test))[-len(_WORSE) :], _WORSE, strict=True):
        if factors[best] == 1:
            yield f"told {times:g}", float(told[best, row])
            yield f"told {times:g} until now", float(before[row])
    found = places(val, np.arange(len(val[0][0])))
    equal = len(test) - len(_WORSE)
    for row, place in enumerate(found):
        if place is None:
            continue
        # Equally good rows share their places.
        first, last = (1, equal) if row < equal else (row + 1, row + 1)
        yield "rank covered", float(place.low <= last and first <= place.high)
    if min(map(len, test)) > 2 and drawn.folds is None:
        for name in TESTS:
            if factors[best] == 1:
                yield f"told 4: {name}", float(p_values(test, images, name)[best, -1] < _ALPHA)


def _best(val: list[np.ndarray]) -> int:
    return int(np.argmin([table.mean() for table in val]))


def page(cases: list[dict[str, Any]]) -> str:
    """Return the tables."""
    few = [case for case in cases if min(case["seeds"]) < 3]
    enough = [case for case in cases if case not in few]
    tested = [case for case in enough if f"falsely told: {TESTS[0]}" in case]
    compared = [case for case in enough if "told 4" in case]
    power = {f"{times:g} times": f"told {times:g}" for times in _WORSE}
    repeats = max(case["repeats"] for case in cases)
    intro = f"""# How often intervals and tests are right

`python benchmarks/coverage.py`: {repeats:,} simulated leaderboards a case, half as many of 20 rows and of
trained learners, so that the standard error of a share near 5 % or 95 % is at most 1 %.
[How sure](../docs/metrics.md#how-sure) describes the methods; *was* is what was used before. All figures:
results/coverage.json. Unless a case says otherwise it has 6 rows, 3 seeds of spread 0.3 and 200 images of
spread 1. Spreads are standard deviations of logarithms.

## Three seeds and more

All rows are equally good. *told*: any two rows differ significantly (at most 6 % is the aim). *covered*: a
row's true mean lies in its interval (92 to 98 %); *best*: that of the row with the best val MSE, in the
interval that is widened for it. *baseline*: any row is significantly better than an equally good baseline;
*reader*: the row with the best val MSE is, as outside predictors and single targets are tested.
*withheld*: rows without interval. *rank*: in a leaderboard with three worse rows, the interval of a rank
covers it."""
    parts = [
        intro,
        _table(enough, {
            "told": "falsely told", "told, was": "falsely told until now", "covered": "covered",
            "covered, was": "covered until now", "best": "selected covered",
            "best, was": "selected covered until now", "baseline": "falsely better than the baseline",
            "reader": "selected falsely better", "withheld": "withheld", "rank": "rank covered",
        }),
        """How often a row that is 1.5, 2 and 4 times worse is told from the row with the best val MSE. Where
the old method tells more, see above how often it was wrong.""",
        _table(compared, power | {f"{name}, was": f"{key} until now" for name, key in power.items()}),
        """## Fewer than three seeds

No row is told from another. The interval is about the runs that were made (*runs*), not about the mean over
seeds (*row*).""",
        _table(few, {
            "told": "falsely told", "told, was": "falsely told until now", "runs": "runs covered",
            "row": "covered", "row, was": "covered until now",
        }),
        """## What lost

Other tests on the same leaderboards, corrected for all pairs by Holm's method, and ours corrected for no more
than the pairs with the best row. In how many any two of equal rows are told, and in brackets how often a row
that is 4 times worse is told from the best. All but ours take degrees of freedom from Satterthwaite (1946).
limma is Smyth (2004); outlying rows (F test, 5 %) keep their own variance, in the manner of Phipson et al.
(2016).""",
        _table(tested, {
            "ours": ("falsely told", "told 4"),
            "ours, pairs with the best": "falsely told from the best",
            **{test: (f"falsely told: {test}", f"told 4: {test}") for test in TESTS},
        }),
        "Coverage of intervals with other variances of the seeds, 2.5 % on either side.",
        _table(tested, {"ours": "covered", **{name: f"covered: {name}" for name in INTERVALS}}),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _table(cases: Sequence[dict[str, Any]], columns: dict[str, Any]) -> str:
    lines = ["| case | " + " | ".join(columns) + " |"]
    lines.append("| --- |" + " ---: |" * len(columns))
    for case in cases:
        lines.append(
            f"| {case['case']} | " + " | ".join(_cell(case, name) for name in columns.values()) + " |"
        )
    return "\n".join(lines)


def _cell(case: dict[str, Any], name: str | tuple[str, str]) -> str:
    if isinstance(name, tuple):
        first, second = (_cell(case, one) for one in name)
        return f"{first} ({second})" if second else first
    return f"{case[name]:.1%}".replace("%", " %") if name in case else ""


if __name__ == "__main__":
    main()
