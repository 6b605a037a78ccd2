"""What a suite loses, and what it does not, where data, runs or the user go away meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import quadzoo as public
from quadzoo import api
from quadzoo.errors import DataError
from quadzoo.grid import suite as of_suite
from quadzoo.grid.observer import Silent
from quadzoo.records.record import RunRecord

from ..runs import records
from .suites import SET, THIRD, rows, write_set, write_suite

Call = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A suite of the sets a and b."""
    return write_suite(tmp_path / "sets")


class After(Silent):
    """Does something when a run has ended, once."""

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def ended(self, task: object, record: RunRecord) -> None:
        do, self._do = self._do, lambda: None
        do()


def test_an_interrupt_leaves_what_is_finished(file: Path, tmp_path: Path, quadzoo: Call) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        api.suite(file, out=out, progress=After(interrupt))
    assert [len(records(out / name)) for name in "ab"] == [1, 0]
    board = public.suite_leaderboard(out)
    assert [one.best for one in board.sets] == ["tiny_cnn + mlp", None]
    page = (out / "leaderboard-suite.md").read_text()
    assert "No row is finished on b" in page
    first = records(out / "a")[0]["finished"]
    assert quadzoo("bench", "--suite", file, "--out", out).status == 0
    assert records(out / "a")[0]["finished"] == first
    assert len(records(out / "b")) == 1


def test_data_that_vanish_cost_their_own_set(file: Path, tmp_path: Path) -> None:
    write_set(file.parent / "c", 2)
    file.write_text(file.read_text() + SET.format(name="c"))
    gone = After(lambda: shutil.rmtree(file.parent / "b" / "images"))
    board = api.suite(file, out=tmp_path / "out", progress=gone)
    assert list(board.errors) == ["b"]
    assert "no such folder" in board.errors["b"]
    assert [len(records(tmp_path / "out" / name)) for name in "abc"] == [1, 0, 1]
    assert any(note.startswith("error: set b is not finished: ") for note in gone.notes)
    assert "b is not finished: " in (tmp_path / "out" / "leaderboard-suite.html").read_text()


def test_data_that_change_meanwhile_cost_their_own_set(file: Path, tmp_path: Path) -> None:
    table = file.parent / "b" / "table.csv"
    changed = After(lambda: table.write_text(table.read_text().replace("0,0.", "0,1.", 1)) and None)
    board = api.suite(file, out=tmp_path / "out", progress=changed)
    assert "have changed since the bench began" in board.errors["b"]
    assert records(tmp_path / "out" / "b") == []


def test_a_finished_set_that_is_gone_keeps_its_place(file: Path, quadzoo: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def bench(*flags: str) -> Any:
        return quadzoo("bench", "--suite", file, "--out", out, *flags)

    assert bench().status == 0
    before = rows(out)
    shutil.rmtree(file.parent / "b")
    again = bench()
    assert again.status == 0, again.err
    assert "set b keeps its finished runs; it cannot be read any more: data " in again.err
    assert rows(out) == before
    plan = bench("--dry-run", "--json")
    assert (plan.status, list(json.loads(plan.out)["sets"])) == (0, ["a"])
    # More is asked for than b has.
    for flags in (("--heads", "mlp,linear"), ("--seeds", "0,1")):
        more = bench(*flags)
        assert more.status == 1
        assert "error: set b is not finished: data " in more.err
        assert "b is not finished: data " in (out / "leaderboard-suite.md").read_text()
    assert [len(records(out / name)) for name in "ab"] == [3, 1]
    # Nothing is left that could be done.
    shutil.rmtree(file.parent / "a" / "images")
    assert bench().status == 2


def test_a_set_that_is_gone_excuses_no_fault_of_the_file(file: Path, quadzoo: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def refused() -> str:
        result = quadzoo("bench", "--suite", file, "--out", out)
        assert result.status == 2
        return str(result.error)

    shutil.move(file.parent / "b", tmp_path / "b")
    assert "set b: data " in refused()  # it has never been read
    assert not out.exists()
    shutil.move(tmp_path / "b", file.parent / "b")
    assert quadzoo("bench", "--suite", file, "--out", out).status == 0
    text = file.read_text()
    file.write_text(text.replace('["y"]', '["z"]'))
    assert "no column 'z'" in refused()
    file.write_text(text + THIRD.format("nowhere", "y"))
    assert "set c: data " in refused()


def test_a_set_that_cannot_go_on_is_exit_status_1(
    file: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = of_suite.bench

    def broken(config: Any, *others: Any, **more: Any) -> Any:
        if config.out.name == "a":
            raise DataError("the disk is gone")
        return bench(config, *others, **more)

    monkeypatch.setattr(of_suite, "bench", broken)
    result = quadzoo("bench", "--suite", file, "--out", tmp_path / "out")
    assert result.status == 1
    assert "quadzoo: error: set a is not finished: the disk is gone" in result.err
    assert len(records(tmp_path / "out" / "b")) == 1


def test_a_failed_run_is_exit_status_1_and_the_others_go_on(
    file: Path, quadzoo: Call, tmp_path: Path
) -> None:
    write_set(file.parent / "c", 2)
    file.write_text(file.read_text() + "timeout = 0.01\n" + SET.format(name="c"))  # b has no time
    result = quadzoo("bench", "--suite", file, "--out", tmp_path / "out")
    assert result.status == 1
    status = {name: records(tmp_path / "out" / name)[0]["status"] for name in "abc"}
    assert status == {"a": "ok", "b": "failed", "c": "ok"}
    assert "No row is finished on b: mean ranks are over the other sets." in result.out
