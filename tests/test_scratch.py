from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quadzoo.scratch import scratch_folder, sweep_scratch_below
from tests.processes import kill, names

SCRIPT = """
import sys
from pathlib import Path
from quadzoo.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "big").write_text("of a process that is killed")
    print(folder, flush=True)
    sys.stdin.readline()
"""
SERVER = """
import sys
from quadzoo.executors.local import LocalExecutor
LocalExecutor()
print("started", flush=True)
sys.stdin.readline()
"""


def start(script: str, *arguments: object, **environment: object) -> tuple[subprocess.Popen[str], str]:
    """Start a process; return it and the first line that it prints, after which it waits to be ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {name: str(value) for name, value in environment.items()},
    )  # fmt: skip
    assert process.stdout
    return process, process.stdout.readline().strip()


def test_a_scratch_folder_is_ones_own_and_goes(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as one, scratch_folder(tmp_path) as other:
        assert one != other
        assert one.stat().st_mode & 0o777 == 0o700
        (one / "x").write_text("x")
    assert names(tmp_path) == set()


def test_what_killed_processes_left_is_deleted_by_the_next(tmp_path: Path) -> None:
    killed, left = start(SCRIPT, tmp_path)
    at_work, used = start(SCRIPT, tmp_path)
    kill(killed)
    with scratch_folder(tmp_path):
        assert not Path(left).exists()
        assert (Path(used) / "big").exists()
        assert len(names(tmp_path)) == 4  # two folders with their marks
    at_work.communicate("\n")
    assert names(tmp_path) == set()


def test_those_below_a_folder_are_found_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    killed, left = start(SCRIPT, tmp_path / "a" / "b")
    kill(killed)
    assert Path(left).exists()
    sweep_scratch_below(tmp_path)
    assert names(tmp_path / "a" / "b") == set()
    sweep_scratch_below(tmp_path / "nowhere")


def test_nothing_else_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither folders without a mark, nor what a link leads to, nor what another user has left."""
    (tmp_path / "precious").mkdir()
    base = tmp_path / "base"
    base.mkdir()
    for name in ("a", "b", "c"):
        (base / f".quadzoo-{name * 16}").mkdir()
    (base / f".quadzoo-{'d' * 16}").symlink_to(tmp_path / "precious")
    for name in ("b", "d"):
        (base / f".quadzoo-{name * 16}.lock").touch()
    (base / f".quadzoo-{'c' * 16}.lock").symlink_to(tmp_path / "precious")
    (base / "quadzoo-mine").mkdir()
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    sweep_scratch_below(base)
    assert len(names(base)) == 8
    monkeypatch.setattr(os, "geteuid", lambda: user)
    sweep_scratch_below(base)
    assert names(base) == {
        *(f".quadzoo-{name * 16}" for name in ("a", "c", "d")), f".quadzoo-{'c' * 16}.lock", "quadzoo-mine"
    }  # fmt: skip
    assert (tmp_path / "precious").exists()


def test_the_server_of_a_killed_command_leaves_nothing_for_long(tmp_path: Path) -> None:
    """Its socket lies in a folder of multiprocessing's, which nobody would delete."""
    folder = Path("/tmp") / f"quadzoo-test-{os.getpid()}"
    folder.mkdir()
    try:
        killed, _ = start(SERVER, TMPDIR=folder)
        kill(killed)
        others = {one for one in names(folder) if one.startswith("torchinductor")}
        left = names(folder) - others
        assert left
        ended, _ = start(SERVER, TMPDIR=folder)
        now = names(folder) - others
        ended.communicate("\n")
        assert len(now) == 2
        assert not left & now
        assert names(folder) <= others
    finally:
        shutil.rmtree(folder)


_FORKS = """
import gc, multiprocessing, sys
from contextlib import ExitStack
from multiprocessing import util
from pathlib import Path
from quadzoo.scratch import scratch_folder

def use() -> Path:
    stack = ExitStack()
    folder = stack.enter_context(scratch_folder(Path(sys.argv[1])))
    util.Finalize(None, stack.close, exitpriority=1)  # a copy of the process forgets it, and the stack
    return folder

folder = use()
copy = multiprocessing.get_context("fork").Process(target=gc.collect)
copy.start()
copy.join()
with scratch_folder(Path(sys.argv[1])):  # it deletes what nobody holds
    print(folder.is_dir())
"""


@pytest.mark.posix
def test_a_copy_of_a_process_deletes_nothing_and_unlocks_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FORKS, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
    assert not list(tmp_path.iterdir())
