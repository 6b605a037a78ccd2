"""The one table of columns, and what is made from it."""

from __future__ import annotations

import csv
import io
import re
import sys
from pathlib import Path

import pytest

from quadzoo.cli.display import print_leaderboards
from quadzoo.records.record import Cost
from quadzoo.report import columns
from quadzoo.report.column import Column
from quadzoo.report.columns import COLUMNS, CSV_FIRST, TASK, reference, shown_columns
from quadzoo.report.markdown import to_markdown
from quadzoo.report.page import to_html
from quadzoo.report.rows import Leaderboard
from quadzoo.report.tables import to_csv
from tests.report.judged import row_of, texts
from tests.report.records import board_of, record

METRICS = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture
def board(tmp_path: Path) -> Leaderboard:
    cost = Cost(params=7, fit_seconds=3.0, latency_ms=2.0, latency_p95_ms=3.0, images_per_second=4.0)
    return board_of(
        tmp_path, record("1", 0.01, cost=cost), record("2", 0.25, cost=cost, backbone="other"),
        record("3", None, backbone="broken"),
    )  # fmt: skip


@pytest.mark.parametrize("shown", ["always", "any", "differs", "never"])
def test_one_entry_is_a_column_everywhere(
    shown: str, board: Leaderboard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Column(
        name="test_root",
        heading="root of MSE",
        meaning="the square root of the test MSE",
        value=lambda row: None if row.test_mse is None else row.test_mse**0.5,
        text=lambda row: "" if row.test_mse is None else f"about {row.test_mse**0.5:.1f}",
        shown=shown,  # type: ignore[arg-type]
        priority=3,
    )
    monkeypatch.setattr(columns, "COLUMNS", (*COLUMNS, root))
    rows = list(csv.DictReader(io.StringIO(to_csv([board]))))
    assert [row["test_root"] for row in rows if row["backbone"] in ("net", "other", "broken")] == [
        "0.1", "0.5", "",
    ]  # fmt: skip
    assert reference().count("the square root of the test MSE") == 1
    print_leaderboards([board])
    seen = shown != "never"
    for output in (capsys.readouterr().out, to_markdown([board]), to_html([board], [])):
        assert ("root of MSE" in output) == seen
        assert ("about 0.5" in output) == seen
    assert ("the square root of the test MSE" in to_html([board], [])) == seen


@pytest.mark.parametrize(
    ("shown", "texts", "seen"),
    [
        ("always", ["", ""], True), ("any", ["", ""], False), ("any", ["", "x"], True),
        ("differs", ["", "x"], False), ("differs", ["y", "x"], True), ("never", ["y", "x"], False),
    ],
)  # fmt: skip
def test_columns_are_shown_where_they_say_something(
    shown: str, texts: list[str], seen: bool, board: Leaderboard
) -> None:
    by_backbone = dict(zip(("net", "other"), texts, strict=True))
    column = Column(
        name="x", heading="x", meaning="x", value=lambda row: None,
        text=lambda row: by_backbone.get(row.backbone, ""), shown=shown,  # type: ignore[arg-type]
    )  # fmt: skip
    assert column.says_something(board.rows) == seen


def test_a_narrow_terminal_drops_what_matters_least(
    board: Leaderboard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the output for a terminal
    columns = shown_columns(board)
    counts = []
    for width in (300, 130, 110, 90, 20):
        monkeypatch.setenv("COLUMNS", str(width))
        print_leaderboards([board])
        out = capsys.readouterr().out.split("No room here")[0]
        priorities = [one.priority for one in columns if one.heading in out]
        counts.append(len(priorities))
        if width > 80:  # a narrower one folds headings
            dropped = [one.priority for one in columns if one.heading not in out]
            assert max(priorities) <= min(dropped, default=99)
    assert counts[0] == len(columns)
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) > 3


def test_in_a_narrow_terminal_nobody_misses_the_errors_of_the_targets(
    board: Leaderboard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the table or below it; no line is longer than the terminal, and words are divided only in names."""
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "64"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    best = board.rows[0].model_copy(update={"backbone": "efficientnet_lite2_of_others"})
    print_leaderboards([board.model_copy(update={"rows": [best, *board.rows[1:]]})])
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, out.splitlines())) <= 64
    for target in board.targets:
        assert f"{target}: RMSE" in " ".join(out.split("No room here")[0].split())
    assert re.search(r" efficientnet_ .*\n +lite2_of_", out)


def test_a_row_that_is_lower_on_test_says_so_beside_its_verdict(tmp_path: Path) -> None:
    row_of(tmp_path, "lucky", 1.0, val=0.001, spread=1.0)
    row_of(tmp_path, "lower", 0.95, val=0.002)
    board = board_of(tmp_path)
    (column,) = [one for one in COLUMNS if one.name == "verdict"]
    told = {row.backbone: column.text(row) for row in board.rows}["lower"]
    assert re.fullmatch(r"not significantly worse \(lower on test, 0\.\d+×\)", told)
    assert "Where that is below 1 the row is lower on test, which does not decide: val does." in texts(board)


def test_names_are_unique_and_those_of_the_contract_are_there() -> None:
    names = [column.name for column in (*COLUMNS, *TASK)]
    assert len(set(names)) == len(names)
    assert set(CSV_FIRST) <= set(names)


def test_docs_define_every_column() -> None:
    assert reference() in METRICS.read_text(), (
        "docs/metrics.md is out of date; CONTRIBUTING.md says how to write its table of columns anew"
    )
