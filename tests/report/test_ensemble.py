"""Mean predictions: of a row's seeds, and of runs that val chooses, against other code."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quadzoo.records.record import RunRecord, run_folder, write_record
from quadzoo.report.captions import captions
from quadzoo.report.ensemble import select
from quadzoo.report.rows import Leaderboard, Row
from tests.report.records import board_of, predict, record

Call = Callable[..., Any]
N_VAL, N_TEST = 30, 40


def write(out: Path, key: str, errors: np.ndarray, **changes: Any) -> RunRecord:
    """Write a run whose val errors are the first of ``errors``; its scores are those of its predictions."""
    val, test = errors[:N_VAL], errors[N_VAL:]
    fold, folds = changes.pop("fold", 0), changes.pop("folds", 1)
    one = record(key, float((val**2).mean()) / 100, float((test**2).mean()) / 100, **changes)
    one.split.fold, one.split.folds = fold, folds
    write_record(out, one)
    predict(out, key, test, val=val)
    return one


@pytest.fixture
def seven(tmp_path: Path) -> Path:
    """Seven runs of three rows; one row has a single seed."""
    rng = np.random.default_rng(5)
    for key, backbone, seed in (
        ("a0", "a", 0), ("a1", "a", 1), ("a2", "a", 2), ("b0", "b", 0), ("b1", "b", 1), ("b2", "b", 2),
        ("c0", "c", 0),
    ):  # fmt: skip
        size = {"a": 1.0, "b": 1.2, "c": 1.1}[backbone]
        write(tmp_path, key, rng.normal(0.1, size, N_VAL + N_TEST), backbone=backbone, seed=seed)
    return tmp_path


def combined(board: Leaderboard) -> Row:
    (row,) = (row for row in board.rows if row.backbone == "ensemble")
    return row


def side_of(out: Path, key: str, side: str) -> pd.DataFrame:
    """What a file of predictions says of val or test, by id."""
    table = pd.read_csv(run_folder(out, key) / "predictions.csv", index_col="id")
    return table[table["split"] == side]


def mean_error(out: Path, weights: dict[str, float], side: str) -> float:
    """The MSE of a weighted mean prediction, from the files."""
    tables = {key: side_of(out, key, side) for key in weights}
    joined = pd.concat([table["y_pred"] * weights[key] for key, table in tables.items()], axis=1)
    prediction = joined.sum(axis=1) / sum(weights.values())
    truth = next(iter(tables.values()))["y"]
    return float((((prediction - truth) / 10) ** 2).mean())


def test_mean_prediction_of_the_seeds(seven: Path) -> None:
    rows = {row.backbone: row for row in board_of(seven).rows}
    for name in ("a", "b"):
        seeds = {f"{name}{seed}": 1.0 for seed in range(3)}
        assert rows[name].ensemble_val_mse == pytest.approx(mean_error(seven, seeds, "val"))
        assert rows[name].ensemble_test_mse == pytest.approx(mean_error(seven, seeds, "test"))
        assert (rows[name].ensemble_test_mse or 1) < (rows[name].test_mse or 0)
    assert (rows["c"].ensemble_val_mse, rows["c"].ensemble_test_mse) == (None, None)


def test_images_are_told_apart_by_id_not_by_place(seven: Path) -> None:
    before = combined(board_of(seven))
    path = run_folder(seven, "a1") / "predictions.csv"
    header, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *reversed(lines)]))
    board = board_of(seven)
    assert combined(board) == before
    row = next(row for row in board.rows if row.backbone == "a")
    assert row.ensemble_test_mse == pytest.approx(mean_error(seven, {f"a{n}": 1 for n in range(3)}, "test"))


def brute(residuals: np.ndarray, most: int) -> list[int]:
    """The greedy choice, each candidate computed from the start."""

    def error(picked: list[int]) -> float:
        return float(np.mean(np.mean([residuals[one] for one in picked], axis=0) ** 2))

    picked = [min(range(len(residuals)), key=lambda one: error([one]))]
    while len(picked) < most:
        best = min(range(len(residuals)), key=lambda one: error([*picked, one]))
        if error([*picked, best]) >= error(picked):
            break
        picked.append(best)
    return picked


@pytest.mark.parametrize("seed", range(8))
def test_the_choice_is_that_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    residuals = rng.normal(0, 1, (6, 20)) * rng.uniform(0.5, 2, (6, 1)) + rng.normal(0, 0.5, 20)
    expected = np.bincount(brute(residuals, 50), minlength=6)
    assert select(residuals).tolist() == expected.tolist()
    assert expected.sum() > 1


def test_a_run_may_be_picked_again_and_picks_are_bounded() -> None:
    # The errors of the second have the other sign and are twice as large: 2/3 and 1/3 cancel them.
    opposite = np.array([[1.0, 1.0], [-2.0, -2.0]])
    assert select(opposite).tolist() == [2, 1]
    assert select(opposite, most=2).tolist() == [1, 1]
    # Weights that no few picks reach: it goes on until it may not.
    assert select(np.array([[1.0, 1.0], [-np.pi, -np.pi]]), most=50).sum() <= 50
    assert select(np.array([[1.0, 0.0], [1.0, 0.0]])).tolist() == [1, 0]  # nothing lowers it


def test_the_row_of_the_table(seven: Path) -> None:
    board = board_of(seven)
    row = combined(board)
    weights = {one.key: float(one.picks) for one in row.members}
    assert len(weights) > 1
    assert sum(one.weight for one in row.members) == pytest.approx(1)
    assert row.val_mse == pytest.approx(mean_error(seven, weights, "val"))
    assert row.test_mse == pytest.approx(mean_error(seven, weights, "test"))
    assert row.test_rmse == pytest.approx({"y": 10 * (row.test_mse or 0) ** 0.5})
    single = [float(row.val_mse) for row in board.rows if row.head != "-" and row.val_mse]
    assert row.val_mse is not None
    assert row.val_mse < min(single)
    assert (row.rank, row.head, row.p_value) == (None, "-", None)
    assert row.test_mse_low is not None
    assert row.test_mse_low < (row.test_mse or 0) < (row.test_mse_high or 0)
    assert board.rows[0] is row  # in the order of val MSE
    assert board.best is not None
    assert board.best.head != "-"
    # Greedy on val, by other code: residuals are read from the files.
    keys = sorted(path.name for path in (seven / "runs").iterdir())
    tables = [side_of(seven, key, "val") for key in keys]
    residuals = np.array([(table["y_pred"] - table["y"]).to_numpy() for table in tables])
    picked = brute(residuals, 50)
    assert weights == {keys[one]: picked.count(one) for one in set(picked)}


def test_it_is_no_baseline_that_networks_must_beat(seven: Path) -> None:
    texts = [caption.text for caption in captions(board_of(seven))]
    assert not any("No network beats" in text for text in texts)
    (said,) = (text for text in texts if "mean prediction of" in text)
    assert said.startswith("ensemble is the mean prediction of ")
    assert "makes its val MSE too low, so it has no rank" in said


def test_folds_choose_for_themselves(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for fold, seed, backbone in itertools.product(range(2), range(2), "ab"):
        write(
            tmp_path, f"{backbone}{seed}{fold}", rng.normal(0, 1 + (backbone == "b"), N_VAL + N_TEST),
            seed=seed, backbone=backbone, fold=fold, folds=2,
        )  # fmt: skip
        path = run_folder(tmp_path, f"{backbone}{seed}{fold}") / "predictions.csv"
        table = pd.read_csv(path)
        table.assign(id=f"{fold}-" + table["id"]).to_csv(path, index=False)
    board = board_of(tmp_path)
    row = combined(board)
    for side, found in (("val", row.val_mse), ("test", row.test_mse)):
        parts = [
            mean_error(tmp_path, {one.key: one.picks for one in row.members if one.fold == fold}, side)
            for fold in (0, 1)
        ]
        assert found == pytest.approx(np.mean(parts))
    a = next(row for row in board.rows if row.backbone == "a")
    parts = [mean_error(tmp_path, {f"a0{fold}": 1, f"a1{fold}": 1}, "test") for fold in (0, 1)]
    assert a.ensemble_test_mse == pytest.approx(np.mean(parts))


def test_runs_that_have_seen_test_images_take_no_part(seven: Path) -> None:
    rng = np.random.default_rng(9)
    for key, overlap, overlap_val in (
        ("test", 3, 0),
        ("val", 0, 2),
        ("unknown", None, None),
        ("half", None, 0),
    ):
        initial = {"key": "k", "sha256": "s", "overlap": overlap, "overlap_val": overlap_val}
        write(seven, f"z-{key}", rng.normal(0, 1e-6, N_VAL + N_TEST), weights="m", initial=initial,
              backbone=key)  # fmt: skip
    row = combined(board_of(seven))
    assert not any(one.key.startswith("z") for one in row.members)
    assert not row.leaky
    for seed in (0, 1):
        write(seven, f"y{seed}", rng.normal(0, 1e-6, N_VAL + N_TEST), weights="m", backbone="clean",
              seed=seed, initial={"key": "k", "sha256": "s", "overlap": 0, "overlap_val": 0})  # fmt: skip
    assert {one.key for one in combined(board_of(seven)).members} == {"y0", "y1"}


def test_the_row_of_a_split_that_leaks_is_leaky(seven: Path) -> None:
    for path in seven.glob("runs/*/record.json"):
        given = json.loads(path.read_text())
        given["split"] |= {"leaky": True, "leaked": 2}
        path.write_text(json.dumps(given))
    assert combined(board_of(seven)).leaky


@pytest.mark.parametrize("n", [0, 1])
def test_there_is_none_of_fewer_than_two_runs(n: int, tmp_path: Path) -> None:
    write_record(tmp_path, record("x", 0.5, backbone="without predictions"))
    write_record(tmp_path, record("failed", None, backbone="b"))
    for key in range(n):
        write(tmp_path, str(key), np.linspace(0, 1, N_VAL + N_TEST))
    assert not any(row.members for row in board_of(tmp_path).rows)


def test_there_is_none_where_the_best_run_stays_alone(tmp_path: Path) -> None:
    errors = np.linspace(0.1, 1, N_VAL + N_TEST)
    write(tmp_path, "a", errors)
    write(tmp_path, "b", 3 * errors, seed=1)
    assert not any(row.members for row in board_of(tmp_path).rows)
    write(tmp_path, "c", -2 * errors, seed=2)
    assert {one.key: one.picks for one in combined(board_of(tmp_path)).members} == {"a": 2, "c": 1}


def test_val_predictions_that_are_not_all_there_take_no_part(seven: Path) -> None:
    path = run_folder(seven, "a0") / "predictions.csv"
    path.write_text(path.read_text().replace("v0,val,", "v0,train,"))
    board = board_of(seven)
    assert "a0" not in {one.key for one in combined(board).members}
    assert next(row for row in board.rows if row.backbone == "a").seeds == 3


def test_every_output_names_the_members(seven: Path, quadzoo: Call) -> None:
    result = quadzoo("report", seven)
    assert result.status == 0
    assert "ensemble is the mean prediction of" in result.out
    document = json.loads((seven / "leaderboard.json").read_text())
    (row,) = (row for row in document["rows"] if row["backbone"] == "ensemble")
    with (seven / "leaderboard.csv").open(newline="") as file:
        (line,) = (line for line in csv.DictReader(file) if line["backbone"] == "ensemble")
    assert (line["rank"], line["head"]) == ("", "-")
    page = (seven / "leaderboard.html").read_text()
    assert len(row["members"]) > 1
    for one in row["members"]:
        assert f"{one['picks']} × {one['key']} ({one['backbone']} + mlp seed {one['seed']}" in line["members"]
        assert f'<span class="id">{one["key"]}</span>' in page
    with (seven / "leaderboard.csv").open(newline="") as file:
        averaged = {one["backbone"]: one["ensemble_test_mse"] for one in csv.DictReader(file)}
    assert float(averaged["a"]) == pytest.approx(mean_error(seven, {f"a{n}": 1 for n in range(3)}, "test"))
    assert averaged["c"] == averaged["ensemble"] == ""
