"""quadzoo report and verify, by the command line."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from filelock import Timeout

from quadzoo.records.record import write_record
from quadzoo.report.results import Results, read_runs
from quadzoo.storage import lock
from tests.report.records import record

Call = Callable[..., Any]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders that share a run, with different scores, and have one each of their own."""
    here, there = tmp_path / "here", tmp_path / "there"
    shared = record("1", 0.01)
    write_record(here, shared)
    write_record(there, record("1", 0.02, finished=shared.finished + timedelta(hours=1)))
    write_record(here, record("2", 0.03, backbone="mine"))
    write_record(there, record("3", 0.04, backbone="yours"))
    return here, there


def test_folders_are_merged(two: tuple[Path, Path], quadzoo: Call, tmp_path: Path) -> None:
    result = quadzoo("report", *two, "--to", tmp_path / "both")
    assert result.status == 0
    told = "done twice with different scores, test MSE 0.01, and 0.02 in the newer one"
    assert f"run 1 left out: {told}" in result.err
    for name in ("md", "html", "json"):
        assert told in (tmp_path / "both" / f"leaderboard.{name}").read_text()
    assert f"1 run was left out of this table: 1 ({told})." in " ".join(result.out.split())
    assert all(name in result.out for name in ("net", "mine", "yours"))
    assert {path.name for path in (tmp_path / "both").iterdir()} == {
        "leaderboard.html", "leaderboard.md", "leaderboard.csv", "leaderboard.json",
    }  # fmt: skip
    assert not list(two[0].glob("leaderboard.*"))
    assert json.loads((tmp_path / "both" / "leaderboard.json").read_text())["conflicts"][0]["key"] == "1"


def test_one_folder_some_formats(two: tuple[Path, Path], quadzoo: Call) -> None:
    result = quadzoo("report", two[0], "--format", "md,csv", "--json")
    assert result.status == 0
    assert [path.suffix for path in sorted(two[0].glob("leaderboard.*"))] == [".csv", ".md"]
    assert json.loads(result.out)["rows"][0]["backbone"] == "net"


def test_a_folder_where_nothing_has_run_yet(quadzoo: Call, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert quadzoo("report", tmp_path).status == 0
    assert "No run yet" in (tmp_path / "leaderboard.html").read_text()


def test_of_very_many_rows_the_best_are_shown(
    quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        write_record(tmp_path, record(f"{number:x}", 0.01 * (number + 1), backbone=f"net{number}"))
    whole = quadzoo("report", tmp_path)
    assert "net11" in whole.out
    assert "of 14 rows" not in whole.out
    monkeypatch.setattr("quadzoo.cli.display.MOST_DETAILED", 10)
    short = quadzoo("report", tmp_path)
    assert "12 of 14 rows, those with the lowest val MSE. leaderboard.md has all." in short.out
    assert "net9" in short.out
    assert "net10" not in short.out
    assert "mean-of-train" in short.out  # although its val MSE is that of net8
    assert "net11" in (tmp_path / "leaderboard.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("report", "nowhere"), "nowhere: no results folder"),
        (("report",), "Missing argument"),
        (("report", ".", "--format", "pdf"), "--format pdf: choose from html, md, csv, json"),
        (("verify", "nowhere"), "nowhere: no records"),
    ],
)
def test_refused(
    arguments: tuple[str, ...], told: str, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = quadzoo(*arguments)
    assert result.status == 2
    assert told in result.error
    assert not list(tmp_path.iterdir())


def test_nowhere_to_write(two: tuple[Path, Path], quadzoo: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = quadzoo("report", two[0], "--to", tmp_path / "file" / "inside")
    assert result.status == 2
    assert "Not a directory; name a folder to write to" in result.error


def test_a_record_that_is_none_costs_its_own_row(two: tuple[Path, Path], quadzoo: Call) -> None:
    (two[0] / "runs" / "1" / "record.json").write_text("{}")
    result = quadzoo("report", two[0])
    assert result.status == 1
    assert "quadzoo: warning: run 1 left out: record.json: not a record that this version reads" in result.err
    assert "1 run was left out of this table: 1 (record.json: not a record" in result.out
    assert "mine" in result.out
    assert {path.name for path in two[0].glob("leaderboard.*")} == {
        "leaderboard.html", "leaderboard.md", "leaderboard.csv", "leaderboard.json",
    }  # fmt: skip
    document = json.loads(quadzoo("report", two[0], "--json").out)
    assert [one["key"] for one in document["unreadable"]] == ["1"]
    assert document["rows"][0]["backbone"] == "mine"


def test_verify_names_what_does_not_match(two: tuple[Path, Path], quadzoo: Call) -> None:
    result = quadzoo("verify", two[0])
    assert result.status == 1
    assert "1: key 1 is not that of what the record says was run" in result.out
    assert result.out.splitlines()[-1].startswith("2 runs, 2 of them with status ok, 0 files:")
    assert json.loads(quadzoo("verify", two[0], "--json").out)["runs"] == 2


@pytest.mark.posix
@pytest.mark.parametrize("columns", [36, 44, 60, 80])
def test_the_verdict_is_told_however_narrow_a_terminal_is(columns: int, tmp_path: Path) -> None:
    for number in range(2):
        write_record(tmp_path, record(f"{number:x}", 0.01 * (number + 1), backbone=f"net{number}"))
    code = f"""
        import os, pty, sys
        os.environ.update(COLUMNS="{columns}", TERM="xterm", NO_COLOR="1")
        sys.exit(os.waitstatus_to_exitcode(pty.spawn([sys.executable, "-c",
            "from quadzoo.cli import main; main()", "report", {str(tmp_path)!r}])))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    assert " ".join(done.stdout.split()).count("no evidence") == 2  # in both rows
    lines = done.stdout.replace(str(tmp_path), "").splitlines()
    table = [line for line in lines if "net0" in line or "no evidence" in line]
    assert all(len(line) <= columns for line in table)


def test_a_name_makes_no_lines_of_its_own(tmp_path: Path, quadzoo: Call) -> None:
    """Else it would be a row of the table, or an answer of the command."""
    forged = "x\n 1  other  0.0001\nquadzoo: all verified"
    made = record("1", 0.01, backbone=f"net{forged}")
    made = made.model_copy(
        update={
            "data": made.data.model_copy(update={"name": forged}),
            "environment": made.environment.model_copy(
                update={"device_name": forged, "plugins": {"p": forged}}
            ),
        }
    )
    write_record(tmp_path, made)
    result = quadzoo("report", tmp_path)
    assert result.status == 0
    assert "\ufffd" in result.out
    assert not [line for line in result.out.splitlines() if line.startswith((" 1  other", "quadzoo: all"))]
    page = (tmp_path / "leaderboard.html").read_text()
    assert "all verified" in page


def test_a_page_holds_nothing_that_a_terminal_acts_on(tmp_path: Path, quadzoo: Call) -> None:
    made = record("1", 0.01, backbone="net\x1b]0;owned\x07")
    write_record(tmp_path, made)
    assert quadzoo("report", tmp_path).status == 0
    for suffix in ("html", "md", "csv", "json"):
        assert "\x1b" not in (tmp_path / f"leaderboard.{suffix}").read_text(), suffix


def test_records_are_read_under_the_lock_that_the_table_is_written_under(
    tmp_path: Path, quadzoo: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two commands the one that read first could else write last, without what the other has finished."""
    write_record(tmp_path, record("1", 0.01))

    def reading(folders: Any) -> Results:
        with pytest.raises(Timeout), lock(tmp_path / ".leaderboard.lock", blocking=False):
            pass
        looked.append(1)
        return read_runs(folders)

    looked: list[int] = []
    monkeypatch.setattr("quadzoo.report.results.read_runs", reading)
    assert quadzoo("report", tmp_path).status == 0
    assert looked == [1]


@pytest.mark.parametrize("command", [("report", "OUT", "--to"), ("data", "make")])
def test_a_full_disk_is_no_bad_input(
    tmp_path: Path, quadzoo: Call, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    write_record(tmp_path, record("1", 0.01))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for place in ("quadzoo.report.files.write_report", "quadzoo.data.equations.write_folder"):
        monkeypatch.setattr(place, full)
    words = [tmp_path if word == "OUT" else word for word in command]
    result = quadzoo(*words, tmp_path / "new")
    assert result.status == 1
    assert "No space left on device" in result.err
