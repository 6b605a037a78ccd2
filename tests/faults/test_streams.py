"""Where a command stands and where its output goes: whatever the system refuses is one line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..conftest import command
from .benches import finished

Call = Callable[..., Any]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def shell(line: str, environment: dict[str, str] | None = None, **given: Any) -> Any:
    """Run a line of a shell, in which $Q is the command; the status is that of quadzoo."""
    more = environment or {}
    encoding = "latin-1" if more.get("PYTHONIOENCODING") == "latin-1" else "utf-8"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        env=os.environ | {"Q": command()[0], "PYTHONUNBUFFERED": ""} | more,
        capture_output=True,
        encoding=encoding,
        check=False,
        **given,
    )


def one_line(done: Any) -> str:
    (line,) = done.stderr.splitlines()
    assert line.startswith("quadzoo: error: ")
    assert len(line) <= 300
    return line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has /dev/full")
@pytest.mark.parametrize("arguments", ["list heads", "list heads --json", "--help"])
def test_output_that_cannot_be_written(arguments: str) -> None:
    done = shell(f"$Q {arguments} > /dev/full")
    assert one_line(done) == "quadzoo: error: output cannot be written: No space left on device"
    assert done.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has /dev/full")
def test_an_error_that_nobody_can_read_keeps_its_status() -> None:
    assert shell("$Q list --no-such-flag 2> /dev/full").returncode == 2


def test_a_reader_that_has_read_enough() -> None:
    done = shell("$Q list --all --json | head -c 10")
    assert (done.returncode, done.stderr) == (1, "")
    assert len(done.stdout) == 10


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(closed: str, discs: Path, tmp_path: Path) -> None:
    """As a service manager may start a command: its runs' messages would go into files of their numbers."""
    done = shell(
        "$Q bench --backbones tiny_cnn --heads linear --weights none --epochs 1 --precision 32 --data "
        f"{discs}/discs.csv --images {discs}/photos --targets x --id-column file --out out {closed}; s=$?; "
        f"$Q verify out && $Q report out {closed} && exit $s",
        cwd=tmp_path,
    )
    assert (done.returncode, "all match" in done.stdout, "Traceback" in done.stderr) == (0, True, False)


def test_a_folder_that_was_deleted(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    for arguments in ("bench --backbones tiny_cnn --weights none", "plugin new mine"):
        done = shell(
            f"cd gone && rmdir ../gone && $Q {arguments}; s=$?; mkdir ../gone; exit $s", cwd=tmp_path
        )
        assert one_line(done).endswith("the current folder does not exist any more; change to another")
        assert done.returncode == 2
    assert shell("cd gone && rmdir ../gone && $Q list heads", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        "report LONG", "verify LONG", "predict LONG x", "export LONG x", "data check LONG", "data make LONG",
        "plugin new LONG", "list --plugin LONG.py", "plugin check LONG", "bench --suite LONG",
        "bench --data LONG", "bench --out LONG", "bench --init LONG", "bench --data x --images LONG",
    ],
)  # fmt: skip
@pytest.mark.parametrize("length", [300, 5000])
def test_paths_that_are_too_long(
    arguments: str, length: int, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = quadzoo(*arguments.replace("LONG", "l" * length).split())
    assert done.status == 2
    assert len(done.error) <= 300
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("seconds", ["inf", "1e300", "nan", "0", "-1"])
@pytest.mark.parametrize("arguments", ["bench", "plugin check tiny_cnn"])
def test_a_timeout_that_no_clock_has(arguments: str, seconds: str, quadzoo: Call) -> None:
    done = quadzoo(*arguments.split(), "--timeout", seconds)
    assert done.status == 2
    assert "timeout" in done.error


def test_letters_that_a_locale_lacks(discs: Path, tmp_path: Path) -> None:
    """JSON stays JSON, the rest can be read."""
    folder = tmp_path / "földer ☃"
    folder.mkdir()
    done = shell(f"$Q data check {folder}", environment=ASCII)
    assert one_line(done)
    assert done.returncode == 2
    heads = shell("$Q list heads --json", environment=ASCII)
    assert json.loads(heads.stdout) == json.loads(shell("$Q list heads --json").stdout)
    (tmp_path / "mine.py").write_text(
        "from quadzoo import HeadSpec, hookimpl\n\n@hookimpl\ndef register_heads():\n"
        "    return [HeadSpec(name='mine', build=print, description='größe ☃')]\n",
        encoding="utf-8",
    )
    for encoding in ("ascii", "latin-1"):
        given = ASCII | {"PYTHONIOENCODING": encoding}
        mine = shell("$Q list heads --json --plugin mine.py", environment=given, cwd=tmp_path)
        assert "größe ☃" in [one["description"] for one in json.loads(mine.stdout)]
        table = shell("$Q list heads --plugin mine.py", environment=given, cwd=tmp_path)
        assert {"ascii": r"gr\u00f6\u00dfe \u2603", "latin-1": r"größe \u2603"}[encoding] in table.stdout


def test_a_bench_in_an_ascii_locale_with_a_long_folder_for_temporary_files(
    equations: Path, tmp_path: Path
) -> None:
    """The name of a socket has at most 107 bytes, and multiprocessing makes one below TMPDIR."""
    temporary, data = tmp_path / ("t" * 120), tmp_path / "gleichungen ü"
    temporary.mkdir()
    data.symlink_to(equations)
    given = os.environ | ASCII | {"TMPDIR": str(temporary)}
    finished(data, tmp_path / "oüt", "--seeds", 0, "--epochs", 1, env=given)
    assert (tmp_path / "oüt" / "leaderboard.html").exists()
