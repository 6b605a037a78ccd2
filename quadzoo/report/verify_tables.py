"""Check the files of a leaderboard, csv, json, md and html, against what the records give."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from quadzoo.report.columns import shown_columns
from quadzoo.report.details import MOST_DETAILED, with_best_rows
from quadzoo.report.files import SHARES
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.markdown import escaped
from quadzoo.report.page import FEWEST_ROWS, PAGE_ROWS
from quadzoo.report.results import read_runs
from quadzoo.report.rows import Leaderboard
from quadzoo.report.tables import shares_to_csv, to_csv, to_json
from quadzoo.report.text import listed, one_line, printable
from quadzoo.storage import read_regular

_TOLERANCE = 1e-6  # relative
_BYTES = 256 << 20  # of a file
_MOST_BITS = 1000  # of a whole number; larger ones are no floating-point numbers
_OF_NETWORKS, _HEADINGS = ("rank", "val_mse", "seeds"), ("rank", "val MSE", "seeds")
_REASON = 120  # characters
_LONGEST = 10_000  # characters of a cell, after which it is cut off
_TAG = re.compile(r'<(/?)([a-zA-Z][a-zA-Z0-9]*)((?>[^<>"]+|"[^"]*")*)>')
_ATTRIBUTE = re.compile(r'([a-zA-Z-]+)(?:="([^"]*)")?')
_AGAIN = "`quadzoo report` of this version writes it again"
_CSV: dict[str, Callable[[Sequence[Leaderboard]], str]] = {
    "leaderboard.csv": to_csv,
    SHARES: shares_to_csv,
}

Faults = Iterator[str]


class _Found(NamedTuple):
    """A row of a file: its number, what it is called, and its texts by the heading of their column."""

    number: int
    name: str
    texts: Mapping[str, str]


def table_faults(out: Path, outside: list[str]) -> Iterator[tuple[str, str]]:
    """Yield in which file of a leaderboard something does not match, and what.

    Rows that no record can give, those of outside predictors, are added to ``outside``. A file may lack a
    leaderboard: a bench writes that of its own data and split, whatever else lies in the folder.
    """
    files = [*_CSV, "leaderboard.json", "leaderboard.md", "leaderboard.html"]
    there = [name for name in files if os.path.lexists(out / name)]
    if not there:
        return
    results = read_runs([out])
    boards = leaderboards(results.runs, results.unreadable, results.answers)
    for name in there:
        try:
            text = read_regular(out / name, _BYTES).decode()
            if name in _CSV:
                found = _csv(name, text, _CSV[name](boards), outside)
            elif name.endswith(".json"):
                found = _json(name, text, boards, outside)
            elif name.endswith(".md"):
                found = _rows(name, _markdown_rows(text), boards, _markdown_texts, outside)
            else:
                fits = sum(min(len(board.rows), 2 * MOST_DETAILED) for board in boards) <= PAGE_ROWS
                most = MOST_DETAILED if fits else FEWEST_ROWS
                found = _rows(name, _page_rows(text), boards, _page_texts, outside, most=most)
            for fault in found:
                yield name, fault
        except (OSError, ValueError, csv.Error, RecursionError) as error:  # JSON may be nested too deeply
            reason = one_line(str(getattr(error, "strerror", None) or error), _REASON)
            yield name, f"cannot be read ({reason}); {_AGAIN}"


def _csv(name: str, text: str, expected: str, outside: list[str]) -> Faults:
    """Compare rows in the order in which they stand."""
    said, given = (list(csv.DictReader(io.StringIO(one, newline=""))) for one in (text, expected))
    if given and not said:
        yield f"has no rows; {_AGAIN}"
        return
    tasks = {(row.get("data_hash"), row.get("split_hash")) for row in said}
    given = [row for row in given if (row["data_hash"], row["split_hash"]) in tasks]
    if missing := [column for column in (given or [{}])[0] if column not in (said or [{}])[0]]:
        yield f"has no column {listed(missing)}; {_AGAIN}"
        return
    numbered = []
    for number, row in enumerate(said, 1):
        if row.get("answered"):
            outside.append(f"{name}: row {number} ({row.get('backbone')})")
            yield from _claims(f"row {number}", [row.get(one) for one in _OF_NETWORKS])
        else:
            numbered.append((number, row))
    if len(numbered) != len(given):
        yield f"{len(numbered)} rows, the records give {len(given)}"
        return
    for (number, row), expected_row in zip(numbered, given, strict=True):
        for column, value in expected_row.items():
            if not _same_text(row.get(column), value):
                yield f"row {number}: {column} is {row.get(column)!r}, the records give {value!r}"


def _json(name: str, text: str, boards: Sequence[Leaderboard], outside: list[str]) -> Faults:
    """Compare leaderboards field by field; the first difference of each is told."""
    said = json.loads(text)
    given = json.loads(to_json(boards))
    expected = {_task(board): board for board in (given, *given["more"])}
    if not isinstance(said, dict) or not isinstance(said.get("more"), list):
        raise ValueError("it holds no leaderboard")
    for number, board in enumerate((said, *said["more"])):
        like = expected.get(_task(board))
        if like is None:
            yield f"leaderboard {number + 1}: no record has its data, split and targets"
            continue
        rows = []
        for row in _rows_of(board):
            if row.get("outside") is not None:
                outside.append(f"{name}: row {row.get('backbone')}")
                yield from _claims(str(row.get("backbone")), [row.get(one) for one in _OF_NETWORKS])
            else:
                rows.append(row)
        # What tells it from others, and which runs could not be read, depends on what else was read.
        skipped = {"more", "conflicts", "apart", "unreadable"}
        for field in like.keys() - skipped:
            if fault := _difference(field, rows if field == "rows" else board.get(field), like[field]):
                yield f"{fault}; {_AGAIN}"
                break


def _task(board: Any) -> tuple[str, ...]:
    """Return what a leaderboard of the json file is identified by. Raises ValueError where it is none."""
    try:
        task = board["data"]["hash"], board["split"]["hash"], *board["targets"]
    except (KeyError, TypeError) as error:
        raise ValueError("it holds no leaderboard") from error
    if not all(isinstance(one, str) for one in task):
        raise ValueError("it holds no leaderboard")
    return task


def _rows_of(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a leaderboard of the json file. Raises ValueError where they are none."""
    rows = board.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it holds no leaderboard")
    return rows


def _difference(where: str, said: Any, given: Any) -> str:
    """Return the first difference between two values of json, nothing where there is none."""
    if isinstance(given, dict) and isinstance(said, dict):
        pairs = [(f"{where}.{name}", said.get(name), value) for name, value in given.items()]
    elif isinstance(given, list) and isinstance(said, list) and len(given) == len(said):
        pairs = [(f"{where}.{i}", one, two) for i, (one, two) in enumerate(zip(said, given, strict=True))]
    elif isinstance(given, list) and isinstance(said, list):
        return f"{where} has {len(said)} entries, the records give {len(given)}"
    elif said == given or (_number(said) and _number(given) and np.isclose(said, given, rtol=_TOLERANCE)):
        return ""
    else:
        return f"{where} is {printable(repr(said))[:60]}, the records give {printable(repr(given))[:60]}"
    return next((told for pair in pairs if (told := _difference(*pair))), "")


def _number(value: Any) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < _MOST_BITS
    return is_whole or isinstance(value, float)


def _rows(
    name: str,
    found: Iterable[_Found],
    boards: Sequence[Leaderboard],
    texts: Callable[[Leaderboard], list[dict[str, str]]],
    outside: list[str],
    *,
    most: int = sys.maxsize,
) -> Faults:
    """Compare the rows that people read; their figures are rounded, so their texts are the same.

    At least ``most`` rows of a leaderboard must be there, the best, with a model and without.
    """
    # A column that a row has no text in is there where another row has one.
    of_boards = [[_filled(row) for row in texts(board)] for board in boards]
    expected = [row for rows in of_boards for row in rows]
    names = {_plain(row.get("backbone", "")) for row in expected}  # a record may name it by blanks
    known = {frozenset(row.items()) for row in expected}
    found = list(found)
    if expected and not found:
        yield f"has no rows; {_AGAIN}"
    for row in found:
        if _plain(row.name) not in names:
            outside.append(f"{name}: row {row.number} ({printable(row.name)})")
            yield from _claims(f"row {row.number}", [row.texts.get(one) for one in _HEADINGS])
        elif frozenset(_filled(row.texts).items()) not in known:
            same = [one for one in expected if one.get("backbone", "") == row.name]
            nearest = min(same, key=lambda one: len(_unlike(row.texts, one)))
            heading = next(iter(_unlike(row.texts, nearest)))
            said, given = (one.get(heading, "") for one in (row.texts, nearest))
            yield (
                f"row {row.number} ({printable(row.name)}): {heading} is {said!r}, "
                f"the records give {given!r}; {_AGAIN}"
            )

    there = [frozenset(_filled(row.texts).items()) for row in found if _plain(row.name) in names]
    if not {*there} <= known:
        return  # told above
    wanted, present = [], {*there}
    often = Counter(frozenset(row.items()) for row in expected)
    for board, rows in zip(boards, of_boards, strict=True):
        own = [frozenset(row.items()) for row in rows]
        telling = {row for row in own if often[row] == 1} or {*own}
        if not telling & present:
            continue  # the file has not that board
        models = sum(one in present for one, row in zip(own, board.rows, strict=True) if row.head != "-")
        shown = {row.name for row in with_best_rows(board, max(most, models)).rows}
        wanted += [one for one, row in zip(own, board.rows, strict=True) if row.name in shown]
    if missing := Counter(wanted) - Counter(there):
        lost = sorted(printable(dict(row).get("backbone", "")) for row in missing)
        yield f"lacks {sum(missing.values())} of {len(wanted)} rows, such as {lost[0]}; {_AGAIN}"
    elif there != wanted:
        yield f"has its rows in another order than the records give; {_AGAIN}"


def _claims(where: str, values: Sequence[Any]) -> Faults:
    """Yield that the row of an outside predictor has what only rows of the bench can have."""
    if any(value not in (None, "", 0, "0") for value in values):
        yield f"{where}: it has a rank, seeds or a val MSE, which an outside predictor cannot have; {_AGAIN}"


def _unlike(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return [name for name in {**one, **other} if one.get(name, "") != other.get(name, "")]


def _filled(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def _markdown_texts(board: Leaderboard) -> list[dict[str, str]]:
    columns = shown_columns(board)
    return [
        {escaped(column.heading): escaped(column.text(row)).strip() for column in columns}
        for row in board.rows
    ]


def _markdown_rows(text: str) -> Iterator[_Found]:
    """Yield the rows of the leaderboards, not those of the tables of shares."""
    headings: list[str] = []
    number = 0
    for one in text.splitlines():
        cells = _cells(one)
        if "verdict" in cells and "backbone" in cells:
            headings = cells
        elif not one.startswith("|"):
            headings = []
        elif headings and set(cells) != {"---"} and len(cells) == len(headings):
            number += 1
            texts = dict(zip(headings, cells, strict=True))
            yield _Found(number, texts["backbone"], texts)


def _cells(text: str) -> list[str]:
    return [cell.strip() for cell in text.strip().removeprefix("| ").removesuffix(" |").split(" | ")]


def _page_texts(board: Leaderboard) -> list[dict[str, str]]:
    columns = [column for column in shown_columns(board, page=True) if column.name != "backbone"]
    return [
        {column.heading: _plain(column.text(row)) for column in columns} | {"backbone": _plain(row.backbone)}
        for row in board.rows
    ]


def _plain(text: str) -> str:
    return " ".join(printable(text).split())


def _page_rows(text: str) -> list[_Found]:
    page = _Page()
    page.read(text)
    return [
        _Found(number, _plain(row.get("backbone", "")), {name: _plain(one) for name, one in row.items()})
        for number, row in enumerate(page.rows, 1)
    ]


class _Page:
    """The rows of the leaderboards of a page: the texts of cells with a label, and the row's heading.

    html.parser would take hours for a page of a megabyte that somebody has made for that, and stumble over
    others. This reads what the report writes: attributes in double quotes, and no sign < in a text.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, str]] = []
        self._row: dict[str, str] = {}
        self._label: str | None = None
        self._skipped = 0  # flags beside a name, and the drawing of an interval

    def read(self, page: str) -> None:
        """Take in a page, in a time that grows with its length alone."""
        position = 0
        while tag := _TAG.search(page, position):
            self._take_text(page[position : tag.start()])
            closes, name, rest = tag[1], tag[2].lower(), tag[3]
            position = tag.end()
            if closes:
                self._end(name)
                continue
            self._start(name, {one[1]: html.unescape(one[2] or "") for one in _ATTRIBUTE.finditer(rest)})
            if rest.endswith("/"):
                self._end(name)
            if name in ("script", "style"):
                end = page.find(f"</{name}", position)
                position = end if end >= 0 else len(page)

    def _start(self, tag: str, given: Mapping[str, str]) -> None:
        if tag == "tr":
            self._row = {}
        elif tag == "th" and given.get("scope") == "row" and "data-value" in given:
            self.rows.append(self._row)
            self._label = "backbone"
        elif tag == "td" and "data-label" in given:
            self._label = given["data-label"]
        elif self._label is not None and (self._skipped or tag == "svg" or given.get("class") == "flag"):
            self._skipped += 1

    def _end(self, tag: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif tag in ("th", "td"):
            if self._label is not None:
                self._row.setdefault(self._label, "")
            self._label = None

    def _take_text(self, text: str) -> None:
        if self._label is not None and not self._skipped:
            before = self._row.get(self._label, "")
            if len(before) < _LONGEST:
                self._row[self._label] = before + html.unescape(text)


def _same_text(said: str | None, given: str) -> bool:
    if said == given:
        return True
    try:
        return said is not None and bool(np.isclose(float(said), float(given), rtol=_TOLERANCE, atol=0))
    except ValueError:
        return False
