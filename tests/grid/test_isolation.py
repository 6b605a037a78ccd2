"""Whatever a plugin does, and whatever is killed: the bench goes on and nothing finished is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..conftest import command
from ..runs import records


@pytest.mark.posix
def test_bad_backbones_harm_nobody(
    equations: Path, stranger: Path, quadzoo_process: Callable[..., Any], tmp_path: Path
) -> None:
    names = ["crashes", "exits", "liar", "raises", "widthless", "good"]
    result = quadzoo_process(
        "bench", "--backbones", ",".join(names), "--weights", "none", "--epochs", "1", "--data", equations,
        "--out", tmp_path, "--jobs", "2", path=stranger,
    )  # fmt: skip
    assert result.status == 1
    assert "warning: plugin 'broken-plug' (broken-plug 0.9) is left out: ModuleNotFoundError" in result.err
    found = {record["backbone"]: record for record in records(tmp_path)}
    assert sorted(found) == sorted(names)
    assert found["good"]["status"] == "ok"
    assert found["good"]["environment"]["plugins"] == {"stranger": "3.1", "quadzoo": "0.1.0"}
    errors = {name: record["error"] for name, record in found.items() if name != "good"}
    assert "SIGSEGV" in errors["crashes"]["message"]
    assert "exit status 7" in errors["exits"]["message"]
    assert "about to leave" in errors["exits"]["traceback"]  # what it printed went to its log, not to stdout
    assert "about to leave" not in result.out
    assert (errors["liar"]["type"], errors["widthless"]["type"]) == ("BadModule", "BadModule")
    assert errors["raises"]["message"] == "no such layer\nat all"
    assert (
        "raises · mlp · seed 0 (plugin stranger 3.1): FAILED: RuntimeError: no such layer at all"
        in result.err
    )
    assert "stranger 3.1" in (tmp_path / "leaderboard.md").read_text()


def test_weights_are_asked_for_before_anything_trains(
    equations: Path, stranger: Path, quadzoo_process: Callable[..., Any], tmp_path: Path
) -> None:
    clock = time.monotonic()
    result = quadzoo_process(
        "bench", "--backbones", "good,tiny_cnn,waits", "--data", equations, "--dry-run",
        "--out", tmp_path / "x", path=stranger,
    )  # fmt: skip
    assert result.status == 0, result.err
    assert time.monotonic() - clock < 60
    assert "weights of good: pretrained" in result.out
    assert "weights of tiny_cnn: none (tiny_cnn has no pretrained weights)" in result.out
    assert "weights of waits: none (download timed out (10 s)" in result.out
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_build_that_hangs_is_ended(
    equations: Path, stranger: Path, quadzoo_process: Callable[..., Any], tmp_path: Path
) -> None:
    result = quadzoo_process(
        "bench", "--backbones", "hangs,tiny_cnn", "--epochs", "1", "--data", equations, "--out", tmp_path,
        "--precision", "32", "--timeout", "12", path=stranger,
    )  # fmt: skip
    assert result.status == 1
    assert "hangs starts from random weights (building it without weights timed out (12 s))" in result.err
    assert (
        "hangs · mlp · seed 0 (plugin hanging 0.1): FAILED: TimedOut: not finished within 12 seconds"
        in result.err
    )
    found = {record["backbone"]: record for record in records(tmp_path)}
    assert found["hangs"]["error"]["type"] == "TimedOut"
    assert found["tiny_cnn"]["status"] == "ok"


def test_a_new_version_of_a_plugin_is_a_new_run(
    equations: Path, stranger: Path, quadzoo_process: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.copytree(stranger, tmp_path / "site")
    bench = (
        "bench", "--backbones", "good", "--weights", "none", "--epochs", "1", "--data", equations,
        "--out", tmp_path / "out", "--dry-run", "--json",
    )  # fmt: skip
    keys = [json.loads(quadzoo_process(*bench, path=tmp_path / "site").out)["runs"][0]["key"]]
    (tmp_path / "site" / "stranger-3.1.dist-info").rename(tmp_path / "site" / "stranger-3.2.dist-info")
    metadata = tmp_path / "site" / "stranger-3.2.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("3.1", "3.2"))
    keys.append(json.loads(quadzoo_process(*bench, path=tmp_path / "site").out)["runs"][0]["key"])
    assert keys[0] != keys[1]


def test_list_shows_strangers(stranger: Path, quadzoo_process: Callable[..., Any]) -> None:
    result = quadzoo_process("list", "plugins", path=stranger)
    assert result.status == 0
    assert "stranger" in result.out
    assert "crashes, exits, good and 4 more" in result.out
    assert "ModuleNotFoundError" in result.out
    result = quadzoo_process("list", "backbones", path=stranger)
    assert "liar" in result.out
    assert "plugin 'broken-plug' (broken-plug 0.9) is left out" in result.err


@pytest.mark.posix
def test_kill_and_resume(equations: Path, tmp_path: Path) -> None:
    """kill -9 of the whole process group in the second run; the same command ends as if nothing happened."""

    def bench(out: Path) -> list[str]:
        return command(
            "bench", "--backbones", "tiny_cnn", "--seeds", "0,1", "--epochs", "25", "--weights", "none",
            "--data", equations, "--out", out,
        )  # fmt: skip

    subprocess.run(bench(tmp_path / "whole"), check=True, capture_output=True)
    whole = {record["seed"]: record for record in records(tmp_path / "whole")}
    second = tmp_path / "cut" / "runs" / whole[1]["key"]
    process = subprocess.Popen(bench(tmp_path / "cut"), start_new_session=True, stderr=subprocess.DEVNULL)
    while not (second / "run.log").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (first,) = records(tmp_path / "cut")
    assert first["seed"] == 0
    done = subprocess.run(bench(tmp_path / "cut"), capture_output=True, text=True, check=True)
    assert "1 done already" in done.stderr
    cut = {record["seed"]: record for record in records(tmp_path / "cut")}
    assert cut[0] == first
    for seed in (0, 1):
        assert cut[seed]["metrics"] == whole[seed]["metrics"]
        assert cut[seed]["files"] == whole[seed]["files"]


def test_a_killed_parent_leaves_no_record(equations: Path, tmp_path: Path) -> None:
    """kill -9 of the parent alone: its child stops at the next word to it, and records nothing."""
    arguments = command(
        "bench", "--backbones", "tiny_cnn", "--epochs", "1000", "--weights", "none",
        "--data", equations, "--out", tmp_path,
    )  # fmt: skip
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("runs/*/run.log")):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(2)
    process.kill()
    process.wait()
    time.sleep(3)
    assert records(tmp_path) == []
    assert list(tmp_path.glob("runs/*/run.log"))


@pytest.mark.slow
def test_two_benches_on_one_folder_share_the_work(equations: Path, tmp_path: Path) -> None:
    arguments = command(
        "bench", "--backbones", "tiny_cnn", "--seeds", "0,1,2", "--epochs", "10", "--weights", "none",
        "--data", equations, "--out", tmp_path,
    )  # fmt: skip
    both = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(process.communicate(timeout=200)[1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert len(records(tmp_path)) == 3
    assert said.count("val MSE") == 3  # no run was done twice


def test_a_folder_of_a_run_that_is_a_link_is_not_written_into(
    discs: Path, tmp_path: Path, quadzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever made the results folder knows the key, and may have it lead anywhere."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    bench = (
        "bench", "--backbones", "tiny_cnn", "--heads", "linear", "--weights", "none", "--epochs", 1,
        "--precision", 32, "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "x",
        "--id-column", "file", "--out", out,
    )  # fmt: skip
    (run,) = json.loads(quadzoo(*bench, "--dry-run", "--json").out)["runs"]
    (out / "runs").mkdir(parents=True)
    elsewhere.mkdir()
    (out / "runs" / run["key"]).symlink_to(elsewhere)
    done = quadzoo(*bench)
    assert done.status == 2
    link = f"runs/{run['key']}"
    assert f"--out {out}: {link} is a link, and a bench writes through none; put there" in done.err
    assert [*elsewhere.iterdir()] == []

    # Also one that was put there when the bench had looked already.
    (out / link).unlink()
    monkeypatch.setattr("quadzoo.grid.runner._first_link", lambda _: "")
    (out / link).symlink_to(elsewhere)
    done = quadzoo(*bench)
    assert done.status == 1
    told = done.err.splitlines()[-1]
    assert told.startswith("quadzoo: error: ")
    assert "it is a link, which is not followed; delete it; 0 of 1 runs are finished" in told
    assert [*elsewhere.iterdir()] == []


@pytest.mark.parametrize(
    "name", ["runs", "baselines", "tuning", "halving", "trials", "logs", "logs/csv/some", "trials/abc"]
)
def test_a_folder_of_results_that_is_a_link_is_not_written_into(
    discs: Path, tmp_path: Path, quadzoo: Callable[..., Any], name: str
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    (out / name).parent.mkdir(parents=True)
    elsewhere.mkdir()
    (out / name).symlink_to(elsewhere)
    done = quadzoo(
        "bench", "--backbones", "tiny_cnn", "--weights", "none", "--data", discs / "discs.csv", "--images",
        discs / "photos", "--targets", "x", "--id-column", "file", "--out", out,
    )  # fmt: skip
    assert done.status == 2
    assert f"--out {out}: {name} is a link, and a bench writes through none" in done.err
    assert [*elsewhere.iterdir()] == []
