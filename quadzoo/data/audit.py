"""Find what is wrong with a data set before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from quadzoo.data import equations
from quadzoo.data.checks import (
    check_duplicates,
    check_files,
    check_leaks,
    check_split,
    check_target,
    together,
)
from quadzoo.data.contact_sheet import check_file, write_sheet
from quadzoo.data.findings import Audit, EquationFacts, Findings, NearFacts, SplitFacts
from quadzoo.data.geometry import Geometry, choose_geometry
from quadzoo.data.guess import stops_a_bench
from quadzoo.data.image_checks import pixel_facts, remarks
from quadzoo.data.near import BITS, MOST_DIFFERENT_BITS, Counting, pairs_of
from quadzoo.data.numbers import number
from quadzoo.data.reading import ImageReader, Reading
from quadzoo.data.remarks import OWN_SPLIT, UNLABELLED
from quadzoo.data.rows import Fault
from quadzoo.data.sources import N_DRAWN, DataRequest, Source, is_equations, resolve, scan
from quadzoo.data.split_files import BadDivision
from quadzoo.data.splits import (
    Split,
    check_parameters,
    make_splits,
    partial_split,
    repeated,
    splits_of,
)
from quadzoo.data.survey import Survey
from quadzoo.data.tables import open_table
from quadzoo.data.texts import printable, quoted
from quadzoo.errors import DataError, SplitError

_MOST_WORDS = 8  # of a split file that are no sides


@dataclass(frozen=True)
class _Usable:
    """The usable rows, once all images have been decoded; ``pairs`` are (row, row, different bits).

    ``shown`` says whether a sheet of images was written.
    """

    source: Source
    survey: Survey
    geometry: Geometry | None
    content_ids: np.ndarray
    pairs: list[tuple[int, int, int]]
    shown: bool


def audit(
    request: DataRequest,
    split: str,
    counting: Counting,
    reading: Reading = Reading(),  # noqa: B008  # it is frozen
    show: Path | None = None,
) -> Audit:
    """Check every row and every image; nothing is trained, and nothing is kept but a sheet to look at.

    ``show`` is the PNG file of twelve images as a network sees them.

    What the request leaves out of a table is guessed: its images are beside it or in a folder there, the
    column ``id``, or one whose cells name images, names them, and the columns that hold numbers are targets.
    ``counting`` is called for each stage, to show its progress. Raises ConfigError, DataError or SplitError
    for data that cannot be checked at all.
    """
    check_parameters(split, 1, grouped=bool(request.group_column), tests=bool(request.test_data))
    table, request = resolve(request, counting("drawing equations", N_DRAWN))
    source, faults, doubts = scan(request)
    findings = Findings()
    if show:
        check_file(show, source.folder)
    usable, unreadable = _decode_all(source, counting, reading, show)
    _add_faults(findings, faults, unreadable, reading)
    if show and not usable.shown:
        why = "the images have other bands or values" if len(usable.source) else "no row has a usable image"
        findings.add("warning", "no-sheet", [f"{printable(str(show))}: {why}"], "sheet that is not written")
    if not source.target_names:
        findings.add("error", "no-target", [doubts.pop()], "table without a column that can be a target")
    if any(map(stops_a_bench, source.remarks)):
        doubts.append("what a bench of these columns is to predict; name the targets with `targets`")
    findings.add("warning", "doubt", doubts, "guess that a bench would not make")
    findings.take(*(one for one in source.remarks if one.code != OWN_SPLIT or split == "grouped"))
    # A split file may name images whose rows are faulty.
    named = {fault.file for fault in faults if fault.file}
    usable = replace(usable, source=replace(usable.source, left_out=usable.source.left_out | named))
    source = usable.source
    orphans = check_files(findings, source, [file for _, file in unreadable])
    survey, splits = usable.survey, list[Split]()
    blank = [source.where(index) for index in survey.blank]
    findings.add("warning", "blank-image", blank, "image of one colour alone")
    if usable.geometry:
        for one in remarks(survey, usable.geometry, ranged=reading.value_range is not None):
            examples = [f"{source.where(index)}: {detail}" for index, detail in sorted(one.images.items())]
            findings.add(one.severity, one.code, examples, one.text)
    facts = [check_target(findings, source, one) for one in range(len(source.target_names)) if len(source)]
    duplicates = check_duplicates(findings, source, usable.content_ids)
    if len(source):
        splits = _splits(findings, usable, split)
    near = _near(findings, usable, splits[0] if splits else None)
    equation_facts = _equations(findings, table) if is_equations(table) else None
    unlabelled = sum(one.count for one in source.remarks if one.code == UNLABELLED)
    found = findings.sorted()
    return Audit(
        name=source.name,
        table=printable(str(table)),
        images=printable(str(source.folder)),
        guessed=list(source.told),
        rows=len(source) + len(faults) + len(unreadable) + unlabelled,
        usable=len(source),
        unlabelled=unlabelled,
        kinds=dict(survey.kinds.most_common()),
        pixels=pixel_facts(survey, usable.geometry) if usable.geometry else None,
        sizes={f"{h}x{w}": n for (h, w), n in survey.shapes.most_common()},
        image_size="{}x{}".format(*usable.geometry.size) if usable.geometry else "",
        missing_images=sum(fault.kind == "image" for fault in faults),
        unreadable_images=len(unreadable),
        images_without_row=orphans,
        targets=[one for one in facts if one],
        duplicates=duplicates,
        near_duplicates=near,
        splits=[_split_facts(one, usable.content_ids) for one in splits],
        equations=equation_facts,
        findings=found,
        errors=sum(one.severity == "error" for one in found),
        warnings=sum(one.severity == "warning" for one in found),
    )


def _decode_all(
    source: Source, counting: Counting, reading: Reading, show: Path | None
) -> tuple[_Usable, list[tuple[str, str]]]:
    """Return the rows whose image can be decoded; of the others, what is wrong and the image's file.

    Images as a network sees them are written to ``show``.
    """
    unreadable: dict[int, str] = {}
    with ImageReader(source, reading) as reader:
        advance = counting("decoding images", len(source))
        survey = reader.survey(advance, unreadable.__setitem__, closely=True)
        good = source.without(tuple(unreadable))
        positions = [index for index in range(len(source)) if index not in unreadable]
        geometry, content_ids = None, survey.content_ids
        pairs, shown = list[tuple[int, int, int]](), False
        if positions:
            geometry = choose_geometry(survey, None, "letterbox", value_range=reading.value_range)
            pairs = pairs_of(lambda row: reader.pixels(positions[row]), survey, geometry, counting)
            if show:
                shown = write_sheet(
                    show, lambda row: reader.pixels(positions[row]), good.ids, survey, geometry
                )
    bad = [(text, source.files[index]) for index, text in unreadable.items()]
    return _Usable(good, survey, geometry, content_ids, pairs, shown), bad


def _add_faults(
    findings: Findings, faults: list[Fault], unreadable: list[tuple[str, str]], reading: Reading
) -> None:
    codes = {
        "row": ("bad-row", "row that is not as wide as the header, or not one row"),
        "id": ("bad-id", "id that is empty or leads out of the folder"),
        "repeated": ("repeated-id", "row of an image that has a row already"),
        "missing target": ("missing-target", "row that lacks a target"),
        "target": ("bad-target", "target that is no finite number, or too large"),
        "group": ("missing-group", "row without a group"),
        "image": ("missing-image", "row with no image, or with more than one"),
    }
    for kind, (code, text) in codes.items():
        findings.add("error", code, [fault.text for fault in faults if fault.kind == kind], text)
    left_out = reading.damaged == "skip"
    findings.add(
        "warning" if left_out else "error",
        "unreadable-image",
        [text for text, _ in unreadable],
        "image that cannot be read" + (" and is left out" if left_out else "; `damaged` skip leaves it out"),
    )


def _splits(findings: Findings, usable: _Usable, split: str) -> list[Split]:
    """Make the requested split, where the usable rows allow it, and for equations the tutorial's too."""
    source, content_ids = usable.source, usable.content_ids
    try:
        asked = splits_of(source, split, content_ids)
    except BadDivision as error:
        asked = _bad_division(findings, usable, split, error)
    except (SplitError, DataError) as error:
        text = "split that cannot be made of the usable rows; no shares and no leaks are looked at"
        findings.add("error", "split", [str(error)], text)
        return []
    if asked:
        check_split(findings, source, content_ids, asked)
    if is_equations(source.table) and split != "article":
        asked += make_splits("article", source.ids, content_ids)
        check_leaks(findings, source, asked[-1], content_ids, content_ids, asked=False)
    return asked


def _bad_division(findings: Findings, usable: _Usable, split: str, bad: BadDivision) -> list[Split]:
    """Tell all that is wrong with a split file, and return the split of its other rows, if they make one."""
    words = ", ".join(f"{n:,} × {quoted(word)}" for word, n in bad.words.most_common(_MOST_WORDS))
    words += f" and {len(bad.words) - _MOST_WORDS:,} others" * (len(bad.words) > _MOST_WORDS)
    texts = {
        "row": "row of the split file that is not as wide as the header, or the header again",
        "side": f"row of the split file whose word is no side: {words}",
        "image": "row of the split file that names no image of the data",
        "repeated": "row of the split file whose image has one already",
    }
    for kind, text in texts.items():
        findings.add("error", "split", [one.text for one in bad.faults if one.kind == kind], text)
    missing = [usable.source.where(index) for index in bad.missing]
    text = "image that the split file leaves out; add it, or write unused as its split"
    findings.add("error", "split", missing, text)
    found = partial_split(usable.source, split, usable.content_ids, bad)
    known, n = sum(map(len, bad.sides)), len(usable.source)
    text = f"shares and leaks are {'those' if found else 'not looked at: too few'} of the images with a side"
    findings.add("note", "split", [f"{known:,} of {n:,} have one"], text)
    return [found] if found else []


def _split_facts(split: Split, content_ids: np.ndarray) -> SplitFacts:
    return SplitFacts(
        name=split.name,
        train=len(split.train),
        val=len(split.val),
        test=len(split.test),
        leaked=split.leaked,
        val_in_train=len(repeated(content_ids, split.val, split.train)),
    )


def _near(findings: Findings, usable: _Usable, split: Split | None) -> NearFacts:
    across = None
    examples = [f"{together(usable.source, pair)}: {bits} bits apart" for *pair, bits in usable.pairs]
    if split:
        sides = [set(rows.tolist()) for rows in (split.train, split.val, split.test)]
        divided = set[int]().union(*sides)
        pairs = [{i, j} for i, j, _ in usable.pairs if {i, j} <= divided]
        across = sum(not any(pair <= side for side in sides) for pair in pairs)
    findings.add(
        "warning",
        "near-duplicates",
        examples,
        f"pair of images that look nearly alike ({MOST_DIFFERENT_BITS} of {BITS} bits of the "
        "perceptual hash differ, or fewer)" + (f"; {across} on two sides of the split" if across else ""),
    )
    return NearFacts(pairs=len(examples), threshold=MOST_DIFFERENT_BITS, bits=BITS, across_sides=across)


def _equations(findings: Findings, table: Path) -> EquationFacts | None:
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
