"""A bench where Linux's own calls are missing: files, locks, processes and signals by the portable ones."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import command
from .runs import records

BARE = Path(__file__).parent / "other_system"
PLUGIN = """
import json, multiprocessing, os, signal, sys
from quadzoo import BackboneSpec, hookimpl


def build(*, pretrained, in_channels, image_size):
    from torch import nn
    facts = {
        "start": multiprocessing.get_start_method(allow_none=True),
        "parent": multiprocessing.parent_process() is not None,
        "missing": [not hasattr(os, name) for name in ("preadv", "killpg", "setpgid")],
        "sighup": hasattr(signal, "SIGHUP"),
        "resource": sys.modules.get("resource") is not None,
    }
    with open(os.environ["FACTS"], "w") as file:
        json.dump(facts, file)
    net = nn.Sequential(nn.Conv2d(in_channels, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    net.num_features = 16
    return net


@hookimpl
def register_backbones():
    return [BackboneSpec(name="small", build=build, revision="1")]
"""


def bare(arguments: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an interpreter without what only Linux has; its processes lack the same."""
    paths = [str(BARE), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), **more}
    return subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_what_is_taken_away_is_gone() -> None:
    code = (
        "import os, signal, multiprocessing\n"
        "assert not hasattr(os, 'preadv') and not hasattr(signal, 'SIGHUP')\n"
        "assert multiprocessing.get_all_start_methods() == ['spawn']\n"
        "try:\n    open('/proc/cpuinfo')\nexcept FileNotFoundError:\n    print('hidden')\n"
        "import quadzoo.system as system\n"
        "print(system.START_METHOD, [one.name for one in system.ENDING_SIGNALS], bool(system.cpu_name()))\n"
        "try:\n    import fcntl\nexcept ImportError:\n    print('no fcntl')\n"
    )
    done = bare([sys.executable, "-c", code])
    assert done.stdout.splitlines() == ["hidden", "spawn ['SIGINT', 'SIGTERM'] True", "no fcntl"], done.stderr


@pytest.mark.slow
def test_a_bench_needs_nothing_of_linux(discs: Path, tmp_path: Path) -> None:
    """Its record and its digits are those of a bench that has everything."""
    (tmp_path / "small.py").write_text(PLUGIN)
    arguments = [
        "bench", "--plugin", tmp_path / "small.py", "--backbones", "small", "--weights", "none",
        "--epochs", "1", "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius",
        "--id-column", "file", "--precision", "32", "--threads", "1",
    ]  # fmt: skip
    facts = tmp_path / "facts.json"
    # A cache of its own: without fcntl a lock is a file that is there, and with it the file stays.
    own = {"FACTS": str(facts), "QUADZOO_CACHE_DIR": str(tmp_path / "cache")}
    done = bare(command(*arguments, "--out", tmp_path / "bare"), **own)
    assert done.returncode == 0, done.stderr
    (record,) = records(tmp_path / "bare")
    assert record["status"] == "ok"
    assert record["cost"]["peak_memory_mb"] > 50
    assert record["environment"]["device_name"]
    text = facts.read_text()
    assert '"missing": [true, true, true], "sighup": false, "resource": false' in text
    assert '"parent": true' in text
    # What is done is done, by another process.
    again = bare(command(*arguments, "--out", tmp_path / "bare"), **own)
    assert again.returncode == 0, again.stderr
    assert "1 done already" in again.stderr
    # The same command in an ordinary interpreter.
    usual = subprocess.run(
        command(*arguments, "--out", tmp_path / "usual"), env=os.environ | {"FACTS": str(facts)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert usual.returncode == 0, usual.stderr
    (other,) = records(tmp_path / "usual")
    assert record["key"] == other["key"]
    assert record["metrics"] == other["metrics"]
    with (tmp_path / "bare" / "leaderboard.csv").open(newline="", encoding="utf-8") as file:
        assert any(row["backbone"] == "small" for row in csv.DictReader(file))
