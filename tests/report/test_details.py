"""Fits and groups; `test_leaderboard.py` has the other details of a row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quadzoo.records.record import run_folder, write_record
from quadzoo.report.rows import Details
from tests.report.records import board_of, predict, record


def details_of(out: Path) -> Details:
    best = board_of(out).best
    assert best
    return best.details


def test_fit_is_of_the_seed_with_the_best_val(tmp_path: Path) -> None:
    for seed, val in ((0, 0.02), (1, 0.01)):
        write_record(tmp_path, record(str(seed), val, seed=seed))
        predict(tmp_path, str(seed), [0.0, 0.0, 0.0, 0.0])
    table = pd.DataFrame(
        {"id": list("abcd"), "split": "test", "y": [1, 2, 3, 4], "y_pred": [1.5, 3, 4.5, 0.5]}
    )
    table.to_csv(run_folder(tmp_path, "1") / "predictions.csv", index=False)
    details = details_of(tmp_path)
    fit = details.fits["y"]
    assert (details.worst_seed, details.runs, fit.n) == (1, ["1"], 4)
    assert fit.rmse == pytest.approx(np.sqrt((0.25 + 1 + 2.25 + 12.25) / 4))
    assert fit.r2 == pytest.approx(1 - 15.75 / 5)
    assert fit.bias == pytest.approx((0.5 + 1 + 1.5 - 3.5) / 4)
    assert fit.near == 0.5  # within 1: y is from 0 to 10


def test_fit_is_over_all_folds(tmp_path: Path) -> None:
    for fold in (0, 1):
        one = record(str(fold), 0.1)
        one.split.fold, one.split.folds = fold, 2
        write_record(tmp_path, one)
        predict(tmp_path, str(fold), [1.0 + fold])
        path = run_folder(tmp_path, str(fold)) / "predictions.csv"
        pd.read_csv(path).assign(id=f"q{fold}").to_csv(path, index=False)
    details = details_of(tmp_path)
    assert details.runs == ["0", "1"]
    assert (details.fits["y"].n, details.fits["y"].bias, details.fits["y"].r2) == (2, 1.5, None)


def test_few_groups_are_all_there(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_record(tmp_path, record(str(seed), 0.1, seed=seed))
        groups = ["a", "a", "b", "b", "alone"]
        predict(tmp_path, str(seed), [1.0, 3.0, 2.0, 4.0 + seed, 9.0], image_group=groups)
    groups = details_of(tmp_path).groups
    assert groups
    assert [(one.name, one.n) for one in groups.worst] == [("b", 2), ("a", 2)]
    assert groups.worst[1].test_mse == pytest.approx((1 + 9) / 2 / 100)
    assert groups.worst[0].test_rmse == {"y": pytest.approx(np.sqrt((4 + 16 + 4 + 25) / 4))}
    assert (groups.best, groups.left_out, groups.alone) == ([], 0, 1)


def test_groups_have_the_names_of_the_group_column(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.1))
    groups, cells = ["a", "a", "b", "b"], ["ward 3", "ward 3", "ward 1", "ward 1"]
    predict(tmp_path, "1", [1.0, 3.0, 2.0, 4.0], image_group=groups, group_value=cells)
    found = details_of(tmp_path).groups
    assert found
    assert [one.name for one in found.worst] == ["ward 1", "ward 3"]


def test_of_many_groups_the_ends_are_there(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.1))
    groups = np.repeat([f"g{index:02d}" for index in range(25)], 2)
    predict(tmp_path, "1", np.repeat(np.arange(25), 2) / 10, image_group=groups)
    found = details_of(tmp_path).groups
    assert found
    assert [one.name for one in found.worst] == [f"g{index:02d}" for index in range(24, 14, -1)]
    assert [one.name for one in found.best] == [f"g{index:02d}" for index in range(9, -1, -1)]
    assert found.left_out == 5


def test_a_few_duplicates_are_no_groups(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.1))
    predict(tmp_path, "1", [1.0] * 5, image_group=["p0", "p0", "p2", "p3", "p4"])
    assert details_of(tmp_path).groups is None


def test_the_last_of_very_many_rows_have_no_errors_by_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks at those of the 201st row; its curves and its runs count in sentences, and are there."""
    monkeypatch.setattr("quadzoo.report.leaderboard.MOST_DETAILED", 1)
    for number, val in enumerate((0.3, 0.1)):
        write_record(tmp_path, record(str(number), val, backbone=f"net{number}"))
        predict(tmp_path, str(number), [1.0, 2.0])
    best, last = [row.details for row in board_of(tmp_path).rows if row.head != "-"]
    assert (best.runs, best.fits["y"].n) == (["1"], 2)
    assert (last.runs, last.worst_seed, last.fits, last.worst) == (["0"], 0, {}, [])
    assert len(last.curves) == 1
