"""`--tune lr:N` by the real command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from quadzoo import api
from quadzoo.grid.tuning import trials
from quadzoo.training.task import CHECKPOINT, TRIALS

from ..conftest import Result
from ..runs import records

Call = Callable[..., Result]

TINY = ("bench", "--backbones", "tiny_cnn", "--epochs", "2", "--weights", "none", "--precision", "32")


@pytest.mark.parametrize("tune", ["lr:0", "lr", "wd:3", "lr:2.5", "lr:1000"])
def test_other_requests_are_refused(tune: str, equations: Path, quadzoo: Call, tmp_path: Path) -> None:
    done = quadzoo(*TINY, "--data", equations, "--out", tmp_path / "x", "--tune", tune)
    assert done.status == 2
    assert done.error == (
        f"quadzoo: error: --tune {tune}: write lr:N, where N, from 2 to 20, is how many learning rates are "
        "tried"
    )
    assert not (tmp_path / "x").exists()


def test_nothing_is_tuned_where_nothing_is_trained(quadzoo: Call) -> None:
    done = quadzoo("bench", "--init", "reader-equations", "--epochs", 0, "--tune", "lr:3")
    assert done.status == 2
    assert "--tune: --epochs 0 trains nothing" in done.error


def tuned_rows(out: Path) -> list[dict[str, str]]:
    with (out / "leaderboard.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["head"] != "-"]


def test_a_tuned_bench(equations: Path, quadzoo: Call, tmp_path: Path) -> None:
    plain = (*TINY, "--data", equations, "--out", tmp_path)
    flags = (*plain, "--tune", "lr:2")
    dry = quadzoo(*flags, "--dry-run")
    assert (
        "before that 2 trials, each of 1 epoch (about 2 steps), to choose learning rates from 0.0005, 0.008; "
        "an odd number tries 0.002, too" in dry.out
    )
    assert json.loads(quadzoo(*flags, "--dry-run", "--json").out)["trials"] == 2
    assert not list(tmp_path.iterdir())

    done = quadzoo(*flags)
    assert done.status == 0, done.err
    assert "before that 2 trials" in done.err
    (record,) = records(tmp_path)
    (path,) = (tmp_path / "tuning").glob("*.json")
    trials = {one["lr"]: one["val_mse"] for one in json.loads(path.read_text())["trials"]}
    best = min(trials, key=trials.__getitem__)
    assert list(trials) == [0.0005, 0.008]
    assert (record["recipe"]["tune"], record["recipe"]["lr"], record["found"]) == (
        "lr:2",
        0.002,
        {"epochs": None, "lr": best, "halved": None},
    )
    assert record["flags"]["--tune"] == "lr:2"
    assert quadzoo("verify", tmp_path).status == 0

    # Trained afresh with the winner, to the last digit, and a row of its own beside untuned ones.
    assert quadzoo(*plain, "--lr", best).status == 0
    assert quadzoo(*plain).status == 0
    rows = tuned_rows(tmp_path)
    assert len({row["combination"] for row in rows}) == 3
    assert sorted((row["tuned"], float(row["lr"])) for row in rows) == sorted(
        [("lr:2", best), ("", best), ("", 0.002)]
    )
    scores = {(row["tuned"], float(row["lr"])): row["test_mse"] for row in rows}
    assert scores["lr:2", best] == scores["", best] != scores["", 0.002]
    said = quadzoo("report", tmp_path)
    for text in (
        said.out,
        (tmp_path / "leaderboard.md").read_text(),
        (tmp_path / "leaderboard.html").read_text(),
    ):
        assert f"lr {best:g} of 2" in text
        assert "Learning rates of rows marked tuned were chosen from 2 by val" in text
        assert "tiny_cnn + mlp (tuned): of two learning rates the best is always at one end" in text

    # Seeds that come later, and --force, take the learning rate over.
    before = path.stat().st_mtime_ns
    assert quadzoo(*flags, "--seeds", "0,1", "--force").status == 0
    assert path.stat().st_mtime_ns == before
    again = [one for one in records(tmp_path) if one["recipe"]["tune"]]
    assert [(one["found"], one["seed"]) for one in sorted(again, key=lambda one: one["seed"])] == [
        ({"epochs": None, "lr": best, "halved": None}, 0), ({"epochs": None, "lr": best, "halved": None}, 1),
    ]  # fmt: skip
    assert next(one["metrics"] for one in again if one["seed"] == 0) == record["metrics"]


def test_what_a_trial_has_to_say_is_told(equations: Path, quadzoo: Call, tmp_path: Path) -> None:
    plan = api.plan(
        backbones=["tiny_cnn"], data=str(equations), epochs=2, weights="none", precision="32", tune="lr:2",
        out=tmp_path,
    )  # fmt: skip
    for trial, _ in trials(plan):
        (tmp_path / TRIALS / trial.key).mkdir(parents=True)
        (tmp_path / TRIALS / trial.key / CHECKPOINT).write_bytes(b"none")
    done = quadzoo(*TINY, "--data", equations, "--out", tmp_path, "--tune", "lr:2")
    assert done.status == 0, done.err
    assert done.err.count(f"{CHECKPOINT} cannot be used") == 2
    assert not (tmp_path / TRIALS).exists()


def test_runs_without_a_learning_rate_are_failed_runs(equations: Path, quadzoo: Call, tmp_path: Path) -> None:
    done = quadzoo(
        *TINY, "--data", equations, "--out", tmp_path, "--tune", "lr:2", "--lr", "1e19", "--seeds", "0,1"
    )
    assert done.status == 1
    assert done.err.count("FAILED: NoLearningRate: no learning rate could be chosen: ") == 2
    assert [(one["status"], one["error"]["type"]) for one in records(tmp_path)] == [
        ("failed", "NoLearningRate")
    ] * 2
    (row,) = tuned_rows(tmp_path)
    assert (row["tuned"], row["lr"], row["failed"]) == ("lr:2", "", "2")
    assert "NonFiniteLoss" in (tmp_path / "leaderboard.md").read_text()
    assert quadzoo("verify", tmp_path).status == 0


def test_a_trained_model_is_tuned_frozen(equations: Path, quadzoo: Call, tmp_path: Path) -> None:
    assert quadzoo(*TINY, "--data", equations, "--out", tmp_path / "first").status == 0
    (folder,) = (tmp_path / "first" / "runs").iterdir()
    done = quadzoo(
        "bench", "--data", equations, "--init", folder, "--epochs", 1, "--freeze", "--tune", "lr:2",
        "--jobs", 2, "--out", tmp_path / "second",
    )  # fmt: skip
    assert done.status == 0, done.err
    (record,) = records(tmp_path / "second")
    assert record["found"]["lr"] in (0.0005, 0.008)
    assert record["recipe"]["freeze"]
    assert quadzoo("verify", tmp_path / "second").status == 0
