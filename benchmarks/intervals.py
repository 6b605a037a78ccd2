"""How often do intervals contain the truth? INTERVALS.md, from the records in results/leaderboard.

    python benchmarks/intervals.py

Claim: on 63 runs (328 val and 395 test images each) intervals that are calibrated on val contain the truth of
test images as often as they say, for each target singly and for all at once, on average over runs. Nothing is
trained; it takes a minute on one core. The rules for joint intervals are compared on val alone.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quadzoo.inference.calibration import Calibration, mean_of
from quadzoo.inference.intervals import Intervals
from quadzoo.records.predictions import of_targets
from quadzoo.report.results import Run, read_runs

HERE = Path(__file__).parent
RECORDS = HERE / "results" / "leaderboard"
LEVELS = (0.8, 0.9, 0.95)
LEVEL = 0.9
FOLDS = 5  # of val, where rules for joint intervals are compared
FEW = (10, 20, 40)  # val images
TARGETS = (2, 3, 10)  # of the simulation
DRAWS = 2000

Rule = Callable[[np.ndarray], np.ndarray]


class Tried:
    """A run in the scaled unit: its calibration, and its residuals on test, float64 (n_test, T)."""

    def __init__(self, run: Run) -> None:
        record = run.record
        ranges = np.array(record.target_high) - np.array(record.target_low)
        truth, prediction = of_targets(run.test, record.targets)
        self.run, self.test = run, (prediction - truth) / ranges
        self.kinds = run.test["image_kind"].to_numpy()
        stored = Calibration.of_run(run.folder)
        residuals = (stored.prediction - stored.truth) / ranges
        self.val = scaled(residuals, ids=stored.ids, labels=stored.labels)


def scaled(residuals: np.ndarray, **given: Any) -> Calibration:
    """Residuals (n, T) in the scaled unit as a calibration."""
    names = tuple(f"y{place}" for place in range(residuals.shape[1]))
    return Calibration(
        targets=names,
        ranges=np.ones(len(names)),
        truth=np.zeros_like(residuals),
        prediction=residuals,
        **given,
    )


def inside(intervals: Intervals, test: np.ndarray, **options: Any) -> np.ndarray:
    """Which residuals lie in their intervals, bool (n_test, T)."""
    low, high = intervals.around(test, **options)
    return (low <= 0) & (high >= 0)


# Rules for joint intervals: half-widths (T,) from absolute residuals (n, T).


def ours(residuals: np.ndarray) -> np.ndarray:
    return Intervals.of(scaled(residuals), LEVEL).joint_half_widths[""]


def by_range(residuals: np.ndarray) -> np.ndarray:
    return np.full(residuals.shape[1], quantile(residuals.max(axis=1)))


def by_mean(residuals: np.ndarray) -> np.ndarray:
    return _by(residuals, residuals.mean(axis=0))


def by_deviation(residuals: np.ndarray) -> np.ndarray:
    return _by(residuals, np.sqrt((residuals**2).mean(axis=0)))


def _by(residuals: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    return sizes * quantile((residuals / sizes).max(axis=1))


def quantile(scores: np.ndarray) -> float:
    """The ⌈0.9 (n + 1)⌉-th smallest."""
    return float(np.sort(scores)[math.ceil(9 * (len(scores) + 1) / 10) - 1])


RULES: dict[str, Rule] = {
    "range of the target": by_range,
    "root mean square of val residuals": by_deviation,
    "mean of val residuals": by_mean,
    "mean of val residuals, the new image and a range (used)": ours,
}


def of_levels(runs: Sequence[Tried]) -> list[dict[str, Any]]:
    """Coverage and mean width over all runs, for each level."""
    found = []
    for level in LEVELS:
        made = [Intervals.of(one.val, level) for one in runs]
        singly = [inside(intervals, one.test) for intervals, one in zip(made, runs, strict=True)]
        jointly = [
            inside(intervals, one.test, joint=True).all(axis=1)
            for intervals, one in zip(made, runs, strict=True)
        ]
        found.append({
            "level": level,
            "singly": summary([one.mean() for one in singly]),
            "singly_width": float(np.mean([2 * one.half_widths[""].mean() for one in made])),
            "all_by_single": summary([one.all(axis=1).mean() for one in singly]),
            "jointly": summary([one.mean() for one in jointly]),
            "joint_width": float(np.mean([2 * one.joint_half_widths[""].mean() for one in made])),
        })  # fmt: skip
    return found


def summary(shares: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(shares)), "low": float(min(shares)), "high": float(max(shares))}


def parts_of(val: np.ndarray, n: int | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Divide val into images to calibrate on, all but one fold or ``n``, and images to try it on."""
    order = np.random.default_rng(1).permutation(len(val))
    for part in np.array_split(order, FOLDS) if n is None else order[: FOLDS * n].reshape(FOLDS, n):
        rest = np.setdiff1d(order, part)
        yield (val[rest], val[part]) if n is None else (val[part], val[rest])


def of_rules(runs: Sequence[Tried]) -> list[dict[str, Any]]:
    """Coverage and width of each rule for joint intervals, calibrated and tried on parts of val."""
    found = []
    for n in (*FEW, None):
        for name, rule in RULES.items():
            coverage, width = [], []
            for one in runs:
                for fitted, tried in parts_of(np.abs(one.val.prediction), n):
                    half = rule(fitted)
                    coverage.append((tried <= half).all(axis=1).mean())
                    width.append(2 * half.mean())
            found.append({"n": n or round(len(runs[0].val.truth) * (1 - 1 / FOLDS)), "rule": name,
                          "coverage": float(np.mean(coverage)), "width": float(np.mean(width))})  # fmt: skip
    return found


def of_simulation() -> list[dict[str, Any]]:
    """Coverage of each rule for images with heavy-tailed errors, independent of each other."""
    found = []
    for n in (9, 20, 50):
        for targets in TARGETS:
            covered: dict[str, list[float]] = defaultdict(list)
            rng = np.random.default_rng(0)
            for _ in range(DRAWS):
                drawn = np.abs(rng.standard_t(4, (n + 10, targets)))
                for name, rule in RULES.items():
                    covered[name].append((drawn[n:] <= rule(drawn[:n])).all(axis=1).mean())
            means = {name: float(np.mean(each)) for name, each in covered.items()}
            found.append({"n": n, "targets": targets, "coverage": means})
    return found


def of_kinds(runs: Sequence[Tried]) -> list[dict[str, Any]]:
    """Coverage of each form of equation, singly: with one calibration, and with one for each form."""
    by_kind: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    for one in runs:
        plain, grouped = Intervals.of(one.val, LEVEL), Intervals.of(one.val, LEVEL, groups="image_kind")
        marginal, own = inside(plain, one.test), inside(grouped, one.test, groups=one.kinds)
        for kind in sorted({*one.kinds}):
            rows = one.kinds == kind
            by_kind[kind].append((
                marginal[rows].mean(), own[rows].mean(),
                2 * plain.half_widths[""].mean(), 2 * grouped.half_widths[kind].mean(),
            ))  # fmt: skip
    names = ("coverage", "coverage_grouped", "width", "width_grouped")
    return [
        {"kind": kind, **dict(zip(names, np.mean(values, axis=0).tolist(), strict=True))}
        for kind, values in sorted(by_kind.items())
    ]


def of_ensembles(runs: Sequence[Tried]) -> dict[str, Any]:
    """Coverage and width of the mean of a row's seeds, and of its seeds by themselves."""
    rows: dict[str, list[Tried]] = defaultdict(list)
    for one in runs:
        rows[one.run.record.combination].append(one)
    shares, ratios = [], []
    for seeds in rows.values():
        together = Intervals.of(mean_of([one.val for one in seeds]), LEVEL)
        shares.append(inside(together, np.mean([one.test for one in seeds], axis=0)).mean())
        alone = [Intervals.of(one.val, LEVEL).half_widths[""].mean() for one in seeds]
        ratios.append(together.half_widths[""].mean() / np.mean(alone))
    return {"rows": len(rows), "singly": summary(shares), "width_ratio": float(np.median(ratios)),
            "narrower": sum(bool(ratio < 1) for ratio in ratios)}  # fmt: skip


def measured(records: Path) -> dict[str, Any]:
    """All figures of the page."""
    runs = [Tried(run) for run in read_runs([records]).runs]
    split = runs[0].run.record.split
    return {
        "command": "python benchmarks/intervals.py",
        "runs": len(runs), "n_val": split.n_val, "n_test": split.n_test,
        "data": runs[0].run.record.data.hash, "split": split.hash,
        "levels": of_levels(runs), "rules": of_rules(runs), "simulation": of_simulation(),
        "kinds": of_kinds(runs), "ensembles": of_ensembles(runs),
    }  # fmt: skip


PAGE = """\
# How often intervals contain the truth

`{command}`, from the predictions of the {runs} runs in results/leaderboard (the 2,000 published
images, {n_val} val, {n_test} test). All figures: results/intervals.json.
[Intervals](../docs/metrics.md#intervals-of-predictions) describes the method. Widths are shares of the
target's range, averaged over targets and runs.

## Calibrated on val, tried on test

Means over runs, and in brackets the lowest and the highest run. *Singly* is the share of targets inside their
own interval. At level 0.9 all three targets of an image are inside their own intervals for {all_by_single} of
the images, and inside the joint ones for {jointly}.

{levels}

A run's coverage varies with the images that are drawn: with 328 val and 395 test images two standard
deviations of the coverage of one target are 4.5 points.

## Each form of equation

Level 0.9. One calibration for all covers the forms unequally; with one for each form, each is covered about
as often as the level says.

{kinds}

## The mean of a row's seeds

Level 0.9, {n_rows} rows of three seeds: {singly} of the targets are inside. Intervals around
the mean are narrower than those of a seed in {narrower} rows; the median ratio is {ratio:.2f}.

## The rule for joint intervals

The score of an image is its largest residual, in units of a size of each target. Rules differ in the size.
Level 0.9, calibrated on a part of val and tried on the rest, five times for each run:

{rules}

Simulated images, errors of Student's t with 4 degrees of freedom, {draws:,} draws (standard error at most 0.5
points). A size taken from the same val residuals alone covers too few where there are few images. The rule
in use covers at least as many as the level says, and is narrower than by ranges where there are many images.

{simulation}
"""


def page(found: dict[str, Any]) -> str:
    """Return INTERVALS.md."""
    (at,) = (one for one in found["levels"] if one["level"] == LEVEL)
    numbers = list(dict.fromkeys(one["n"] for one in found["rules"]))
    ensembles = found["ensembles"]
    return PAGE.format(
        command=found["command"], runs=found["runs"], n_val=found["n_val"], n_test=found["n_test"],
        all_by_single=percent(at["all_by_single"]["mean"]), jointly=percent(at["jointly"]["mean"]),
        levels=table(
            ["level", "singly", "width", "all three by single intervals", "jointly", "width"],
            [
                [f"{one['level']:g}", shares(one["singly"]), percent(one["singly_width"]),
                 shares(one["all_by_single"]), shares(one["jointly"]), percent(one["joint_width"])]
                for one in found["levels"]
            ],
        ),
        kinds=table(
            ["form", "covered", "width", "covered, calibrated by form", "width"],
            [
                [one["kind"], *map(percent, (one["coverage"], one["width"], one["coverage_grouped"],
                                             one["width_grouped"]))]
                for one in found["kinds"]
            ],
        ),
        n_rows=ensembles["rows"], singly=shares(ensembles["singly"]), narrower=ensembles["narrower"],
        ratio=ensembles["width_ratio"],
        rules=table(
            ["size", *(text for n in numbers for text in (f"{n} images, covered", "width"))],
            [
                [rule, *(percent(one[name]) for one in found["rules"] if one["rule"] == rule
                         for name in ("coverage", "width"))]
                for rule in RULES
            ],
        ),
        draws=DRAWS,
        simulation=table(
            ["val images", "targets", *RULES],
            [
                [str(one["n"]), str(one["targets"]), *(percent(one["coverage"][rule]) for rule in RULES)]
                for one in found["simulation"]
            ],
        ),
    )  # fmt: skip


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is of words."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def shares(found: dict[str, float]) -> str:
    return f"{percent(found['mean'])} ({100 * found['low']:.1f} – {100 * found['high']:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", type=Path, default=HERE, help="where page and results are written")
    arguments = parser.parse_args()
    found = measured(RECORDS)
    results = arguments.to / "results"
    results.mkdir(exist_ok=True)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (results / "intervals.json").write_text(f"{text}\n", encoding="utf-8")
    (arguments.to / "INTERVALS.md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
