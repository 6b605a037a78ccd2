from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import Timeout

from quadzoo.errors import DataError
from quadzoo.storage import (
    cache_folder,
    has_users,
    lock,
    read_regular,
    shorten,
    sweep,
    sweep_below,
    using,
    write_atomically,
    written_whole,
)
from tests.processes import kill, names

# What a process of its own does with a path: these lines, then it waits to be killed.
SCRIPT = """
import sys
from pathlib import Path
from quadzoo import storage
path = Path(sys.argv[1])
with {entered} as file:
    print("entered", flush=True)
    sys.stdin.readline()
"""


def start(path: Path, entered: str) -> subprocess.Popen[str]:
    """Start a process that enters ``storage.{entered}(path)`` and stays there."""
    script = SCRIPT.format(entered=f"storage.{entered}(path)")
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout
    assert process.stdout.readline() == "entered\n"
    return process


def test_a_lock_is_exclusive_and_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "x.lock"
    holder = start(path, "lock")
    with pytest.raises(Timeout), lock(path, blocking=False):
        pass
    kill(holder)
    with lock(path), pytest.raises(Timeout), lock(path, blocking=False):
        pass  # not twice in one process either
    with lock(path):
        pass


def test_any_number_can_use_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x[1].npy"
    assert not has_users(path)
    first, second = start(path, "using"), start(path, "using")
    with using(path):
        assert has_users(path)
    kill(first)
    assert has_users(path)
    assert len(names(tmp_path)) == 1  # the mark of the first, which died, is gone
    kill(second)
    assert not has_users(path)
    assert names(tmp_path) == set()


def test_users_of_another_file_do_not_count(tmp_path: Path) -> None:
    with using(tmp_path / "x.npy.more"):
        assert not has_users(tmp_path / "x")
        assert not has_users(tmp_path / "y")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "x.json"
    write_atomically(path, b"old")
    with suppress(ZeroDivisionError), written_whole(path) as file:
        file.write(b"new, but")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(path.parent) == {"x.json"}


def test_a_mark_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    path = tmp_path / "out" / "x.json"
    path.parent.mkdir()
    for name in (f".x.json-{16 * 'a'}.writer", f".x.json-{16 * 'a'}.partial"):
        (path.parent / name).symlink_to(tmp_path / "precious")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert (tmp_path / "precious").read_text() == "precious"


def test_what_a_killed_writer_left_is_swept_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    kill(start(path, "written_whole"))
    at_work = start(path, "written_whole")
    assert len(names(tmp_path)) == 2  # the second has swept what the first had left
    write_atomically(path, b"mine")
    sweep(path)
    assert len(names(tmp_path)) == 3  # x.json, and what the second is writing
    assert at_work.stdin
    at_work.stdin.write("\n")
    at_work.communicate()
    assert at_work.returncode == 0
    assert names(tmp_path) == {"x.json"}
    assert path.read_bytes() == b""  # as the second wrote it, the last to finish


def test_a_log_loses_its_middle(tmp_path: Path) -> None:
    """While another process appends to it."""
    path = tmp_path / "run.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"first" + b"x" * 2000 + b"last")
        shorten(path, 4000)
        assert path.stat().st_size == 2009
        shorten(path, 400)
        writer.write(b"later")
    content = path.read_bytes()
    assert content.startswith(b"firstxx")
    assert content.endswith(b"xlastlater")
    assert "… 1,809 bytes are left out here …" in content.decode()
    assert len(content) < 300


def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"p" * 1000)
    (tmp_path / "run.log").symlink_to(tmp_path / "precious")
    shorten(tmp_path / "run.log", 100)
    assert (tmp_path / "precious").stat().st_size == 1000


def test_what_nobody_writes_again_is_swept_below_a_folder(tmp_path: Path) -> None:
    for name in ("killed", "at work"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    kill(start(tmp_path / "runs" / "killed" / "x.json", "written_whole"))
    at_work = start(tmp_path / "runs" / "at work" / "x.json", "written_whole")
    (tmp_path / "runs" / "killed" / ".mine.writer").touch()
    sweep_below(tmp_path)
    assert names(tmp_path / "runs" / "killed") == {".mine.writer"}
    assert len(names(tmp_path / "runs" / "at work")) == 2
    kill(at_work)
    sweep_below(tmp_path / "nowhere")


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "x.lock").symlink_to(tmp_path / "precious")
    (tmp_path / "y.lock").symlink_to(tmp_path / "new")
    for name in ("x.lock", "y.lock"):
        with pytest.raises(OSError, match="symbolic links"), lock(tmp_path / name):
            pass
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "new").exists()


def test_a_lock_where_no_file_can_be_made_is_not_waited_for() -> None:
    with pytest.raises(OSError, match="No such file"), lock(Path("/proc/x.lock")):
        pass


def test_a_link_or_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    (tmp_path / "link").symlink_to("x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert read_regular(tmp_path / "link", 1, follow=True) == b"x"
    before = len(os.listdir("/proc/self/fd"))
    for name, told in (
        ("link", "it is a link, which is not followed"),
        ("pipe", "not a regular file"),
        ("zero", "it is a link, which is not followed"),
        (".", "not a regular file"),
    ):
        with pytest.raises(OSError, match=told):
            read_regular(tmp_path / name, 10)
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "zero", 10, follow=True)
    with pytest.raises(OSError, match="it has 1 bytes, at most 0 are read"):
        read_regular(tmp_path / "x", 0)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the cache that everybody can write in."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(shared))
    return shared


def test_a_new_cache_folder_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path / "new"))
    assert cache_folder() == tmp_path / "new"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_in_a_shared_cache_folder_each_user_has_one_of_their_own(shared: Path) -> None:
    assert cache_folder() == cache_folder() == shared / f"quadzoo-{os.geteuid()}"
    assert cache_folder().stat().st_mode & 0o777 == 0o700
    shared.chmod(0o755)
    assert cache_folder() == shared


def test_a_cache_folder_that_somebody_else_has_made_is_refused(shared: Path, tmp_path: Path) -> None:
    own = shared / f"quadzoo-{os.geteuid()}"
    own.symlink_to(tmp_path)
    with pytest.raises(DataError, match=r"it is a link or another user's.*set QUADZOO_CACHE_DIR to another"):
        cache_folder()
    own.unlink()
    own.mkdir()
    own.chmod(0o777)
    with pytest.raises(DataError, match="others can write in it"):
        cache_folder()


def test_another_users_cache_folder_is_not_used(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.chmod(0o755)
    user = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(DataError, match=f"another user's.*quadzoo-{user}"):
        cache_folder()
