"""A bench where targets are missing: scores by other code, and every table that is made of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV

from quadzoo import api
from quadzoo.data.fold import Fold
from quadzoo.grid.baselines import simple_answers
from quadzoo.grid.ridge import ridge
from quadzoo.records.keys import NEUTRAL_RECIPE
from quadzoo.report.errors import errors_of
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.page import to_html
from quadzoo.report.results import read_runs
from quadzoo.report.verify import verify

from ..runs import records
from .test_ridge import fold_of

Call = Callable[..., Any]
NAN = np.nan
SIDES = ("train", "val", "test")


@pytest.fixture(scope="module")
def masked(discs: Path) -> Path:
    """The table of the discs, without half of the radii and a fifth of the x; rows of one lack both."""
    table = pd.read_csv(discs / "discs.csv", dtype=str)
    rng = np.random.default_rng(3)
    for target, share in (("radius", 0.5), ("x", 0.2)):
        table.loc[rng.random(len(table)) < share, target] = ""
    table.loc[:57, "x"] = table.loc[:57, "x"].where(table.loc[:57, "radius"] == "", table.loc[:57, "x"])
    table.loc[58, ["radius", "x"]] = ""
    table.to_csv(discs / "masked.csv", index=False)
    return discs / "masked.csv"


def flags(discs: Path, data: Path, **more: Any) -> dict[str, Any]:
    return {
        "data": str(data), "images": discs / "photos", "targets": ("radius", "x"), "id_column": "file",
        "backbones": ["tiny_cnn"], "weights": "none", "precision": "32", "recipe": {"epochs": 1}, **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def out(discs: Path, masked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two heads, one of them with losses of its own, in two folds."""
    folder = tmp_path_factory.mktemp("out")
    more = {"heads": ["mlp", "integer"], "folds": 2, "missing_targets": "mask", "out": folder}
    api.bench(**flags(discs, masked, **more))
    return folder


def truths(masked: Path) -> pd.DataFrame:
    return pd.read_csv(masked, index_col="file")[["radius", "x"]]


def side_of(out: Path, record: dict[str, Any], side: str) -> pd.DataFrame:
    table = pd.read_csv(out / "runs" / record["key"] / "predictions.csv", index_col="id")
    return table[table["split"] == side]


def mse(table: pd.DataFrame, record: dict[str, Any]) -> float:
    """Squared errors of each target over the images that have it, then over targets."""
    of_targets = []
    for name, low, high in zip(record["targets"], record["target_low"], record["target_high"], strict=True):
        some = table[table[name].notna()]
        of_targets.append((((some[f"{name}_pred"] - some[name]) / (high - low)) ** 2).mean())
    return float(np.mean(of_targets))


def test_scores_are_of_the_targets_that_images_have(out: Path, masked: Path) -> None:
    truth = truths(masked)
    found = records(out)
    assert [record["status"] for record in found] == ["ok"] * 4
    for record in found:
        val, test = (side_of(out, record, side) for side in ("val", "test"))
        for side in (val, test):
            assert side[["radius", "x"]].equals(truth.loc[side.index])
        assert val["radius"].isna().any()
        metrics = record["metrics"]
        assert metrics["val_mse"] == pytest.approx(mse(val, record))
        assert metrics["test_mse"] == pytest.approx(mse(test, record))
        some = test[test["radius"].notna()]
        error = some["radius_pred"] - some["radius"]
        assert metrics["test_rmse"]["radius"] == pytest.approx(np.sqrt((error**2).mean()))
        r2 = 1 - (error**2).mean() / some["radius"].var(ddof=0)
        assert metrics["test_r2"]["radius"] == pytest.approx(r2)
        assert metrics["test_exact"] is None  # x is no integer
        # What Lightning logged of the kept epoch is the same score, in float32.
        assert record["history"][0]["val_mse"] >= metrics["val_mse"] * (1 - 1e-3)
        if record["head"] == "mlp":
            assert record["history"][record["best_epoch"] - 1]["val_mse"] == pytest.approx(
                metrics["val_mse"], rel=1e-3
            )


def test_records_count_the_targets_of_each_side(out: Path, masked: Path) -> None:
    truth = truths(masked).dropna(how="all")
    assert len(truth) == 59 - sum(truths(masked).drop("disc 58").isna().all(axis=1))
    for record in records(out):
        known, split = record["split"]["known"], record["split"]
        assert record["data"]["n"] == len(truth) == sum(split[f"n_{side}"] for side in SIDES)
        for target in ("radius", "x"):
            total = sum(known[side][target] for side in SIDES)
            assert total == truth[target].notna().sum()
        test = side_of(out, record, "test")
        assert known["test"] == test[["radius", "x"]].notna().sum().to_dict()
        assert known["complete"] == test[["radius", "x"]].notna().all(axis=1).sum()
        assert record["flags"]["--missing-targets"] == "mask"


def test_the_mean_of_train_is_of_each_targets_images(out: Path, masked: Path) -> None:
    truth = truths(masked).dropna(how="all")
    for record in records(out):
        sides = [side_of(out, record, side) for side in ("val", "test")]
        train = truth.drop(pd.concat(sides).index)
        assert record["target_low"] == train.min().tolist()
        assert record["target_high"] == train.max().tolist()
        assert record["target_integer"] == [True, False]
        answers = [
            side.assign(radius_pred=train["radius"].mean(), x_pred=train["x"].mean()) for side in sides
        ]
        mean = record["baselines"]["mean-of-train"]
        assert mean["val_mse"] == pytest.approx(mse(answers[0], record))
        assert mean["test_mse"] == pytest.approx(mse(answers[1], record))


def test_the_table_its_files_and_what_verify_says(out: Path) -> None:
    verdict = verify(out)
    assert verdict.faults == []
    results = read_runs([out])
    assert results.unreadable == []
    (board,) = leaderboards(results.runs, results.unreadable, results.answers)
    known = board.split.known
    assert known
    for row in board.rows:
        if row.head == "-":
            continue
        tests = [run for run in results.runs if run.record.head == row.head]
        assert errors_of(tests).table.mean() == pytest.approx(row.test_mse)
        of_radius = errors_of(tests, "radius").table
        assert len(of_radius) < len(errors_of(tests).table)
        assert np.sqrt(of_radius.mean()) == pytest.approx((row.test_rmse or {})["radius"])
        assert all(one.error >= 0 and one.prediction for one in row.details.worst)
        assert any(None in one.truth.values() for one in row.details.worst)
        assert row.details.fits["radius"].n == len(of_radius)
    (line, *_) = csv.DictReader((out / "leaderboard.csv").read_text().splitlines())
    counts = " ".join(f"{getattr(known, side)['radius']} {side}" for side in SIDES)
    assert line["known"].startswith(f"radius {counts}; x ")
    told = f"radius is known for {known.train['radius']} of {board.split.n_train} train, "
    assert told in (out / "leaderboard.md").read_text()
    page = to_html([board], results.runs)
    assert told in page
    assert "NaN" not in (out / "leaderboard.json").read_text()
    data = page.split('<script type="application/json">')[1].split("</script>")[0]
    parsed = json.loads(data, parse_constant=pytest.fail)
    assert None in parsed["truth"][0]


def test_a_truth_that_is_taken_away_is_noticed(out: Path) -> None:
    record = records(out)[0]
    path = out / "runs" / record["key"] / "predictions.csv"
    before = path.read_bytes()
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    at = table.index[(table["split"] == "test") & (table["x"] != "")][0]
    table.loc[at, "x"] = ""
    try:
        table.to_csv(path, index=False)
        (one,) = read_runs([out]).unreadable
        assert one.key == record["key"]
        n = record["split"]["known"]["test"]["x"]
        told = f"x is known for {n - 1} test images, the record says {n}"
        assert told in [fault.text for fault in verify(out).faults]
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("more", [{}, {"folds": 2}])
def test_without_a_missing_cell_keys_are_those_without_the_flag(
    discs: Path, tmp_path: Path, more: dict[str, Any]
) -> None:
    plans = [
        api.plan(**flags(discs, discs / "discs.csv", out=tmp_path, **more, **flag))
        for flag in ({}, {"missing_targets": "mask"})
    ]
    keys = [[task.key for task in plan.tasks] for plan in plans]
    assert keys[0] == keys[1]
    assert [task.split for task in plans[0].tasks] == [task.split for task in plans[1].tasks]
    assert all(task.split.known is None for task in plans[1].tasks)
    assert "missing_targets" not in NEUTRAL_RECIPE  # the data's hash says it


def test_the_command_line(discs: Path, masked: Path, tmp_path: Path, quadzoo: Call) -> None:
    arguments = (
        "bench", "--data", masked, "--images", discs / "photos", "--targets", "radius,x",
        "--id-column", "file", "--backbones", "tiny_cnn", "--weights", "none", "--out", tmp_path, "--dry-run",
    )  # fmt: skip
    refused = quadzoo(*arguments)
    assert refused.status == 2
    assert "--missing-targets mask" in refused.error
    assert len(refused.error.replace(str(discs), "")) <= 300
    assert quadzoo(*arguments, "--missing-targets", "mask").status == 0


def test_pixel_lookup_takes_each_target_from_the_twins_that_have_it() -> None:
    targets = np.array([[1.0, NAN], [3.0, 8.0], [NAN, 4.0], [NAN, 6.0], [7.0, 1.0], [9.0, NAN], [0.0, 0.0]])
    fold = fold_of(targets, 4, 1)
    answers = simple_answers(targets, np.array([0, 0, 1, 2, 0, 1, 5]), fold.split)
    mean = [2.0, 6.0]
    assert answers["mean-of-train"].tolist() == [mean] * 7
    assert answers["pixel-lookup"][4].tolist() == [2.0, 8.0]
    assert answers["pixel-lookup"][5].tolist() == [2.0, 4.0]  # the twin lacks the first target
    assert answers["pixel-lookup"][6].tolist() == mean


def test_ridge_regression_of_each_target_on_its_rows() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5))
    targets = features[:, :2] * 3 + rng.normal(size=(60, 2))
    targets[:30:2, 0] = NAN
    fold: Fold = fold_of(targets, 30, 15)
    fit = ridge(lambda rows: features[rows], fold)
    scaled = (features - features[:30].mean(axis=0)) / features[:30].std(axis=0)
    for target in range(2):
        known = np.flatnonzero(~np.isnan(targets[:30, target]))
        one = RidgeCV(alphas=np.logspace(-2, 6, 17)).fit(scaled[known], targets[known, target])
        ends = targets[known, target].min(), targets[known, target].max()
        assert fit.test[:, target] == pytest.approx(np.clip(one.predict(scaled[45:]), *ends))
