"""`--halving`: what is trained for how long, what becomes of the rest, and what is kept."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quadzoo import api
from quadzoo.errors import ConfigError
from quadzoo.grid import halving
from quadzoo.grid.halving import Rung, outlook, rungs
from quadzoo.grid.plan import Plan
from quadzoo.records.halving import HalvingTrial, halving_path, read_halving, write_halving
from quadzoo.records.tuning import Trial

from ..conftest import Result
from ..runs import records

Call = Callable[..., Result]
HEADS = "mlp,linear,skip,spatial"


def planned(equations: Path, out: Path, **given: Any) -> Plan:
    """The plan of a bench of four heads, without an estimate."""
    from quadzoo.executors.local import LocalExecutor
    from quadzoo.grid.observer import Silent
    from quadzoo.grid.runner import plan_bench

    asked: dict[str, Any] = {
        "heads": HEADS.split(","),
        "seeds": [3, 1],
        "epochs": 16,
        "halving": True,
        **given,
    }
    config = api.config_of(
        backbones=["tiny_cnn"],
        data=str(equations),
        weights="none",
        precision="32",
        out=out,
        **(asked | given),
    )
    return plan_bench(config, LocalExecutor(), Silent(), dry=True)


def test_half_goes_on_to_twice_the_epochs(equations: Path, tmp_path: Path) -> None:
    plan = planned(equations, tmp_path)
    assert rungs(plan) == [Rung(4, 2, 2)]  # two are few enough to be trained in full
    many = planned(equations, tmp_path, heads=["mlp", "linear", "skip", "spatial", "integer", "gaussian"])
    assert rungs(many) == [Rung(6, 2, 3), Rung(3, 4, 2)]
    few = planned(equations, tmp_path, epochs=3)
    assert rungs(few) == [Rung(4, 1, 2)]
    assert rungs(planned(equations, tmp_path, halving=False)) == []
    (first, *_) = halving._candidates(plan)
    trial = first.trial(2)
    assert (trial.seed, trial.recipe.epochs, trial.key == first.task.key) == (1, 2, False)


def test_what_is_known_decides_what_is_to_come(equations: Path, tmp_path: Path) -> None:
    plan = planned(equations, tmp_path)
    before = outlook(plan)
    assert [share for *_, share in before.trials] == [1.0] * 4
    assert {*before.shares.values()} == {0.5}
    for one, val in zip(halving._candidates(plan), (0.4, 0.1, 0.3, None), strict=True):
        task = one.trial(2)
        trial = Trial(lr=0.1, val_mse=val) if val else Trial(lr=0.1, error="NaN", diverged=True)
        kept = HalvingTrial(
            key=task.key, backbone="b", head="h", precision="32", seed=1, epochs=2, trial=trial
        )
        write_halving(tmp_path, kept)
    after = outlook(plan)
    assert after.trials == []
    goes_on = {task.head for task in plan.tasks if after.shares[task.key]}
    assert goes_on == {"linear", "skip"}
    # One that broke off is made again.
    path = halving_path(tmp_path, task.key)
    assert read_halving(tmp_path, task.key) == kept
    write_halving(tmp_path, replace_trial(kept, Trial(lr=0.1, error="out of memory")))
    assert [trial.key for trial, *_ in outlook(plan).trials] == [task.key]
    path.write_text("{}")
    assert len(outlook(plan).trials) == 1


def replace_trial(kept: HalvingTrial, trial: Trial) -> HalvingTrial:
    return kept.model_copy(update={"trial": trial})


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--folds", 2), "--halving: with --folds, val images of one fold are test images of another"),
        (("--heads", "mlp,linear"), "--halving: 2 combinations leave nothing to halve"),
        (("--epochs", 1), "--halving: --epochs 1 cannot be halved"),
        (("--force",), "--halving: --force trains all finished runs again"),
        (("--train-share", "0.5,1"), "--halving: it takes one --train-share"),
    ],
)
def test_what_cannot_be_halved_is_refused(
    flags: tuple[object, ...], reason: str, equations: Path, quadzoo: Call, tmp_path: Path
) -> None:
    command = ["bench", "--backbones", "tiny_cnn", "--heads", HEADS, "--data", equations]
    done = quadzoo(*command, "--weights", "none", "--out", tmp_path / "x", "--halving", *flags)
    assert done.status == 2
    assert reason in done.error
    assert not (tmp_path / "x").exists()


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "leaderboard.csv").open(encoding="utf-8") as file:
        return {row["head"]: row for row in csv.DictReader(file) if row["head"] != "-"}


def test_a_halved_bench(equations: Path, quadzoo: Call, tmp_path: Path) -> None:
    plain = (
        "bench", "--backbones", "tiny_cnn", "--heads", HEADS, "--data", equations, "--weights", "none",
        "--epochs", 4, "--out", tmp_path, "--precision", "32", "--seeds", "0,1",
    )  # fmt: skip
    command = (*plain, "--halving", "--checkpoint-minutes", 0)
    dry = quadzoo(*command, "--dry-run")
    told = (
        "of 4 combinations are trained 4 for 1 epoch, an epoch being 2 steps; the best 2 then from the start "
        "for all 4 epochs"
    )
    assert told in dry.out
    assert "4 short trainings of halving" in dry.out
    assert "about 4 of 8 runs of tiny_cnn" in dry.out
    assert not list(tmp_path.iterdir())

    done = quadzoo(*command)
    assert done.status == 0, done.err  # what was stopped has not failed
    assert told in done.err
    found = records(tmp_path)
    stopped = [one for one in found if one["status"] == "failed"]
    assert len(found) == 8
    assert len(stopped) == 4
    assert {one["error"]["type"] for one in stopped} == {"Halved"}
    trials = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "halving").glob("*.json")}
    best = sorted(trials.values(), key=lambda one: one["trial"]["val_mse"])[:2]
    assert {one["head"] for one in found if one["status"] == "ok"} == {one["head"] for one in best}
    for one in stopped:
        halved = one["found"]["halved"]
        assert trials[halved["trial"]]["head"] == one["head"]
        assert trials[halved["trial"]]["trial"]["val_mse"] == halved["val_mse"]
        assert (halved["epochs"], halved["of"], halved["kept"]) == (1, 4, 2)
    table = rows(tmp_path)
    for one in stopped:
        row = table[one["head"]]
        assert (row["verdict"], row["rank"], row["failed"], row["val_mse"]) == ("incomplete", "", "0", "")
        assert "after 1 epoch, place" in row["halved"]
    assert sorted(table[one["head"]]["rank"] for one in best) == ["1", "2"]
    page = (tmp_path / "leaderboard.html").read_text()
    assert "2 rows were not trained in full" in page
    assert "runs failed or are missing" not in page
    assert "Failed runs" not in page
    assert quadzoo("verify", tmp_path).status == 0

    assert not (tmp_path / "trials").exists()

    # It has no model, and whoever asks for it is told why.
    (key, *_) = [one["key"] for one in stopped]
    told = "that run has no model: `halving` stopped it (val MSE "
    with pytest.raises(ConfigError) as refused:
        api.load(key, out=tmp_path)
    assert told in str(refused.value)
    assert len(str(refused.value)) <= 300
    init = quadzoo("bench", "--init", tmp_path / "runs" / key, "--data", equations, "--out", tmp_path / "x")
    assert told.replace("`halving`", "--halving") in init.error

    # Again: nothing is trained, the same is left out.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "halving").glob("*.json")}
    plan = json.loads(quadzoo(*command, "--dry-run", "--json").out)
    assert {(one["head"], one["status"]) for one in plan["runs"]} == {
        *((one["head"], "stopped") for one in stopped),
        *((one["head"], "done") for one in best),
    }
    assert plan["estimate"] == "nothing left to train: what is to do was stopped by `halving`"
    again = quadzoo(*command)
    assert again.status == 0
    assert (
        "are trained 4 for 1 epoch (4 of these 4 are kept from before), an epoch being 2 steps" in again.err
    )
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "halving").glob("*.json")} == before
    assert rows(tmp_path) == table

    # A record that says otherwise is found; without the flag the rest is trained, with the keys it had.
    path = tmp_path / "halving" / f"{stopped[0]['found']['halved']['trial']}.json"
    kept = path.read_text()
    path.write_text(kept.replace('"epochs": 1', '"epochs": 2'))
    assert "found.halved has val MSE" in quadzoo("verify", tmp_path).out
    path.write_text(kept)
    assert quadzoo(*plain).status == 0
    finished = records(tmp_path)
    assert {one["status"] for one in finished} == {"ok"}
    assert {one["key"] for one in finished} == {one["key"] for one in found}


def test_what_was_stopped_waits_for_no_learning_rate(equations: Path, tmp_path: Path) -> None:
    from quadzoo.grid.tuning import trials_to_do
    from quadzoo.training.outcome import failure

    plan = planned(equations, tmp_path, tune="lr:2")
    assert trials_to_do(plan) == 8
    gone = {task.key: failure("Halved", "", "") for task in plan.tasks if task.head != "mlp"}
    assert trials_to_do(replace(plan, failures=gone)) == 2


DYING = """
import os
from quadzoo import BackboneSpec, hookimpl

def build(**_):
    os._exit(9)

@hookimpl
def register_backbones():
    return [BackboneSpec(name="dies", build=build)]
"""


def test_what_breaks_in_a_short_training_has_failed(equations: Path, quadzoo: Call, tmp_path: Path) -> None:
    """It has no place among those that were compared, and nobody is to believe that all went well."""
    (tmp_path / "dies.py").write_text(DYING)
    command = (
        "bench", "--plugin", tmp_path / "dies.py", "--backbones", "dies,tiny_cnn", "--heads", "mlp,linear",
        "--data", equations, "--weights", "none", "--epochs", 2, "--out", tmp_path, "--precision", "32",
        "--halving",
    )  # fmt: skip
    done = quadzoo(*command)
    assert done.status == 1
    broken = [one for one in records(tmp_path) if one["backbone"] == "dies"]
    assert len(broken) == 2
    for one in broken:
        assert (one["error"]["type"], one["found"]["halved"]) == ("ProcessDied", None)
        assert one["error"]["message"].startswith("in a short training of halving, 1 epoch: ")
    assert "FAILED" in done.err
    page = (tmp_path / "leaderboard.html").read_text()
    assert "not trained in full" not in page

    # A file that says nonsense is told, and made again.
    (path,) = [path for path in (tmp_path / "halving").glob("*.json") if '"tiny_cnn"' in path.read_text()][:1]
    path.write_text(path.read_text().replace('"val_mse": 0', '"val_mse": -0'))
    again = quadzoo(*command)
    assert f"warning: {path}: " in again.err.replace("\n", " ")
    assert "is trained for 1 epoch again" in again.err


def test_an_order_of_what_has_learned_nothing_is_doubted(equations: Path, tmp_path: Path) -> None:
    plan = planned(equations, tmp_path)
    ordered = halving._candidates(plan)
    mean = plan.tasks[0].baselines["mean-of-train"].val_mse or 0.0
    for place, one in enumerate(ordered):
        one.trials[2] = Trial(lr=1e-3, val_mse=mean * (0.5 if place < 2 else 2))
    assert halving._doubt(ordered, Rung(4, 2, 2)) == ""
    ordered[1].trials[2] = Trial(lr=1e-3, val_mse=mean)
    told = "after 2 epochs 3 of 4 combinations read no better than the mean of train"
    assert told in halving._doubt(ordered, Rung(4, 2, 2))
