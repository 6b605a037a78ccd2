"""kill -9 of any process at any moment: what was announced is there, and the same command completes."""

from __future__ import annotations

import os
import random
import textwrap
import time
from pathlib import Path

import pytest

from .benches import (
    announced,
    check_kept,
    children,
    finished,
    kill,
    leftovers,
    scores,
    server_of,
    started,
    until,
)

WHOM = ("child", "parent", "server", "group")


@pytest.fixture(scope="module")
def whole(equations: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench that nobody ended."""
    out = tmp_path_factory.mktemp("whole")
    finished(equations, out)
    return out


@pytest.fixture(scope="module")
def whole_of_six(equations: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A longer bench that nobody ended."""
    out = tmp_path_factory.mktemp("six")
    finished(equations, out, "--seeds", "0,1,2,3,4,5")
    return out


def ended_early(equations: Path, out: Path, whom: str, seconds: float, *more: object) -> str:
    """Start a bench and kill one of its processes after some time at work; return what it said."""
    before = set(out.glob("runs/*/run.log"))
    process = started(equations, out, *more)
    end = time.monotonic() + 120
    while process.poll() is None and set(out.glob("runs/*/run.log")) == before and time.monotonic() < end:
        time.sleep(0.01)
        if before:  # its runs go on in folders that are there
            break
    time.sleep(seconds)
    kill(process, whom)
    _, said = process.communicate(timeout=280)
    assert "Traceback" not in said
    assert "interrupted" not in said
    return said


@pytest.mark.parametrize("whom", WHOM)
def test_kills_lose_nothing(equations: Path, whole: Path, whom: str, tmp_path: Path) -> None:
    said = ended_early(equations, tmp_path, whom, random.Random(whom).uniform(0.3, 1.5))
    check_kept(tmp_path, announced(said))
    finished(equations, tmp_path)
    assert scores(tmp_path) == scores(whole)
    assert leftovers(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", range(6))
def test_ten_kills_in_a_row(equations: Path, whole_of_six: Path, number: int, tmp_path: Path) -> None:
    """Sixty moments in all, at start and while at work; each time the command goes on from what is there."""
    six = ("--seeds", "0,1,2,3,4,5")
    moments, good = random.Random(number), 0
    for _ in range(10):
        said = ended_early(equations, tmp_path, moments.choice(WHOM), moments.uniform(0, 5), *six)
        good += announced(said)
        check_kept(tmp_path, good)
    finished(equations, tmp_path, *six)
    assert scores(tmp_path) == scores(whole_of_six)
    assert leftovers(tmp_path) == []


# Kills the process that renames, once before and once after for each file, and writes down which that was.
AT_RENAMES = """
import os, re, signal, sys
replace = os.replace

def killing(source, target, **options):
    name = re.sub(r"[0-9a-f]{8,}", "X", os.path.basename(os.fspath(target)))
    if not os.fspath(target).startswith(os.environ["QUADZOO_TEST_OUT"]):
        return replace(source, target, **options)
    for when in ("before", "after"):
        if when == "after":
            replace(source, target, **options)
        try:
            os.close(os.open(os.path.join(os.environ["QUADZOO_TEST_KILLED"], f"{name} {when}"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = killing
"""  # noqa: E501


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kills_at_every_rename(equations: Path, whole: Path, tmp_path: Path) -> None:
    site, killed, out = (tmp_path / name for name in ("site", "killed", "out"))
    site.mkdir()
    killed.mkdir()
    (site / "sitecustomize.py").write_text(textwrap.dedent(AT_RENAMES))
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    given = os.environ | {
        "PYTHONPATH": path,
        "QUADZOO_TEST_KILLED": str(killed),
        "QUADZOO_TEST_OUT": str(out),
    }
    good = 0
    for _ in range(40):
        process = started(equations, out, env=given)
        _, said = process.communicate(timeout=280)
        assert "Traceback" not in said
        good += announced(said)
        if out.exists():
            check_kept(out, good)
        if process.returncode == 0:
            break
    moments = {path.name for path in killed.iterdir()}
    for name in ("record.json", "model.safetensors", "predictions.csv", "checkpoint.ckpt", "leaderboard.csv"):
        assert {f"{name} before", f"{name} after"} <= moments
    assert scores(out) == scores(whole)
    finished(equations, out)
    assert leftovers(out) == []


def test_a_server_that_dies_is_told_as_that(equations: Path, tmp_path: Path) -> None:
    """It is no interrupt; the run has failed, and the next has a server again."""
    process = started(equations, tmp_path, "--epochs", 40)
    until(lambda: [*tmp_path.glob("runs/*/checkpoint.ckpt")], process)
    server = server_of(process.pid)
    assert server is not None
    runs = children(server)
    kill(process, "server")
    _, said = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "FAILED: ProcessDied: the process that starts runs was ended (out of memory?)" in said
    assert "interrupted" not in said
    assert announced(said) == 1
    assert not [pid for pid in runs if Path(f"/proc/{pid}").exists()]
