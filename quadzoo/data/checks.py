"""Findings about a data set that bench and check both make: one path finds, both list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from quadzoo.data.finder import images_under
from quadzoo.data.findings import DuplicateFacts, Findings, TargetFacts
from quadzoo.data.nodata import SENTINELS
from quadzoo.data.numbers import EXACT
from quadzoo.data.sources import Source
from quadzoo.data.splits import FEWEST_GROUPS, Split, grouping, repeated
from quadzoo.data.texts import plural
from quadzoo.targets import LEAST_RANGE

# Times the interquartile range beyond the quartiles: Tukey 1977, Exploratory Data Analysis, p. 44.
_FENCE = 3.0
_FEW = 0.02  # of the values: no more can be slips,
_STRETCH = 10  # which make the range so many times as wide
_TAIL = 0.01  # where more than this share lies beyond the fences, it is a long tail
# Codes of surveys that stand beside those above: -998 for another reason why a value is missing.
_BESIDE = SENTINELS | {
    float(sign * value)
    for value in (7, 8, 66, 77, 88, 96, 97, 98, 666, 996, 997, 998, 9996, 9997, 9998, 99998)
    for sign in (-1, 1)
}
_NINES = frozenset({999.0, 9999.0, 99999.0})
_LOW, _HIGH = -990, 9990  # beyond, a usual value is hardly ever a measurement
_LOWEST_COUNTED = -66  # from here to 0 they are numbers like others beside 0
_FEWEST_CODES, _MOST_AGES = 66, 900
UNUSED = "unused-images"
FEW = "few-images"
FEW_IMAGES = 100
"""With fewer images, those of one holdout's test are too few to say much."""
_FOLDS = 5
MISSING = "masked-target"
_MOST_SENTINELS = 4  # values of one target
_LONGEST_RUN = 8  # neighbours among them
_MOST_TARGETS = 4  # that are shown of a row
_MOST_TWINS = 3  # rows that are all shown


def check_files(findings: Findings, source: Source, named: Iterable[str]) -> int:
    """Find images that no row names, besides those ``named``; return how many there are."""
    there = set(images_under(source.folder, readable=False))
    orphans = sorted(there - set(source.files) - source.left_out - set(named))
    findings.add("warning", "image-without-row", orphans, "image without a row in the table")
    return len(orphans)


def check_target(findings: Findings, source: Source, column: int) -> TargetFacts | None:
    """Find what is odd about the values of a target in the rows that have it; None where none has."""
    name, everyone = source.target_names[column], source.targets[:, column]
    known = np.flatnonzero(~np.isnan(everyone))
    values = everyone[known]
    if missing := [source.where(int(row)) for row in np.flatnonzero(np.isnan(everyone))]:
        text = f"row that lacks {name}, which is known in {len(values):,} of {len(everyone):,}"
        findings.add("note" if len(values) else "error", MISSING, missing, text)
    if not len(values):
        return None
    low, high = np.quantile(values, [0.25, 0.75])
    margin = _FENCE * (high - low)
    outliers = np.flatnonzero((values < low - margin) | (values > high + margin)) if margin else np.array([])
    if values.min() == values.max():
        findings.add(
            "error", "constant-target", [f"{name} = {values[0]:g}"], "target that is the same in every row"
        )
    elif values.max() - values.min() < LEAST_RANGE:
        shown = f"{name} = {values.min():g} … {values.max():g}"
        findings.add(
            "error", "constant-target", [shown], "target that needs a smaller unit: squares are lost"
        )
    stand_ins = _stand_ins(values)
    for value, count in stand_ins:
        rows = [source.where(int(i)) for i in np.flatnonzero(everyone == value)]
        findings.add(
            "warning",
            "sentinel",
            rows,
            f"{name} = {value:g} ({count / len(values):.0%} of rows), beyond all others: if it stands for "
            "a missing value, delete it",
        )
    told = {value for value, _ in stand_ins}
    stretching, times = _stretching(values)
    if len(stretching) and not stand_ins:
        told = set(values[stretching])
        rows = [f"{source.where(int(known[i]))}: {name} = {values[i]:g}" for i in stretching]
        text = (
            f"{name} that makes its range {times:,.0f} times as wide, in {len(rows):,} of {len(values):,} "
            "rows: errors of the others hardly count; if it is wrong, mend or delete it"
        )
        findings.add("warning", "stretched-range", rows, text)
    if set(values[outliers.astype(int)]) - told:
        tail = len(outliers) > _TAIL * len(values)
        findings.add(
            "note" if tail else "warning",
            "long-tail" if tail else "outlier",
            [f"{source.where(int(known[i]))}: {name} = {values[i]:g}" for i in outliers],
            f"{name} beyond {low - margin:g} … {high + margin:g}, 3 interquartile ranges from the quartiles",
        )
    rounded = np.flatnonzero(np.abs(values) >= EXACT)
    findings.add(
        "warning",
        "rounded-target",
        [f"{source.where(int(known[i]))}: {name} = {values[i]:.17g}" for i in rounded],
        f"{name} beyond 2^53, of which only the first 16 digits count",
    )
    return TargetFacts(
        name=name,
        min=float(values.min()),
        max=float(values.max()),
        mean=float(values.mean()),
        std=float(values.std()),
        distinct=len(np.unique(values)),
        integer=bool((values == np.rint(values)).all()),
        outliers=len(outliers),
        missing=len(missing),
    )


def _stretching(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the positions of few values that stretch the range ten times and more, and how many times.

    Few are at most 2 %, or one. The fewest are taken; int64 (0,) and 1 where there are none.
    """
    order = np.argsort(values, kind="stable")
    ordered, n = values[order], len(values)
    for few in range(1, min(n - 2, max(1, int(_FEW * n))) + 1):
        spans = ordered[n - 1 - few :] - ordered[: few + 1]  # of neighbours, all but so many
        first = int(spans.argmin())
        if 0 < spans[first] <= (ordered[-1] - ordered[0]) / _STRETCH:
            off = np.sort(np.concatenate([order[:first], order[first + n - few :]]))
            return off, float((ordered[-1] - ordered[0]) / spans[first])
    return np.empty(0, np.int64), 1.0


def _stand_ins(values: np.ndarray) -> list[tuple[float, int]]:
    """Return values that probably stand for something else, such as -999 for a missing one, and their counts.

    Such a value is the lowest or the highest. It is a usual one, or occurs three times or more, and lies
    further from the others than these from each other; a usual one that repeats, further than twice their
    largest gap. A usual one that hardly ever is a measurement is told wherever it is beyond all others:
    -999 and lower, 9999 and higher, -99 where no other is negative, -1 where all others are positive.
    Neighbours that are usual together, such as -999 and -998, are taken together. What is in
    more than half of the rows is told if it is a usual one.
    """
    distinct, counts = np.unique(values, return_counts=True)
    found: list[tuple[float, int]] = []
    while len(distinct) > 3 and len(found) < _MOST_SENTINELS:
        for size in range(1, min(_LONGEST_RUN, len(distinct) - 3) + 1):
            gaps = {step: _gap(distinct[::step], counts[::step], size, len(values)) for step in (1, -1)}
            if max(gaps.values()):
                break
        else:
            break
        step = max(gaps, key=lambda one: gaps[one])
        ordered, often = distinct[::step], counts[::step]
        found += zip(ordered[:size].tolist(), often[:size].tolist(), strict=True)
        distinct, counts = ordered[size:][::step], often[size:][::step]
    return found


def _gap(ordered: np.ndarray, counts: np.ndarray, size: int, n: int) -> float:
    """Return how far the first values of all are from the others; 0 where they stand for themselves.

    ``ordered`` and ``counts`` are (V,), from one end to the other; ``n`` is the number of rows.
    """
    some, others = ordered[:size].tolist(), ordered[size:]
    gap, span = float(abs(others[0] - some[-1])), float(abs(others[-1] - others[0]))
    usual = not SENTINELS.isdisjoint(some) and _BESIDE.issuperset(some)
    if size > 1 and max(some) >= 0 and min(some) < _FEWEST_CODES:  # 7, 8 and 9 are numbers like others
        return 0
    if not usual and (size > 1 or counts[0] < 3 or counts[0] > n / 2):
        return 0
    negative = max(some) < 0 <= others.min()
    signed = negative or (min(some) > _MOST_AGES and not _NINES.isdisjoint(some))
    repeats = usual and signed and counts[:size].min() > 1 and gap > 2 * float(np.abs(np.diff(others)).max())
    return gap if gap > span or repeats or (usual and _no_measurements(some, others)) else 0


def _no_measurements(some: list[float], others: np.ndarray) -> bool:
    """Whether usual values at one end stand for missing ones, however near the others, (V,), are to them.

    Where the next value is a usual one, too, both are to be taken together.
    """
    low, high, least = min(some), max(some), float(others.min())
    if float(others[0]) in _BESIDE and (others[0] < 0) == (high < 0):
        return False
    return high <= _LOW or low >= _HIGH or (high < 0 <= least and (high <= _LOWEST_COUNTED or least > 0))


def check_duplicates(findings: Findings, source: Source, content_ids: np.ndarray) -> DuplicateFacts:
    """Find identical images, and those whose targets differ. ``content_ids`` is int64 (N,)."""
    targets = source.targets
    order = np.argsort(content_ids, kind="stable")
    starts = np.flatnonzero(np.diff(content_ids[order])) + 1
    groups = [group for group in np.split(order, starts) if len(group) > 1]
    groups.sort(key=lambda group: int(group[0]))
    disagreeing = [group for group in groups if _differ(targets[group])]
    findings.add(
        "error",
        "disagreeing-duplicates",
        [_unlike(source, group) for group in disagreeing],
        "group of identical images with different targets",
    )
    repeats = [
        f"{source.where(int(later))} is identical to {source.where(int(group[0]))}"
        for group in groups
        for later in group[1:]
    ]
    findings.add(
        "warning",
        "duplicate-image",
        repeats,
        "image that is identical to an earlier one, pixel for pixel; split grouped keeps both on one side",
    )
    return DuplicateFacts(
        images=len(repeats),
        groups=len(groups),
        largest=max((len(group) for group in groups), default=1),
        disagreeing=len(disagreeing),
    )


def _differ(targets: np.ndarray) -> bool:
    """Whether a target has two values in rows, float64 (n, T), that have it."""
    return any(len(np.unique(column[~np.isnan(column)])) > 1 for column in targets.T)


def _unlike(source: Source, group: np.ndarray) -> str:
    """Name some rows, int64 (n,); of many two whose targets differ, and how many others there are."""
    if len(group) <= _MOST_TWINS:
        return together(source, map(int, group))
    column = next(at for at in range(source.targets.shape[1]) if _differ(source.targets[group][:, [at]]))
    known = [int(row) for row in group if not np.isnan(source.targets[row, column])]
    first = known[0]
    other = next(row for row in known if source.targets[row, column] != source.targets[first, column])
    rest = len(group) - 2
    more = f" and {rest:,} other row{'s' * (rest > 1)}" if rest else ""
    return together(source, (first, other), column) + more


def together(source: Source, indices: Iterable[int], first: int = 0) -> str:
    """Name rows with their targets, of which at most four are shown: those from the ``first`` on."""
    shown = slice(max(0, min(first, source.targets.shape[1] - _MOST_TARGETS)), None)
    return ", ".join(f"{source.where(i)} with {_values(source.targets[i][shown])}" for i in indices)


def _values(targets: np.ndarray) -> str:
    """Write targets, float64 (T,), at most four."""
    written = ["" if np.isnan(y) else f"{y:g}" for y in targets[:_MOST_TARGETS]]
    return ",".join([*written, *["…"] * (len(targets) > _MOST_TARGETS)])


def check_split(findings: Findings, source: Source, content_ids: np.ndarray, splits: Sequence[Split]) -> None:
    """Find what is wrong with the split that was asked for.

    ``splits`` are its folds; ``content_ids`` is int64 (N,).
    """
    groups = grouping(content_ids, source.group_values)
    first = splits[0]
    findings.add("warning", "uneven-split", [first.warning] if first.warning else [], f"split {first.name}")
    if first.unused:
        findings.add("note", UNUSED, [f"{first.unused:,} of {len(source):,}"], "images left out as unused")
    n_different = min(len(np.unique(groups)), len(np.unique(content_ids)))
    if first.name == "grouped" and len(splits) == 1 and len(source) < FEW_IMAGES and n_different >= _FOLDS:
        tested = f"{len(first.test):,} of {len(source):,} are tested"
        text = f"with fewer than {FEW_IMAGES} images `folds` {_FOLDS} says more, since all of them are tested"
        findings.add("note", FEW, [tested], text)
    n_tested = len(np.unique(np.concatenate([groups[one.test] for one in splits])))
    if source.group_values is not None and n_tested < FEWEST_GROUPS:
        # Of few images it is said of all data.
        once = first.name == "grouped" and len(splits) == 1 and len(source) >= FEW_IMAGES
        told = f"with fewer than {FEWEST_GROUPS} no score has an interval"
        n_groups = len(np.unique(groups))
        if n_groups < FEWEST_GROUPS:
            told += f", and there are {n_groups} in all"
        elif once:
            told += "; with `folds`, all groups are tested"
        findings.add("warning", "few-groups", [told], f"test images of {plural(n_tested, 'group')}")
    what = " or shares a group with one" if source.group_values else ""
    for one in splits:
        check_leaks(findings, source, one, content_ids, groups, what=what)


def check_leaks(
    findings: Findings,
    source: Source,
    split: Split,
    content_ids: np.ndarray,
    groups: np.ndarray,
    *,
    what: str = "",
    asked: bool = True,
) -> None:
    """Find images of one side of a split that are also on another.

    ``content_ids`` and ``groups`` are int64 (N,). ``asked`` says whether the split was asked for.
    """
    leaked = repeated(groups, split.test, split.train, split.val)
    findings.add(
        "error" if asked else "note",
        "leak",
        [source.where(int(i)) for i in leaked],
        f"test image (of {len(split.test):,}) of split {split.name} that is also in train or val{what}"
        + ("" if asked else "; the tutorial's own split"),
    )
    findings.add(
        "warning" if asked else "note",
        "val-in-train",
        [source.where(int(i)) for i in repeated(content_ids, split.val, split.train)],
        f"val image (of {len(split.val):,}) of split {split.name} that is also in train",
    )
