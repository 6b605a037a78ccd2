"""Calls that only some systems have: the portable ones give the same."""

from __future__ import annotations

import gzip
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import psutil  # on Linux it needs resource itself, elsewhere not
import pytest

from quadzoo import system

POSIX = ("preadv", "killpg", "setpgid", "getpgid", "setsid")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module as it is where there is neither resource nor /proc, nor what only POSIX has."""
    with monkeypatch.context() as patch:
        for name in POSIX:
            patch.delattr(os, name, raising=False)
        patch.setitem(sys.modules, "resource", None)
        patch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn"])
        read = Path.read_text

        def hidden(path: Path, **given: str) -> str:
            if path.parts[:2] == (os.sep, "proc"):
                raise FileNotFoundError(path)
            return read(path, **given)

        patch.setattr(Path, "read_text", hidden)
        yield importlib.reload(system)
    importlib.reload(system)


def read(folder: Path) -> None:
    (folder / "f").write_bytes(bytes(range(60)))
    with (folder / "f").open("rb", buffering=0) as file:
        buffer = np.zeros((2, 5), np.uint8)
        assert system.read_at(file, buffer, 20) == 10
        assert buffer.ravel().tolist() == list(range(20, 30))
        assert system.read_at(file, buffer, 55) == 5
        assert system.read_at(file, buffer, 60) == 0


def test_reading_at_a_position(tmp_path: Path) -> None:
    read(tmp_path)


@pytest.mark.usefixtures("bare")
def test_reading_at_a_position_without_preadv(tmp_path: Path) -> None:
    assert not hasattr(os, "preadv")
    read(tmp_path)


def test_memory_without_resource(bare: ModuleType) -> None:
    portable = bare.peak_memory()
    assert bare.resource is None
    full = np.ones(200 * 2**20, np.uint8)
    assert bare.peak_memory() - portable > 150 * 2**20
    del full


@pytest.mark.skipif(sys.platform == "win32", reason="there is no resource")
def test_memory_is_in_bytes() -> None:
    full = np.ones(system.peak_memory(), np.uint8)  # so that there has never been more
    assert system.peak_memory() == pytest.approx(psutil.Process().memory_info().rss, rel=0.1)
    del full


def test_a_cpu_has_a_name_without_proc(bare: ModuleType) -> None:
    assert bare.cpu_name()


def test_processes_are_spawned_where_nothing_forks(bare: ModuleType) -> None:
    assert bare.START_METHOD == "spawn"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes are spawned")
def test_processes_are_forked_on_linux() -> None:
    assert system.START_METHOD == "forkserver"


def test_macs_spawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert importlib.reload(system).START_METHOD == "spawn"
    monkeypatch.undo()
    importlib.reload(system)


def test_a_process_ends_when_its_threads_and_exit_hooks_are_over() -> None:
    code = """
import atexit, threading, time
from quadzoo.system import end_without_teardown
class Told:
    def __del__(self):
        print("torn down", flush=True)
told = Told()
atexit.register(print, "the first hook")
atexit.register(print, "the last hook")
end_without_teardown(3)
threading.Thread(target=lambda: (time.sleep(0.2), print("a thread"))).start()
print("the end", end="; ")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "the end; a thread\nthe last hook\nthe first hook\n"
    assert done.returncode == 3, done.stderr


def test_what_is_left_open_is_written(tmp_path: Path) -> None:
    code = """
import gzip, sys
from quadzoo.system import end_without_teardown
text = open(sys.argv[1] + "/text", "w")
text.write("a text")
packed = gzip.open(sys.argv[1] + "/packed.gz", "wt")
packed.write("packed")
end_without_teardown(0)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / "text").read_text() == "a text"
    assert gzip.decompress((tmp_path / "packed.gz").read_bytes()) == b"packed"


def test_output_that_nobody_takes_does_not_keep_a_process() -> None:
    code = """
import os, sys
from quadzoo.system import end_without_teardown
end_without_teardown(4)
sys.stdout.close()
sys.stderr = None
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 4
