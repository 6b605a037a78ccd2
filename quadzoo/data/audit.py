"""Find what is wrong with a data set before anything is trained on it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from quadzoo.data import equations
from quadzoo.data.findings import (
    Audit,
    DuplicateFacts,
    EquationFacts,
    Finding,
    NearFacts,
    Severity,
    SplitFacts,
    TargetFacts,
)
from quadzoo.data.geometry import Survey, choose_geometry, cut
from quadzoo.data.near import BITS, MOST_DIFFERENT_BITS, near_pairs, perceptual_hash
from quadzoo.data.parallel import parallel
from quadzoo.data.reading import Advance, ImageReader
from quadzoo.data.sources import (
    N_DRAWN,
    DataRequest,
    Fault,
    Source,
    images_under,
    is_equations,
    resolve,
    scan,
)
from quadzoo.data.splits import Split, make_splits, repeated
from quadzoo.data.tables import listed, number, open_table, quoted
from quadzoo.errors import DataError, SplitError

_SHOWN = 20  # examples that are kept of a finding; its count is exact
# Times the interquartile range beyond the quartiles: Tukey 1977, Exploratory Data Analysis, p. 44.
_FENCE = 3.0
_TAIL = 0.01  # where more than this share lies beyond the fences, it is a long tail
_MOSTLY = 0.5  # a column with more than this share of numbers is meant to hold numbers

Counting = Callable[[str, int], Advance]
"""Is given what is done and how many times; returns a function to be given how many more are done."""


@dataclass(frozen=True)
class _Usable:
    """The usable rows, once all images have been decoded; ``pairs`` are (row, row, different bits)."""

    source: Source
    survey: Survey
    content_ids: np.ndarray
    pairs: list[tuple[int, int, int]]

    def where(self, index: int) -> str:
        return f"row {self.source.rows[index]} ({self.source.ids[index]})"


def audit(request: DataRequest, split: str, counting: Counting) -> Audit:
    """Check every row and every image; nothing is trained, and nothing is kept.

    What the request leaves out of a CSV is guessed: images are beside it, its column ``id`` or else its
    first names them, and the columns that mostly hold numbers are targets. ``counting`` is called for each
    stage, to show its progress. Raises ConfigError, DataError or SplitError for data that cannot be checked
    at all.
    """
    table, request = resolve(request, counting("drawing equations", N_DRAWN))
    request = _completed(table, request)
    source, faults = scan(request)
    findings = _Findings()
    usable, unreadable = _decode_all(source, counting)
    _add_faults(findings, faults, unreadable)
    source = usable.source
    named = {*source.files, *(file for _, file in unreadable), *(fault.file for fault in faults)}
    orphans = sorted(set(images_under(source.folder)) - named)
    findings.add("warning", "image-without-row", orphans, "image without a row in the table")
    if not len(source):
        raise DataError(f"{table}: no row can be used; the first fault: {findings.first()}")
    survey = usable.survey
    blank = [usable.where(index) for index in survey.blank]
    findings.add("warning", "blank-image", blank, "image of one colour alone")
    targets = [_target(findings, usable, column) for column in range(len(source.target_names))]
    duplicates = _duplicates(findings, usable)
    splits = _splits(findings, usable, split, whole=not (faults or unreadable))
    near = _near(findings, usable, splits[0] if splits else None)
    equation_facts = _equations(findings, table) if is_equations(table) else None
    geometry = choose_geometry(survey, None, "letterbox")
    return Audit(
        name=source.name,
        table=str(table),
        images=str(source.folder),
        rows=len(source) + len(faults) + len(unreadable),
        usable=len(source),
        kinds=dict(survey.kinds.most_common()),
        sizes={f"{h}x{w}": n for (h, w), n in survey.shapes.most_common()},
        image_size=f"{geometry.size[0]}x{geometry.size[1]}",
        missing_images=sum(fault.kind == "image" for fault in faults),
        unreadable_images=len(unreadable),
        images_without_row=len(orphans),
        targets=targets,
        duplicates=duplicates,
        near_duplicates=near,
        splits=[_split_facts(one, usable.content_ids) for one in splits],
        equations=equation_facts,
        findings=findings.sorted(),
        errors=findings.count("error"),
        warnings=findings.count("warning"),
    )


class _Findings:
    """Collects the findings."""

    def __init__(self) -> None:
        self._all: list[Finding] = []

    def add(self, severity: Severity, code: str, examples: Sequence[str], text: str) -> None:
        """Add a finding, with a text about one of its examples; without examples there is none."""
        if examples:
            shown = list(examples[:_SHOWN])
            self._all.append(
                Finding(severity=severity, code=code, count=len(examples), text=text, examples=shown)
            )

    def count(self, severity: Severity) -> int:
        return sum(finding.severity == severity for finding in self._all)

    def first(self) -> str:
        return self._all[0].examples[0] if self._all else "none"

    def sorted(self) -> list[Finding]:
        """Return errors first, then warnings, then notes."""
        return sorted(self._all, key=lambda one: ("error", "warning", "note").index(one.severity))


def _completed(table: Path, request: DataRequest) -> DataRequest:
    if request.id_column and request.images and request.targets:
        return request
    with open_table(table) as (header, rows):
        id_column = request.id_column or ("id" if "id" in header else header[0])
        numbers: Counter[str] = Counter()
        n_rows = 0
        for _, cells in rows:
            n_rows += 1
            numbers.update(
                name for name, cell in zip(header, cells, strict=False) if not math.isnan(number(cell))
            )
    guessed = tuple(
        name
        for name in header
        if numbers[name] > _MOSTLY * n_rows and name not in (id_column, request.group_column, "split")
    )
    if not request.targets and not guessed:
        raise DataError(
            f"{table}: no column mostly holds numbers; name the targets with `targets`, of {listed(header)}"
        )
    return replace(
        request,
        images=request.images or table.parent,
        id_column=id_column,
        targets=request.targets or guessed,
    )


def _decode_all(source: Source, counting: Counting) -> tuple[_Usable, list[tuple[str, str]]]:
    """Return the rows whose image can be decoded; of the others, what is wrong and the image's file."""
    unreadable: dict[int, str] = {}
    with ImageReader(source) as reader:
        survey = reader.survey(counting("decoding images", len(source)), unreadable.__setitem__)
        good = [index for index in range(len(source)) if index not in unreadable]
        content_ids = survey.content_ids
        pairs = _pairs(lambda row: reader.pixels(good[row]), survey, content_ids, counting)
    bad = [(text, source.files[index]) for index, text in unreadable.items()]
    return _Usable(source.subset(good), survey, content_ids, pairs), bad


def _pairs(
    pixels: Callable[[int], np.ndarray], survey: Survey, content_ids: np.ndarray, counting: Counting
) -> list[tuple[int, int, int]]:
    """Return pairs of images that differ but look alike, without the border that all images share."""
    blank = set(survey.blank)
    _, firsts = np.unique(content_ids, return_index=True)
    different = [int(index) for index in sorted(firsts) if index not in blank]
    if not different:
        return []
    geometry = choose_geometry(survey, None, "letterbox")
    advance = counting("comparing images", len(different))
    hashes = np.zeros((len(different), BITS // 8), np.uint8)
    for row, one in enumerate(parallel(lambda i: perceptual_hash(cut(pixels(i), geometry)), different)):
        hashes[row] = one
        advance(1)
    return [(different[i], different[j], bits) for i, j, bits in near_pairs(hashes)]


def _add_faults(findings: _Findings, faults: list[Fault], unreadable: list[tuple[str, str]]) -> None:
    codes = {
        "row": ("bad-row", "row with too few or too many cells"),
        "id": ("bad-id", "id that is empty, repeated or leads out of the folder"),
        "missing target": ("missing-target", "row that lacks a target"),
        "target": ("bad-target", "target that is not a finite number"),
        "image": ("missing-image", "row with no image, or with more than one"),
    }
    for kind, (code, text) in codes.items():
        findings.add("error", code, [fault.text for fault in faults if fault.kind == kind], text)
    findings.add("error", "unreadable-image", [text for text, _ in unreadable], "image that cannot be read")


def _target(findings: _Findings, usable: _Usable, column: int) -> TargetFacts:
    name, values = usable.source.target_names[column], usable.source.targets[:, column]
    low, high = np.quantile(values, [0.25, 0.75])
    margin = _FENCE * (high - low)
    outliers = np.flatnonzero((values < low - margin) | (values > high + margin)) if margin else np.array([])
    if values.min() == values.max():
        findings.add(
            "error", "constant-target", [f"{name} = {values[0]:g}"], "target that is the same in every row"
        )
    if len(outliers):
        tail = len(outliers) > _TAIL * len(values)
        findings.add(
            "note" if tail else "warning",
            "long-tail" if tail else "outlier",
            [f"{usable.where(int(i))}: {name} = {values[i]:g}" for i in outliers],
            f"{name} beyond {low - margin:g} … {high + margin:g}, 3 interquartile ranges from the quartiles",
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
    )


def _duplicates(findings: _Findings, usable: _Usable) -> DuplicateFacts:
    content_ids, targets = usable.content_ids, usable.source.targets
    order = np.argsort(content_ids, kind="stable")
    starts = np.flatnonzero(np.diff(content_ids[order])) + 1
    groups = [group for group in np.split(order, starts) if len(group) > 1]
    groups.sort(key=lambda group: int(group[0]))
    disagreeing = [group for group in groups if (targets[group] != targets[group[0]]).any()]
    findings.add(
        "error",
        "disagreeing-duplicates",
        [_together(usable, group) for group in disagreeing],
        "group of identical images with different targets",
    )
    repeats = [
        f"{usable.where(int(later))} is identical to {usable.where(int(group[0]))}"
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


def _together(usable: _Usable, indices: Iterable[int]) -> str:
    """Name rows with their targets."""
    targets = usable.source.targets
    return ", ".join(f"{usable.where(i)} with {','.join(f'{y:g}' for y in targets[i])}" for i in indices)


def _splits(findings: _Findings, usable: _Usable, split: str, *, whole: bool) -> list[Split]:
    """Make the requested split, where the usable rows allow it, and for equations the tutorial's too."""
    source = usable.source
    try:
        splits = make_splits(split, source.ids, usable.content_ids, group_values=source.group_values)
        if is_equations(source.table) and split != "article":
            splits += make_splits("article", source.ids, usable.content_ids)
    except SplitError as error:
        if whole:
            raise
        findings.add("error", "split", [str(error)], "split that cannot be made of the usable rows")
        return []
    for one in splits:
        requested = one is splits[0]
        leaked = repeated(usable.content_ids, one.test, one.train, one.val)
        findings.add(
            "error" if requested else "note",
            "leak",
            [usable.where(i) for i in leaked],
            f"test image (of {len(one.test):,}) of split {one.name} that is also in train or val"
            + ("" if requested else "; the tutorial's own split"),
        )
        findings.add(
            "warning" if requested else "note",
            "val-in-train",
            [usable.where(i) for i in repeated(usable.content_ids, one.val, one.train)],
            f"val image (of {len(one.val):,}) of split {one.name} that is also in train",
        )
    return splits


def _split_facts(split: Split, content_ids: np.ndarray) -> SplitFacts:
    return SplitFacts(
        name=split.name,
        train=len(split.train),
        val=len(split.val),
        test=len(split.test),
        leaked=split.leaked,
        val_in_train=len(repeated(content_ids, split.val, split.train)),
    )


def _near(findings: _Findings, usable: _Usable, split: Split | None) -> NearFacts:
    across = None
    examples = [f"{_together(usable, pair)}: {bits} bits apart" for *pair, bits in usable.pairs]
    if split:
        sides = [set(rows.tolist()) for rows in (split.train, split.val, split.test)]
        across = sum(not any({i, j} <= side for side in sides) for i, j, _ in usable.pairs)
    findings.add(
        "warning",
        "near-duplicates",
        examples,
        f"pair of images that look nearly alike ({MOST_DIFFERENT_BITS} of {BITS} bits of the "
        "perceptual hash differ, or fewer)" + (f"; {across} on two sides of the split" if across else ""),
    )
    return NearFacts(pairs=len(examples), threshold=MOST_DIFFERENT_BITS, bits=BITS, across_sides=across)


def _equations(findings: _Findings, table: Path) -> EquationFacts | None:
    """Compare each row's labels and roots with the text of its equation."""
    wanted = (*equations.TARGETS, "root_1", "root_2", "equation")
    wrong: dict[str, list[str]] = {name: [] for name in (*equations.TARGETS, "roots", "text")}
    opposite = read = 0
    with open_table(table) as (header, rows):
        if not set(header) >= set(wanted):
            return None
        at = [header.index(name) for name in wanted]
        for line, cells in rows:
            if len(cells) != len(header):
                continue
            *labels, first, second, text = (cells[index] for index in at)
            equation = equations.read(text)
            if equation is None:
                wrong["text"].append(f"row {line}: {quoted(text)}")
                continue
            read += 1
            for name, label, truth in zip(equations.TARGETS, labels, equation.labels("true"), strict=True):
                if number(label) != truth:
                    wrong[name].append(f"row {line}: {text} is labelled {name} = {label}, not {truth}")
                    opposite += name == "b" and number(label) == -truth
            if not equations.same_roots((number(first), number(second)), equation.roots):
                wrong["roots"].append(f"row {line}: {text} has the roots {first} and {second} in the table")
    for name in equations.TARGETS:
        sign = f" ({opposite:,} times the opposite)" if name == "b" and opposite else ""
        findings.add(
            "error", f"wrong-{name}", wrong[name], f"{name} that is not what the equation says{sign}"
        )
    findings.add("error", "wrong-roots", wrong["roots"], "row with other roots than its equation has")
    findings.add(
        "warning",
        "unread-equation",
        wrong["text"],
        "equation in none of the four forms, or without two real roots",
    )
    return EquationFacts(
        read=read,
        unreadable=len(wrong["text"]),
        wrong_a=len(wrong["a"]),
        wrong_b=len(wrong["b"]),
        wrong_c=len(wrong["c"]),
        opposite_b=opposite,
        wrong_roots=len(wrong["roots"]),
    )
