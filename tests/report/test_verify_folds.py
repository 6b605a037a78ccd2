"""What the runs and baselines of one split say of each other, tampered with."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quadzoo.records.record import Metrics
from quadzoo.report.verify import verify
from tests.report.records import record
from tests.report.tampering import (
    MEAN,
    TEXT,
    add_run,
    change_baseline,
    finished,
    report,
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One finished run in which all is well, a baseline, and the leaderboard."""
    return finished(tmp_path)


OTHER_TEXT = TEXT.replace("v1,val,2,3", "v1,val,2,0").replace("t4,test,7,7", "t4,test,7,5")
OTHER = Metrics(val_mse=0.02, test_mse=0.02, test_rmse={"y": 2**0.5}, test_r2={"y": -0.6})


@pytest.fixture
def two(results: Path) -> Path:
    """Two seeds of one row, and the ensemble of both."""
    add_run(results, OTHER_TEXT, seed=1, metrics=OTHER)
    report(results)
    assert verify(results).faults == []
    return results


def tamper_table(out: Path, backbone: str, column: str, value: str) -> None:
    path = out / "leaderboard.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    (row,) = (row for row in rows if row[1] == backbone)
    row[header.index(column)] = value
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.mark.parametrize(
    ("backbone", "column", "told"),
    [
        # The mean of both seeds: errors -0.5, 0 on val and 2, 0, 0, -1 on test.
        ("net", "ensemble_val_mse", "ensemble_val_mse is '0.1', the records give '0.00125"),
        ("net", "ensemble_test_mse", "ensemble_test_mse is '0.1', the records give '0.0125"),
        # Twice the first seed and once the other: 0, 0 and 2, 0, 0, -2/3.
        ("ensemble", "val_mse", "val_mse is '0.1', the records give '0.0'"),
        ("ensemble", "test_mse", "test_mse is '0.1', the records give '0.0111"),
        ("ensemble", "members", "members is '0.1', the records give '2 × "),
        ("ridge-pixels", "val_mse", "val_mse is '0.1', the records give '0.02'"),
    ],
)
def test_ensembles_and_baselines_of_the_table(backbone: str, column: str, told: str, two: Path) -> None:
    tamper_table(two, backbone, column, "0.1")
    (fault,) = verify(two).faults
    assert fault.where == "leaderboard.csv"
    assert told in fault.text


def records_of(out: Path) -> list[Path]:
    """The records of seeds 0 and 1."""
    paths = out.glob("runs/*/record.json")
    return sorted(paths, key=lambda path: int(json.loads(path.read_text())["seed"]))


@pytest.mark.parametrize(
    ("part", "changes", "told"),
    [
        ("split", {"leaked": 2, "leaky": True}, "split.leaked is 2, that of run {} with the same split 0"),
        ("split", {"n_train": 5}, "split.n_train is 5, that of run {} with the same split 4"),
        ("data", {"duplicates": 0}, "data.n or data.duplicates differ from those of run {}"),
        (
            "baselines",
            {"mean-of-train": {**MEAN.model_dump(), "val_mse": 0.5}},
            "val_mse of mean-of-train is 0.5 in the record, 0.045 by run {}",
        ),
    ],
)
def test_runs_of_one_split_say_the_same_of_it(
    part: str, changes: dict[str, Any], told: str, two: Path
) -> None:
    paths = records_of(two)
    paths.sort(key=lambda path: path.parent.name)
    given = json.loads(paths[1].read_text())
    given[part] |= changes
    paths[1].write_text(json.dumps(given))
    faults = [(fault.where, fault.text) for fault in verify(two).faults]
    assert (paths[1].parent.name, told.format(paths[0].parent.name)) in faults


def test_true_values_are_those_of_the_other_runs(results: Path) -> None:
    """Scores that fit to a changed truth are found out by another run."""
    text = TEXT.replace("t1,test,4,6", "t1,test,6,6")
    scores = Metrics(val_mse=0.005, test_mse=0.0, test_rmse={"y": 0.0}, test_r2={"y": 1.0})
    add_run(results, text, seed=1, metrics=scores, baselines={})
    (results / "leaderboard.csv").unlink()
    texts = [fault.text for fault in verify(results).faults]
    assert any("predictions.csv has other true values of image t1 than" in text for text in texts)


def of_fold(fold: int, groups: str) -> tuple[str, Any]:
    """The predictions and the split of one of two folds, whose test images have these groups."""
    one, two = groups
    text = f"id,split,y,y_pred,image_group\nv{fold},val,2,3,{fold}\n"
    text += f"t{fold}1,test,4,6,{one}\nt{fold}2,test,5,5,{two}\n"
    facts = record("x", 0.1).split.model_copy(update={"fold": fold, "folds": 2, "n_val": 1, "n_test": 2})
    return text, facts


@pytest.mark.parametrize(
    ("leaked", "told"),
    [
        (1, None),
        (2, "split.leaked is 2, but 1 test images share a group"),
        (0, "split.leaked is 0, but 1 test images share a group"),
    ],
)
def test_all_folds_together_count_the_leaks(leaked: int, told: str | None, tmp_path: Path) -> None:
    """With all of them each image is a test image once: train is what is left."""
    scores = Metrics(val_mse=0.01, test_mse=0.02, test_rmse={"y": 2**0.5}, test_r2={"y": -7.0})
    for fold, groups, count in ((0, "ab", leaked), (1, "bc", 1)):
        text, facts = of_fold(fold, groups)
        facts.leaked, facts.leaky = count, count > 0
        add_run(tmp_path, text, split=facts, metrics=scores, baselines={})
    texts = [fault.text for fault in verify(tmp_path).faults]
    assert texts == [] if told is None else [text.startswith(told) for text in texts] == [True]


def test_another_version_may_have_fitted_the_baseline_again(results: Path) -> None:
    change_baseline(results, "ridge-pixels", val_mse=0.02 * (1 + 1e-8))
    assert verify(results).faults == []


def test_rows_of_outside_predictors_are_not_checked(results: Path, quadzoo: Callable[..., Any]) -> None:
    ocr = results / "ocr.csv"
    ocr.write_text("id,y\nt1,4\nt2,5\nt3,6\nt4,7\n")
    assert quadzoo("report", results, "--external", f"ocr={ocr}").status == 0
    result = quadzoo("verify", results)
    assert result.status == 0, result.out
    assert "leaderboard.csv: row 5 (ocr): not checked, since the file of an outside predictor" in result.out
    tamper_table(results, "ocr", "answered", "")
    result = quadzoo("verify", results)
    assert (result.status, "leaderboard.csv: 5 rows, the records give 4" in result.out) == (1, True)
