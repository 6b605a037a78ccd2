"""The files of a leaderboard that somebody has edited."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from quadzoo.records.record import Metrics, write_record
from quadzoo.report.verify import verify
from tests.report.records import predict, record
from tests.report.tampering import finished, report


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Rows of three seeds, whose names Markdown and HTML would act upon."""
    for backbone, error in (("a_*net*", 1.0), ("<b>net|x", 2.0)):
        for seed in range(3):
            key = f"{len(backbone)}{seed}"
            write_record(tmp_path, record(key, error**2 / 100, backbone=backbone, seed=seed))
            predict(tmp_path, key, [error, error - 0.1 * seed, error, error + 0.1])
    report(tmp_path)
    return tmp_path


def of_files(out: Path) -> list[str]:
    return [f"{one.where}: {one.text}" for one in verify(out).faults if one.where.startswith("leaderboard")]


def test_what_was_written_matches(results: Path) -> None:
    assert of_files(results) == []
    assert verify(results).not_checked == []


def test_rows_with_a_flag_beside_their_name_are_checked(tmp_path: Path) -> None:
    """One whose runs have all failed, and one of a split that leaks."""
    for key, val, backbone in (("1", 0.04, "good"), ("2", None, "bad")):
        one = record(key, val, backbone=backbone)
        one.split.leaky, one.split.leaked = True, 1
        write_record(tmp_path, one)
    report(tmp_path)
    assert (of_files(tmp_path), verify(tmp_path).not_checked) == ([], [])
    swap("leaderboard.html", ">failed</span>", ">failed</span><b>net</b>")(tmp_path)
    assert len(verify(tmp_path).not_checked) == 1
    report(tmp_path)
    page = tmp_path / "leaderboard.html"
    page.write_text(page.read_text().replace(">incomplete<", ">best<"))
    (fault,) = of_files(tmp_path)
    assert "(bad): verdict is 'best', the records give 'incomplete'" in fault


def swap(name: str, old: str, new: str) -> Callable[[Path], None]:
    def tamper(out: Path) -> None:
        path = out / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return tamper


def json_row(**changes: object) -> Callable[[Path], None]:
    def tamper(out: Path) -> None:
        path = out / "leaderboard.json"
        board = json.loads(path.read_text())
        board["rows"][0] |= changes
        path.write_text(json.dumps(board))

    return tamper


def json_row_gone(out: Path) -> None:
    path = out / "leaderboard.json"
    board = json.loads(path.read_text())
    path.write_text(json.dumps({**board, "rows": board["rows"][1:]}))


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (swap("leaderboard.md", "| no evidence |", "| worse |"), "leaderboard.md: row 1 (a"),
        (swap("leaderboard.md", "| 0.01 ", "| 0.001 "), "is '0.001', the records give '0.01'"),
        (swap("leaderboard.html", ">0.01<", ">0.001<"), "leaderboard.html: row 1 (a_*net*): val MSE is"),
        (swap("leaderboard.html", ">no evidence<", ">worse<"), "row 1 (a_*net*): verdict is"),
        (json_row(val_mse=0.001), "leaderboard.json: rows.0.val_mse is 0.001, the records give 0.01"),
        (json_row(verdict="worse"), "leaderboard.json: rows.0.verdict is 'worse', the records give"),
        (json_row_gone, "leaderboard.json: rows has "),
        (swap("leaderboard.json", '"hash": "D"', '"hash": "X"'), "no record has its data, split and targets"),
        (lambda out: (out / "leaderboard.json").write_text("[]"), "leaderboard.json: cannot be read"),
        (lambda out: (out / "leaderboard.json").write_text("{"), "leaderboard.json: cannot be read"),
        (lambda out: (out / "leaderboard.html").write_bytes(b"\xff"), "leaderboard.html: cannot be read"),
    ],
)  # fmt: skip
def test_an_edited_file_is_named(results: Path, tamper: Callable[[Path], None], told: str) -> None:
    tamper(results)
    faults = of_files(results)
    assert len(faults) == 1
    assert told in faults[0]


def test_rows_of_others_are_named_as_not_checked(results: Path) -> None:
    path = results / "leaderboard.md"
    lines = path.read_text().splitlines()
    row = next(line for line in lines if "a\\_" in line and line.startswith("|"))
    headings = next(line for line in lines if "verdict" in line and line.startswith("|")).split(" | ")
    cells = row.replace("a\\_", "ocr_").split(" | ")
    at = lines.index(row) + 1
    path.write_text("\n".join([*lines[:at], " | ".join(cells), *lines[at:], ""]))
    assert ["it has a rank, seeds or a val MSE" in told for told in of_files(results)] == [True]
    for heading in ("| rank", "val MSE", "seeds"):
        if heading in headings:
            cells[headings.index(heading)] = "| " * heading.startswith("|")
    path.write_text("\n".join([*lines[:at], " | ".join(cells), *lines[at:], ""]))
    verdict = verify(results)
    assert of_files(results) == []
    assert len(verdict.not_checked) == 1
    assert "leaderboard.md: row 2 (ocr_" in verdict.not_checked[0]


@pytest.mark.parametrize("name", ["leaderboard.md", "leaderboard.html"])
def test_rows_that_are_gone_or_moved_are_told(name: str, results: Path) -> None:
    path = results / name
    text = path.read_text()
    if name.endswith("md"):
        rows = [line for line in text.splitlines() if line.startswith("| ") and "verdict" not in line][1:]
    else:
        rows = re.findall(r"<tbody data-plugins.*?</tbody>", text, re.S)
    path.write_text(text.replace(rows[-1], ""))
    assert [told.split(" rows")[0].split(" of ")[0] for told in of_files(results)] == [f"{name}: lacks 1"]
    moved = text.replace(rows[-1], "LAST").replace(rows[0], rows[-1]).replace("LAST", rows[0])
    path.write_text(moved)
    assert [told.split(" than")[0] for told in of_files(results)] == [
        f"{name}: has its rows in another order"
    ]


def test_a_table_of_one_of_two_data_sets_matches(results: Path) -> None:
    """A bench writes the leaderboard of its own data, whatever else lies in the folder."""
    before = {path.name: path.read_bytes() for path in results.glob("leaderboard.*")}
    other = record("9", 0.01, seed=7)
    other.data.hash = "other"
    write_record(results, other)
    report(results)
    assert of_files(results) == []
    for name, content in before.items():
        (results / name).write_bytes(content)
    assert of_files(results) == []


def test_a_whole_folder_matches(tmp_path: Path) -> None:
    assert verify(finished(tmp_path)).faults == []


def test_names_that_markdown_would_act_on_are_read_back(tmp_path: Path) -> None:
    name = "tilt [rad] a|b_c*"
    scores = Metrics(val_mse=0.01, test_mse=0.01, test_rmse={name: 0.5}, test_r2={name: 0.25})
    write_record(tmp_path, record("0", 0.01, targets=[name], metrics=scores, baselines={}))
    report(tmp_path)
    assert r"tilt \[rad\]" in (tmp_path / "leaderboard.md").read_text()
    assert of_files(tmp_path) == []


def test_rows_that_a_page_has_no_room_for_are_not_missed(tmp_path: Path) -> None:
    for n in range(205):
        write_record(tmp_path, record(f"{n:03d}", 0.01 + n / 1e4, backbone=f"n{n:03d}"))
    report(tmp_path)
    assert of_files(tmp_path) == []
    path = tmp_path / "leaderboard.html"
    rows = re.findall(r"<tbody data-plugins.*?</tbody>", path.read_text(), re.DOTALL)
    assert len(rows) == 202
    path.write_text(path.read_text().replace(rows[100], ""))
    assert of_files(tmp_path)[0].startswith("leaderboard.html: lacks 1 of 202 rows")
