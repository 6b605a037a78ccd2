"""A disk that is full, read-only or of small files: one line, and what is finished is kept."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from quadzoo import api
from quadzoo.errors import StorageError
from quadzoo.records.record import read_records

from .benches import bench_command, finished, leftovers, scores, started, until

Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Make a small disk; skip where this user may not."""
    mounted: list[Path] = []

    def call(size: str, *options: str) -> Path:
        folder = tmp_path / f"disk {len(mounted)}"
        folder.mkdir()
        made = ["mount", "-t", "tmpfs", "-o", ",".join((f"size={size}", *options)), "none", str(folder)]
        if shutil.which("mount") is None or subprocess.run(made, check=False, capture_output=True).returncode:
            pytest.skip("no small disk can be made here: that needs root and mount")
        mounted.append(folder)
        return folder

    yield call
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


READ_ONLY_AFTER_A_RECORD = """
import errno, glob, os
replace = os.replace

def refusing(source, target, **options):
    out = os.environ["QUADZOO_TEST_OUT"]
    if os.fspath(target).startswith(out) and glob.glob(f"{out}/runs/*/record.json"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(target))
    return replace(source, target, **options)

os.replace = refusing
"""


def errors_in(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("quadzoo: error: ")]


@pytest.mark.slow
def test_a_disk_that_gets_full(equations: Path, mount: Mount, tmp_path: Path) -> None:
    disk = mount("64m")
    out = disk / "results"
    process = started(equations, out, "--seeds", "0,1,2")
    until(lambda: [*out.glob("runs/*/record.json")], process)
    fill(disk / "filler")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    (line,) = errors_in(said)
    assert "No space left on device; " in line
    assert " of 3 runs are finished and kept; make room, and the same command continues from here" in line
    assert len(line) <= 300
    assert "Traceback" not in said
    kept = [record for record in read_records(out) if record.status == "ok"]
    assert kept
    (disk / "filler").unlink()
    assert f"{len(kept)} done already" in finished(equations, out, "--seeds", "0,1,2")
    finished(equations, tmp_path / "elsewhere", "--seeds", "0,1,2")
    assert scores(out) == scores(tmp_path / "elsewhere")
    assert leftovers(out) == []


def test_a_disk_that_is_full_from_the_start(equations: Path, mount: Mount) -> None:
    disk = mount("64k")
    fill(disk / "filler")
    process = started(equations, disk / "results", "--seeds", "0")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    (line,) = errors_in(said)
    assert "No space left on device" in line
    assert "Traceback" not in said


def test_a_read_only_disk_is_refused_before_anything_trains(equations: Path, mount: Mount) -> None:
    disk = mount("64k", "ro")
    done = subprocess.run(
        bench_command(equations, disk / "results"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "is not writable; choose another folder" in line


@pytest.mark.slow
def test_a_disk_that_turns_read_only(equations: Path, tmp_path: Path) -> None:
    """As some do when they fail. A disk of this kind cannot while a file on it is open: its files do that."""
    site, out = tmp_path / "site", tmp_path / "out"
    site.mkdir()
    (site / "sitecustomize.py").write_text(READ_ONLY_AFTER_A_RECORD)
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    process = started(
        equations,
        out,
        "--seeds",
        "0,1,2",
        env=os.environ | {"PYTHONPATH": path, "QUADZOO_TEST_OUT": str(out)},
    )
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    (line,) = errors_in(said)
    assert "Read-only file system; 1 of 3 runs are finished and kept; mend that, and the same command" in line
    assert "Traceback" not in said
    assert "1 done already" in finished(equations, out, "--seeds", "0,1,2")
    finished(equations, tmp_path / "elsewhere", "--seeds", "0,1,2")
    assert scores(out) == scores(tmp_path / "elsewhere")
    assert leftovers(out) == []


def said_within(limit: int, equations: Path, out: Path, *more: object) -> tuple[int, str]:
    """Return the exit status of a small bench whose files may have so many bytes, and what it said."""
    process = started(
        equations, out, *more, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    _, said = process.communicate(timeout=120)
    assert "File too large" in said
    assert "Traceback" not in said
    return process.returncode, said


def test_a_limit_to_the_size_of_files(equations: Path, tmp_path: Path) -> None:
    """Nothing of some run fits: it has failed and says why, and the table is written."""
    status, said = said_within(40_000, equations, tmp_path, "--seeds", "0", "--checkpoint-minutes", 10)
    assert status in (1, 2), said
    assert leftovers(tmp_path) == []


def test_a_limit_that_weights_are_too_large_for(equations: Path, tmp_path: Path) -> None:
    """All networks of a night would be trained, and none be kept."""
    status, said = said_within(1_000_000, equations, tmp_path, "--seeds", "0,1,2", "--epochs", 1)
    assert status == 1, said
    (line,) = errors_in(said)
    assert line.endswith(
        "File too large; 0 of 3 runs are finished and kept; raise the limit that `ulimit -f` shows, and the "
        "same command continues from here"
    )
    assert said.count("FAILED") == 1


@pytest.mark.parametrize("where", ["quadzoo.grid.loop.write_record", "quadzoo.grid.runner.write_report"])
def test_the_parent_cannot_write(
    where: str, equations: Path, stranger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at that moment alone: this needs no disk of one's own."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(where, full)
    plugin = tmp_path / "dies.py"
    plugin.write_text(
        "import os\nfrom quadzoo import BackboneSpec, hookimpl\n\ndef build(**_):\n    os._exit(3)\n\n"
        "@hookimpl\ndef register_backbones():\n    return [BackboneSpec(name='dies', build=build)]\n"
    )
    with pytest.raises(
        StorageError, match=r"^No space left on device; 0 of 1 runs are finished and kept; make"
    ):
        api.bench(
            ["dies"], data=str(equations), plugin=[plugin], epochs=1, weights="none", precision="32",
            out=tmp_path / "out",
        )  # fmt: skip
