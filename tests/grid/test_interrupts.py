"""What ends a bench from outside loses nothing that is finished, and says what is kept."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quadzoo import api
from quadzoo.grid.interrupts import Interrupts
from quadzoo.grid.loop import what_is_kept
from quadzoo.grid.observer import Silent

from ..conftest import command
from ..runs import records

pytestmark = pytest.mark.posix
pty = pytest.importorskip("pty", reason="there are no terminals of this kind")


def started(data: Path, out: Path, *more: object, **given: Any) -> subprocess.Popen[str]:
    arguments = command(
        "bench", "--backbones", "tiny_cnn", "--seeds", "0,1", "--epochs", "30", "--weights", "none",
        "--precision", "32", "--threads", 1, "--data", data, "--out", out, *more,
    )  # fmt: skip
    return subprocess.Popen(
        arguments,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **given,
    )


@pytest.fixture(autouse=True)
def obeyed() -> Iterator[None]:
    """Processes inherit what is ignored, and tests may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def until(there: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not there():
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("name", "whom"),
    [
        ("SIGINT", "all"),
        ("SIGTERM", "command"),
        pytest.param("SIGTERM", "all", marks=pytest.mark.slow),
        pytest.param("SIGHUP", "all", marks=pytest.mark.slow),
    ],
)
def test_signals_keep_what_is_finished(equations: Path, tmp_path: Path, name: str, whom: str) -> None:
    """Whether a terminal or service manager sends it to all processes, or somebody to the command alone."""
    process = started(equations, tmp_path, "--seeds", "0,1,2,3")

    def of(file: str) -> int:
        return len([*tmp_path.glob(f"runs/*/{file}")])

    until(lambda: 1 <= of("record.json") < of("run.log"), process)
    (os.killpg if whom == "all" else os.kill)(process.pid, signal.Signals[name])
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    told = re.search(r"quadzoo: ([1-3]) of 4 runs are finished and kept", err)
    assert told, err
    assert "1 under way had no checkpoint yet and will start anew" in err
    assert "Traceback" not in err
    assert [record["status"] for record in records(tmp_path)] == ["ok"] * int(told[1])
    assert (tmp_path / "leaderboard.csv").exists()


def test_a_run_goes_on_from_its_checkpoint(equations: Path, tmp_path: Path) -> None:
    more = ("--seeds", 0, "--checkpoint-minutes", 0)
    process = started(equations, tmp_path, *more)
    until(lambda: [*tmp_path.glob("runs/*/checkpoint.ckpt")], process)
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert "0 of 1 runs are finished and kept; of 1 under way 1 can go on from a checkpoint, 0 min old" in err
    process = started(equations, tmp_path, *more)
    process.communicate(timeout=120)
    assert process.returncode == 0
    (record,) = records(tmp_path)
    assert len(record["environment"]["resumed"]) == 1
    assert len(record["history"]) == 30
    assert not [*tmp_path.glob("runs/*/checkpoint*")]


@pytest.mark.slow
def test_force_starts_anew(equations: Path, tmp_path: Path) -> None:
    process = started(equations, tmp_path, "--seeds", 0, "--checkpoint-minutes", 0)
    until(lambda: [*tmp_path.glob("runs/*/checkpoint.ckpt")], process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    process = started(equations, tmp_path, "--seeds", 0, "--force")
    process.communicate(timeout=120)
    assert process.returncode == 0
    (record,) = records(tmp_path)
    assert record["environment"]["resumed"] == []


@pytest.mark.slow
def test_a_closed_terminal(equations: Path, tmp_path: Path) -> None:
    """Nobody is left to tell: the table is written all the same."""
    ours, theirs = pty.openpty()
    arguments = command(
        "bench", "--backbones", "tiny_cnn", "--seeds", "0,1,2,3", "--epochs", "30", "--weights", "none",
        "--precision", "32", "--threads", 1, "--data", equations, "--out", tmp_path,
    )  # fmt: skip
    process = subprocess.Popen(
        arguments, start_new_session=True, stdin=theirs, stdout=theirs, stderr=theirs, text=True
    )
    os.close(theirs)
    until(lambda: [*tmp_path.glob("runs/*/record.json")], process)
    os.close(ours)
    os.kill(process.pid, signal.SIGHUP)
    assert process.wait(timeout=60) == 130
    assert (tmp_path / "leaderboard.csv").exists()


@pytest.mark.slow
def test_nohup_is_respected(equations: Path, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the command inherits it
    try:
        process = started(equations, tmp_path, "--seeds", 0)
    finally:
        signal.signal(signal.SIGHUP, before)
    until(lambda: [*tmp_path.glob("runs/*/run.log")], process)
    os.killpg(process.pid, signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_is_remembered_where_python_drops_the_exception() -> None:
    class Dropped:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)

    before = signal.getsignal(signal.SIGTERM)
    with Interrupts() as interrupts:
        Dropped()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_is_kept_is_said_while_learning_rates_are_tried(
    equations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("quadzoo.grid.runner.with_tuning", interrupted)
    told = Told()
    with pytest.raises(KeyboardInterrupt):
        api.bench(
            ["tiny_cnn"], data=str(equations), out=tmp_path, weights="none", precision="32", epochs=1,
            tune="lr:2", progress=told,
        )  # fmt: skip
    assert told.lines[-1] == (
        "0 of 1 runs are finished and kept, and so are the short trainings that have ended"
    )


def test_what_a_run_left_that_was_killed_after_its_record(equations: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "data": str(equations), "out": tmp_path, "weights": "none", "precision": "32", "epochs": 1,
    }  # fmt: skip
    api.bench(["tiny_cnn"], ["linear"], **given)
    (folder,) = (tmp_path / "runs").iterdir()
    (folder / "checkpoint.ckpt").write_bytes(b"large")
    api.bench(["tiny_cnn"], ["linear"], **given)
    assert not (folder / "checkpoint.ckpt").exists()


def test_what_force_makes_of_it(equations: Path, tmp_path: Path) -> None:
    """The same command would train everything again, so nothing is said of going on."""
    plan = api.plan(
        ["tiny_cnn"], data=str(equations), out=tmp_path, weights="none", precision="32", epochs=1, force=True
    )
    assert what_is_kept(plan, 0) == (
        "0 of 1 runs are finished and kept; with `force` the same command trains all of them again, from the "
        "start"
    )


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bench"], "interrupted; what is finished is kept, and the same command continues from here"),
        (["bench", "--force"], "interrupted"),
        (["predict", "best", "x.png"], "interrupted"),
    ],
)
def test_only_a_bench_goes_on(
    arguments: list[str], said: str, quadzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("quadzoo.cli.cli.main", interrupted)
    done = quadzoo(*arguments)
    assert (done.status, done.err) == (130, f"quadzoo: {said}\n")
