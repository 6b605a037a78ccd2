"""Benches as processes that tests end, and what must hold of the folder that they leave."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from quadzoo.records.record import read_records

from ..conftest import command

# Columns that begin so are never twice the same.
_MEASURED = ("train_images_per_second", "images_per_second", "latency", "fit_seconds", "peak_memory_mb",
             "cpu_share")  # fmt: skip


def bench_command(data: Path, out: Path, *more: object) -> list[str]:
    """The command of a small bench; what is given twice counts the second time."""
    return command(
        "bench", "--backbones", "tiny_cnn", "--seeds", "0,1", "--epochs", 6, "--weights", "none",
        "--precision", 32, "--threads", 1, "--checkpoint-minutes", 0, "--data", data, "--out", out, *more,
    )  # fmt: skip


def started(data: Path, out: Path, *more: object, **given: Any) -> subprocess.Popen[str]:
    """A small bench at work, in a session of its own."""
    return subprocess.Popen(
        bench_command(data, out, *more),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **given,
    )


def finished(data: Path, out: Path, *more: object, **given: Any) -> str:
    """Run a small bench to its end, which must be a good one; return what it said."""
    process = started(data, out, *more, **given)
    _, said = process.communicate(timeout=280)
    assert process.returncode == 0, said
    return said


def until(there: Callable[[], object], process: subprocess.Popen[str], seconds: float = 120) -> None:
    """Wait until something is there; the process must not end before."""
    end = time.monotonic() + seconds
    while not there():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that are at work, oldest first."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(folder.name))
    return sorted(found)


def server_of(pid: int) -> int | None:
    """The process that starts a bench's runs."""
    for child in children(pid):
        with suppress(OSError):
            if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
    return None


def victims(pid: int) -> dict[str, list[int]]:
    """The processes of a bench, by what they do."""
    server = server_of(pid)
    runs = children(server) if server else []
    return {"parent": [pid], "server": [server] if server else [], "child": runs[-1:]}


def kill(process: subprocess.Popen[str], whom: str) -> None:
    """End one of a bench's processes, or all; nothing where it is not there at the moment."""
    with suppress(ProcessLookupError):
        if whom == "group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            for pid in victims(process.pid)[whom]:
                os.kill(pid, signal.SIGKILL)


def announced(said: str) -> int:
    """How many runs a bench said had ended well."""
    return len(re.findall(r"\] tiny_cnn .* val MSE", said))


def check_kept(out: Path, at_least: int) -> None:
    """Check that every record can be read, and that there are as many good ones as announced."""
    good = [record for record in read_records(out) if record.status == "ok"]
    assert len(good) >= at_least


def scores(out: Path) -> list[dict[str, str]]:
    """The leaderboard without what is measured."""
    with (out / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if not name.startswith(_MEASURED)} for row in rows]


def leftovers(out: Path) -> list[str]:
    """What killed writers have left."""
    return [str(path) for end in ("partial", "writer") for path in out.rglob(f".*.{end}")]
