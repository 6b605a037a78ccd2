"""Coverage and width of intervals in the leaderboard, against numpy on the files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quadzoo.inference.intervals import Intervals
from quadzoo.records.facts import Known
from quadzoo.records.record import read_record, run_folder, write_record
from quadzoo.report.page import to_html
from quadzoo.report.results import read_runs
from quadzoo.report.rows import PredictionIntervals, Row
from quadzoo.report.tables import to_csv
from quadzoo.report.verify import verify
from tests.report.records import board_of, fitting, predict, record


def write(
    out: Path, key: str, n_val: int, n_test: int, *, size: float = 1.0, spread: bool = False, **changes: Any
) -> None:
    """Write a run of two targets, y and z, with errors of its own; its test images depend on the fold."""
    rng = np.random.default_rng(int.from_bytes(key.encode()))
    n, fold = n_val + n_test, changes.pop("fold", 0)
    table = pd.DataFrame({
        "id": [f"v{row}" for row in range(n_val)] + [f"{fold}-{row}" for row in range(n_test)],
        "split": ["val"] * n_val + ["test"] * n_test,
    })  # fmt: skip
    for target in "yz":
        errors = rng.normal(0, size, n)
        table[target], table[f"{target}_pred"] = 5.0, 5.0 + errors
        if spread:
            table[f"{target}_spread"] = rng.uniform(0.5, 1, n) * size
    metrics = {"val_mse": size, "test_mse": size, "test_rmse": {"y": 1, "z": 1}, "test_r2": {"y": 0, "z": 0}}
    one = record(
        key, size, targets=["y", "z"], target_low=[0, 0], target_high=[10, 10],
        target_integer=[False, False], metrics=metrics, baselines={}, **changes,
    )  # fmt: skip
    one.split.n_val, one.split.n_test, one.split.fold = n_val, n_test, fold
    write_record(out, fitting(one))
    table.to_csv(run_folder(out, key) / "predictions.csv", index=False)


def by_hand(out: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and width of the 90 % interval of each target."""
    table = pd.read_csv(run_folder(out, key) / "predictions.csv")
    sides = [table[table["split"] == side] for side in ("val", "test")]
    coverage, width = [], []
    for target in "yz":
        sizes = [side.get(f"{target}_spread", pd.Series(1.0, side.index)) for side in sides]
        val, test = (
            (side[f"{target}_pred"] - side[target]).abs() / size
            for side, size in zip(sides, sizes, strict=True)
        )
        quantile = np.sort(val)[-(-90 * (len(val) + 1) // 100) - 1]
        coverage.append((test <= quantile).mean())
        width.append((2 * quantile * sizes[1]).mean())
    return np.array(coverage), np.array(width)


def known(row: Row) -> PredictionIntervals:
    assert row.intervals is not None
    return row.intervals


@pytest.mark.parametrize("spread", [False, True])
def test_figures_are_means_over_seeds(spread: bool, tmp_path: Path) -> None:
    for seed, size in ((0, 1.0), (1, 2.0), (2, 0.5)):
        write(tmp_path, f"a{seed}", 60, 90, size=size, spread=spread, seed=seed)
    (row,) = (row for row in board_of(tmp_path).rows if row.head != "-")
    found, expected = known(row), [by_hand(tmp_path, f"a{seed}") for seed in range(3)]
    coverage, width = (
        np.mean([one for one, _ in expected], axis=0),
        np.mean([one for _, one in expected], axis=0),
    )
    assert [*found.coverage.values()] == pytest.approx(coverage)
    assert [*found.width.values()] == pytest.approx(width)
    assert found.share_of_range == pytest.approx(width.mean() / 10)
    boxes = []
    for seed in range(3):
        table = pd.read_csv(run_folder(tmp_path, f"a{seed}") / "predictions.csv")
        test = table[table["split"] == "test"]
        low, high = Intervals.of(run_folder(tmp_path, f"a{seed}"), 0.9).around(
            test[["y_pred", "z_pred"]].to_numpy(),
            spread=test[["y_spread", "z_spread"]].to_numpy() if spread else None,
            joint=True,
        )
        truth = test[["y", "z"]].to_numpy()
        boxes.append((((low <= truth) & (truth <= high)).all(axis=1).mean(), (high - low).mean(axis=0)))
    assert found.joint_coverage == pytest.approx(np.mean([one for one, _ in boxes]))
    assert found.joint_width is not None
    assert [*found.joint_width.values()] == pytest.approx(np.mean([one for _, one in boxes], axis=0))
    assert (found.joint_share_of_range or 0) > found.share_of_range


def test_an_image_counts_for_the_targets_that_it_has(tmp_path: Path) -> None:
    write(tmp_path, "a", 60, 90)
    path = run_folder(tmp_path, "a") / "predictions.csv"
    table = pd.read_csv(path)
    table.loc[table.index % 3 == 0, "y"] = np.nan
    table.to_csv(path, index=False)
    one = read_record(tmp_path, "a")
    assert one is not None
    one.split.known = Known(
        train={"y": 4, "z": 4}, val={"y": 40, "z": 60}, test={"y": 60, "z": 90}, complete=60
    )
    (row,) = (row for row in board_of(tmp_path, one).rows if row.head != "-")
    found = known(row)
    known_rows = table[table["y"].notna()]
    val, test = (
        (side["y_pred"] - side["y"]).abs()
        for side in (known_rows[known_rows["split"] == name] for name in ("val", "test"))
    )
    quantile = np.sort(val)[-(-90 * (len(val) + 1) // 100) - 1]
    assert found.coverage["y"] == pytest.approx((test <= quantile).mean())
    assert found.width["y"] == pytest.approx(2 * quantile)
    assert found.joint_coverage is not None
    assert found.joint_coverage > 0.7


def test_a_fold_counts_by_its_test_images(tmp_path: Path) -> None:
    write(tmp_path, "f0", 40, 20, fold=0, backbone="a")
    write(tmp_path, "f1", 40, 60, size=2.0, fold=1, backbone="a")
    (row,) = (row for row in board_of(tmp_path).rows if row.head != "-")
    (first, narrow), (second, wide) = by_hand(tmp_path, "f0"), by_hand(tmp_path, "f1")
    assert [*known(row).coverage.values()] == pytest.approx(0.25 * first + 0.75 * second)
    assert [*known(row).width.values()] == pytest.approx(0.25 * narrow + 0.75 * wide)


def test_the_ensemble_has_those_of_its_mean(tmp_path: Path) -> None:
    for seed in range(3):
        write(tmp_path, f"a{seed}", 60, 90, size=1 + seed / 3, seed=seed)
    row = next(row for row in board_of(tmp_path).rows if row.members)
    assert len({one.picks for one in row.members}) > 1
    tables = [pd.read_csv(run_folder(tmp_path, one.key) / "predictions.csv") for one in row.members]
    mean = tables[0].copy()
    for name in ("y_pred", "z_pred"):
        mean[name] = np.average(
            [one[name] for one in tables], axis=0, weights=[one.picks for one in row.members]
        )
    (run_folder(tmp_path, "mean")).mkdir()
    mean.to_csv(run_folder(tmp_path, "mean") / "predictions.csv", index=False)
    coverage, width = by_hand(tmp_path, "mean")
    assert [*known(row).coverage.values()] == pytest.approx(coverage)
    assert [*known(row).width.values()] == pytest.approx(width)
    single = known(next(row for row in board_of(tmp_path).rows if row.head != "-"))
    assert known(row).share_of_range < single.share_of_range


def cut(out: Path) -> None:
    path = run_folder(out, "a1") / "predictions.csv"
    path.write_text(path.read_text().replace("v0,val", "v0,train"))


def lose(out: Path) -> None:
    (run_folder(out, "a1") / "predictions.csv").unlink()


@pytest.mark.parametrize("spoil", [cut, lose])
def test_a_row_without_all_val_predictions_has_none(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    for seed in (0, 1):
        write(tmp_path, f"a{seed}", 60, 90, seed=seed)
    assert board_of(tmp_path).rows[0].intervals is not None
    spoil(tmp_path)
    assert [row.intervals for row in board_of(tmp_path).rows if row.head != "-"] == [None]


@pytest.mark.parametrize(("n_val", "there"), [(8, False), (9, True)])
def test_it_takes_nine_val_images(n_val: int, there: bool, tmp_path: Path) -> None:
    write(tmp_path, "a", n_val, 20)
    assert (board_of(tmp_path).rows[0].intervals is not None) == there


def test_csv_json_and_page_have_them_and_the_terminal_has_not(
    tmp_path: Path, quadzoo: Callable[..., Any]
) -> None:
    write(tmp_path, "a", 60, 90)
    done = quadzoo("report", tmp_path)
    assert done.status == 0
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        line = next(line for line in csv.DictReader(file) if line["head"] != "-")
    coverage, width = by_hand(tmp_path, "a")
    assert float(line["predict_coverage"]) == pytest.approx(coverage.mean())
    assert float(line["predict_width"]) == pytest.approx(width.mean() / 10)
    for place, target in enumerate("yz"):
        assert float(line[f"predict_coverage.{target}"]) == pytest.approx(coverage[place])
        assert float(line[f"predict_width.{target}"]) == pytest.approx(width[place])
    said = json.loads((tmp_path / "leaderboard.json").read_text())["rows"][0]["intervals"]
    assert said["level"] == 0.9
    assert [*said["coverage"].values()] == pytest.approx(coverage)
    assert float(line["predict_joint_coverage"]) == said["joint_coverage"]
    assert float(line["predict_joint_width"]) == said["joint_share_of_range"]
    page = (tmp_path / "leaderboard.html").read_text()
    for heading in ("in 90 % interval", "90 % width", "in joint interval", "joint width"):
        assert f">{heading}</button>" in page
        assert heading not in done.out
        assert heading not in (tmp_path / "leaderboard.md").read_text()
    assert f"<td>{width[0]:.3g}</td><td>{coverage[0]:.1%}</td>" in page  # of each target


@pytest.mark.parametrize("column", ["predict_coverage", "predict_joint_width", "predict_width.z"])
def test_verify_computes_them_again(column: str, tmp_path: Path, quadzoo: Callable[..., Any]) -> None:
    write(tmp_path, "a", 60, 90)
    assert quadzoo("report", tmp_path).status == 0
    path = tmp_path / "leaderboard.csv"
    assert not [one for one in verify(tmp_path).faults if one.where == path.name]
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    lines[0][column] = "0.5"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*lines[0]])
        writer.writeheader()
        writer.writerows(lines)
    (fault,) = (one for one in verify(tmp_path).faults if one.where == path.name)
    assert f"{column} is '0.5', the records give '" in fault.text


def test_one_target_has_no_joint_columns(tmp_path: Path) -> None:
    write_record(tmp_path, record("a", 0.01))
    predict(tmp_path, "a", np.linspace(-1, 1, 20), val=np.linspace(-1, 1, 20))
    board = board_of(tmp_path)
    assert known(board.rows[0]).joint_coverage is None
    (line, *_) = csv.DictReader(io.StringIO(to_csv([board])))
    assert line["predict_coverage"] != line["predict_joint_coverage"] == line["predict_joint_width"] == ""
    page = to_html([board], read_runs([tmp_path]).runs)
    assert "90 % width" in page
    assert "joint width" not in page
