"""`--train-share`, by the real command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import quadzoo as package
from quadzoo.errors import ConfigError

from ..conftest import Result
from ..runs import records

Call = Callable[..., Result]


def bench(discs: Path, out: Path, *flags: object) -> list[object]:
    return [
        "bench", "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius,x",
        "--id-column", "file", "--epochs", 1, "--backbones", "tiny_cnn", "--weights", "none",
        "--precision", 32, "--out", out, *flags,
    ]  # fmt: skip


def test_a_bench_on_three_shares(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    command = [*bench(discs, tmp_path), "--recipe", "first"]
    (alone,) = json.loads(quadzoo(*command, "--dry-run", "--json").out)["runs"]
    done = quadzoo(*command, "--train-share", "0.25,0.5,1", "--seeds", "0,1")
    assert done.status == 0, done.err
    assert "share 0.25: val MSE" in done.err
    assert "Twice the images: about " in done.out
    found = {(one["split"]["train_share"], one["seed"]): one for one in records(tmp_path)}
    assert {*found} == {(share, seed) for share in (0.25, 0.5, 1) for seed in (0, 1)}
    assert len({one["key"] for one in found.values()}) == 6
    assert found[1, 0]["key"] == alone["key"]  # all images are what they were without the flag

    whole = found[1, 0]
    for (share, _), one in found.items():
        split = one["split"]
        assert abs(split["n_train"] - share * whole["split"]["n_train"]) <= 1
        assert (split["n_val"], split["n_test"]) == (whole["split"]["n_val"], whole["split"]["n_test"])
        assert split["whole_hash"] == (None if share == 1 else whole["split"]["hash"])
        # Scores are in one unit; a network sees the range of its own images alone.
        assert one["target_low"] == whole["target_low"]
        assert one["target_high"] == whole["target_high"]
        assert one["flags"].get("--train-share") == (None if share == 1 else f"{share:g}")
    truth = pd.read_csv(discs / "discs.csv").set_index("file")
    unit = found[0.25, 0]["unit"]
    assert unit["low"][1] > whole["target_low"][1] or unit["high"][1] < whole["target_high"][1]
    assert {unit["low"][1], unit["high"][1]} <= set(truth["x"])
    assert whole["unit"] is None
    assert found[0.25, 0]["baselines"] == found[0.25, 1]["baselines"]
    for name in ("mean-of-train", "ridge-pixels"):
        scores = {found[share, 0]["baselines"][name]["val_mse"] for share in (0.25, 0.5, 1)}
        assert len(scores) == 3, name

    with (tmp_path / "leaderboard.csv").open() as file:
        assert {row["train_share"] for row in csv.DictReader(file)} == {"1.0"}
    with (tmp_path / "learning-curve.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["backbone"] == "tiny_cnn"]
    assert [row["seeds"] for row in rows] == ["2", "2", "2"]
    assert "Error against number of training images" in (tmp_path / "leaderboard.html").read_text()
    assert quadzoo("verify", tmp_path).status == 0
    again = quadzoo(*command, "--train-share", "1,0.5", "--seeds", "0,1")
    assert "4 done already" in again.err
    assert (tmp_path / "learning-curve.csv").exists()


def test_a_share_is_standardised_by_its_own_images(discs: Path) -> None:
    plan = package.api.plan(
        data=str(discs / "discs.csv"), images=discs / "photos", targets=["radius", "x"], id_column="file",
        backbones=["tiny_cnn"], weights="none", precision="32", train_share=[0.5, 1],
        batch_size=8,
    )  # fmt: skip
    for task in plan.tasks:
        fold = plan.data.fold_of(task)
        assert task.unit.low == pytest.approx(fold.targets[fold.split.train].mean(axis=0))
    assert plan.tasks[0].unit.low != plan.tasks[1].unit.low
    assert plan.tasks[0].targets == plan.tasks[1].targets
    small, large = (task.epochs for task in plan.tasks)
    assert small > large  # `epochs` auto


def test_a_share_s_mean_is_that_of_its_own_images(discs: Path, tmp_path: Path) -> None:
    """Also with folds: each has its own share."""
    from quadzoo import api

    given: dict[str, Any] = {
        "data": str(discs / "discs.csv"), "images": discs / "photos", "targets": ("x",), "id_column": "file",
        "backbones": ["tiny_cnn"], "weights": "none", "precision": "32", "out": tmp_path, "folds": 2,
        "recipe": {"unit": "standard"},
    }  # fmt: skip
    plan = api.plan(**given, train_share=[0.5, 1])
    assert [(one.split.train_share, one.split.fold) for one in plan.tasks] == [
        (0.5, 0), (0.5, 1), (1.0, 0), (1.0, 1),
    ]  # fmt: skip
    for task in plan.tasks:
        fold = plan.data.fold_of(task)
        values = fold.targets[fold.split.train][:, 0]
        assert task.split.n_train == len(values)
        assert task.unit.low[0] == pytest.approx(values.mean())
        assert task.unit.high[0] - task.unit.low[0] == pytest.approx(values.std())
        val = fold.targets[fold.split.val][:, 0]
        spread = task.targets.high[0] - task.targets.low[0]
        expected = np.mean(((val - values.mean()) / spread) ** 2)
        assert task.baselines["mean-of-train"].val_mse == pytest.approx(expected)
    assert plan.tasks[0].targets == plan.tasks[2].targets
    assert plan.tasks[2].key == api.plan(**given).tasks[0].key
    assert len({task.curve for task in plan.tasks}) == 1
    assert plan.tasks[0].curve == plan.tasks[2].identity.combination


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--train-share", "0.01"], "--train-share 0.01 is 1 of 38 training images; at least 2 are needed"),
        (["--train-share", "0"], "--train-share 0: give shares above 0 and at most 1"),
        (["--train-share", "1.5"], "--train-share 1.5: give shares above 0 and at most 1"),
        (["--train-share", "nan"], "--train-share nan: give shares above 0 and at most 1"),
        (["--train-share", "a"], "'a' is not a list of numbers"),
        (["--train-share", "0.5,0.5"], "--train-share names 0.5 twice"),
        (["--train-share", "0.5,0.501"], "--train-share 0.5 and 0.501 come to the same"),
    ],
)
def test_refusals(flags: list[object], message: str, discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    done = quadzoo(*bench(discs, tmp_path / "out", *flags))
    assert done.status == 2
    assert message in done.error
    assert len(done.error) <= 300
    assert not (tmp_path / "out").exists()


def test_a_target_that_is_constant_in_a_share(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    table = pd.read_csv(discs / "discs.csv")
    table["rare"] = (table.index % 20 == 0).astype(int)
    table.to_csv(tmp_path / "rare.csv", index=False)
    done = quadzoo(
        "bench", "--data", tmp_path / "rare.csv", "--images", discs / "photos", "--targets", "x,rare",
        "--id-column", "file", "--backbones", "tiny_cnn", "--weights", "none", "--train-share", "0.06,1",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.status == 2
    assert "--train-share 0.06: target 'rare' is 0 in all 2 of its training images; take a" in done.error
    assert not (tmp_path / "out").exists()


def test_a_share_that_groups_make_uneven_is_told(quadzoo: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["file,x,group"]
    for number in range(40):
        Image.fromarray(rng.integers(0, 256, (16, 16), np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number},{number},g{number // 8}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    done = quadzoo(
        "bench", "--data", tmp_path / "table.csv", "--images", tmp_path, "--targets", "x", "--id-column",
        "file", "--backbones", "tiny_cnn", "--weights", "none", "--precision", 32, "--group-column", "group",
        "--train-share", "0.5,1", "--dry-run", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "warning: --train-share 0.5 is 8 of 24 training images (33%), since groups stay togeth" in done.err


def test_from_python_a_number_is_no_list(discs: Path) -> None:
    with pytest.raises(ConfigError, match=r"`train_share` 0.5: a list is needed, such as \[0.5\]"):
        package.bench(data=str(discs / "discs.csv"), train_share=0.5)
    with pytest.raises(ConfigError, match="`train_share`: `epochs` 0 trains on no image"):
        package.bench(data=str(discs / "discs.csv"), train_share=[0.5, 1], epochs=0, init="x")
