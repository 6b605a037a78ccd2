"""The files of a suite: csv, json, Markdown, page and terminal."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quadzoo.cli.display import print_suite
from quadzoo.report.suite.board import SuiteBoard
from quadzoo.report.suite.columns import ROW_COLUMNS, SET_COLUMNS
from quadzoo.report.suite.files import to_csv, to_html, to_json, to_markdown
from tests.report.suite.suites import write
from tests.report.test_page import EVIL, Balance

METRICS = Path(__file__).parents[3] / "docs" / "metrics.md"


@pytest.fixture
def board(tmp_path: Path) -> SuiteBoard:
    return write(tmp_path, {
        "u": {"a": [0.01], EVIL: [0.02], "c": [None]},
        "v": {"a": [0.3], EVIL: [0.2], "c": [0.3]},
    })  # fmt: skip


def test_csv_and_json_say_the_same(board: SuiteBoard) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(board))))
    document = json.loads(to_json(board))
    assert [row["backbone"] for row in rows] == [row["backbone"] for row in document["rows"]]
    for row, one in zip(rows, document["rows"], strict=True):
        assert row["mean_rank"] == ("" if one["mean_rank"] is None else str(one["mean_rank"]))
        for name in "uv":
            assert row[f"{name}.ratio"] == str(one["cells"][name]["ratio"] or "")
    assert "boards" not in document
    assert [one["beaten"] for one in document["sets"]] == [True, False]


def test_markdown(board: SuiteBoard) -> None:
    page = to_markdown(board)
    assert "| 1 | a | mlp | none | 1.5 | 1 – 2 | 1 of 2 | 0.1 (1) | 3 (2) | no evidence |" in page
    assert "|  | c | mlp | none |  |  | 0 of 1 | failed | 3 | incomplete |" in page
    assert "| v | 10 | ridge-pixels | 0.1 |" in page
    assert "<script>" not in page


def test_page_text_stays_text_and_tags_are_balanced(board: SuiteBoard) -> None:
    html = to_html(board)
    balance = Balance()
    balance.feed(html)
    assert (balance.wrong, balance.open) == ([], [])
    assert html.count("<script>") == 1  # ours
    assert "&lt;script&gt;alert(1)" in html
    assert html == to_html(board)
    assert "failed</td>" in html
    assert 'title="val MSE 0.3, test MSE 0.3, 1 of 1 runs"' in html


def test_page_needs_nothing_else(board: SuiteBoard) -> None:
    def links(html: str) -> set[str]:
        found = re.findall(r"""(?:href|src)=["']([^"']*)|url\(([^)]*)\)""", html)
        return {one or other for one, other in found}

    assert links(to_html(board)) == {"data:,"}
    assert links(to_html(board, linked=True)) == {"data:,", "u/leaderboard.html", "v/leaderboard.html"}


def test_page_before_any_run(tmp_path: Path) -> None:
    board = write(tmp_path, {"u": {}})
    assert "No row is finished yet" in to_html(board)
    assert "No row is finished on u" in to_markdown(board)
    assert len(to_csv(board).splitlines()) == 1


@pytest.fixture
def wide(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a terminal of some columns shows."""

    def shown(board: SuiteBoard, columns: int) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("NO_COLOR", "1")
        print_suite(board)
        return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)

    return shown


def test_terminal(tmp_path: Path, wide: Any) -> None:
    scores = {
        f"number {n}".replace(" ", "-"): {f"net_{k}": [0.01 + k / 100] for k in range(9)} for n in range(3)
    }
    board = write(tmp_path, scores)
    full = wide(board, 200)
    assert "verdict" in full
    assert "row 9" in full
    assert "row 1 to row 9: the rows above, from top to bottom.\n" in full
    narrow = wide(board, 80)
    tables = [line for line in narrow.splitlines() if "net_" in line or "number-" in line or "row 1" in line]
    assert all(len(line.rstrip()) <= 80 for line in tables[-8:] if line.startswith(("number-", "set")))
    assert "mean rank" in narrow
    assert "verdict" not in narrow
    assert re.search(r"The last \d have no room here; leaderboard-suite.md has them", narrow)


def test_every_column_is_documented() -> None:
    text = METRICS.read_text(encoding="utf-8")
    for column in (*ROW_COLUMNS, *SET_COLUMNS):
        heading = "" if column.shown == "never" else column.heading
        assert f"| `{column.name}` | {heading} | {column.meaning} |" in text
