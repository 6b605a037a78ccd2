"""Outside predictors in the table: scores against other code, missing images, files that cannot be used."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_squared_error, r2_score

import quadzoo as public
from quadzoo.errors import ConfigError
from quadzoo.records.record import Metrics, run_folder, write_record
from quadzoo.report.captions import captions
from quadzoo.report.text import short
from tests.report.records import predict, record

Call = Callable[..., Any]
TRUTH = np.array([1.0, 4.0, 6.0, 9.0, 5.0, 2.0])  # of p0 … p5
READ = np.array([1.0, 4.5, 5.0, 9.0, 7.0, 2.4])


def write_run(out: Path, key: str = "1", renamed: str = "", **changes: Any) -> None:
    """Write a run with six test images of the true values above; ids in ``renamed`` get a q for their p."""
    write_record(out, record(key, 0.02, 0.03, **changes))
    predict(out, key, np.full(6, 0.5), val=[1.0, 2.0])
    path = run_folder(out, key) / "predictions.csv"
    table = pd.read_csv(path)
    table.loc[table["split"] == "test", "y"] = TRUTH
    table["id"] = [f"q{one[1:]}" if one in renamed.split() else one for one in table["id"]]
    table.to_csv(path, index=False)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    out = tmp_path / "results"
    write_run(out)
    return out


@pytest.fixture
def ocr(tmp_path: Path) -> Path:
    """What OCR has read from all test images, in another order than theirs."""
    path = tmp_path / "ocr.csv"
    table = pd.DataFrame({"id": [f"p{n}" for n in range(6)], "y": READ})
    table.iloc[::-1].to_csv(path, index=False)
    return path


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    return {row["backbone"]: row for row in json.loads((out / "leaderboard.json").read_text())["rows"]}


def test_scores_are_those_of_other_code(results: Path, ocr: Path, quadzoo: Call) -> None:
    result = quadzoo("report", results, "--external", f"ocr={ocr}")
    assert (result.status, "warning" in result.err) == (0, False)
    row = rows_of(results)["ocr"]
    assert row["test_mse"] == pytest.approx(mean_squared_error(TRUTH / 10, READ / 10))
    assert row["test_rmse"] == pytest.approx({"y": mean_squared_error(TRUTH, READ) ** 0.5})
    assert row["test_r2"] == pytest.approx({"y": r2_score(TRUTH, READ)})
    assert (row["rank"], row["val_mse"], row["head"], row["seeds"]) == (None, None, "-", 0)
    assert row["covers"] == "only 6 independent test images or groups: it takes 10"
    assert (row["outside"]["answered"], row["outside"]["n_test"], row["outside"]["file"]) == (6, 6, "ocr.csv")
    with (results / "leaderboard.csv").open(newline="") as file:
        *_, last = csv.DictReader(file)
    assert (last["backbone"], last["rank"], last["val_mse"], last["answered"]) == ("ocr", "", "", "6")
    assert float(last["test_mse"]) == pytest.approx(row["test_mse"])
    assert "Predicted outside of the bench: ocr (ocr.csv), " in result.out
    assert "missing" not in result.out
    for name in ("leaderboard.md", "leaderboard.html"):
        text = (results / name).read_text()
        assert "6 of 6" in text
        assert "so no val MSE and no rank" in text


def test_the_other_rows_stay_as_they_were(results: Path, ocr: Path, quadzoo: Call) -> None:
    assert quadzoo("report", results).status == 0
    before = rows_of(results)
    assert quadzoo("report", results, "--external", f"ocr={ocr}").status == 0
    after = rows_of(results)
    del after["ocr"]
    assert after == before


def test_whole_numbers_are_right_after_rounding(results: Path, ocr: Path, quadzoo: Call) -> None:
    write_run(results, target_integer=[True])
    assert quadzoo("report", results, "--external", f"ocr={ocr}").status == 0
    assert rows_of(results)["ocr"]["test_exact"] == pytest.approx(4 / 6)  # 4.5 is rounded to 4


def test_missing_images_count_with_the_mean_error_of_mean_of_train(
    results: Path, ocr: Path, quadzoo: Call
) -> None:
    # Nearer than half a unit: rounding the missing prediction could make it right.
    scores = Metrics(val_mse=0.1, test_mse=0.0016, test_rmse={"y": 0.4}, test_r2={"y": 0.0})
    write_run(results, target_integer=[True], baselines={"mean-of-train": scores})
    table = pd.read_csv(ocr)
    table[~table["id"].isin(["p1", "p4"])].to_csv(ocr, index=False)
    result = quadzoo("report", results, "--external", f"ocr={ocr}")
    row = rows_of(results)["ocr"]
    squares = (READ - TRUTH) ** 2
    squares[[1, 4]] = 0.4**2
    assert row["test_mse"] == pytest.approx(squares.mean() / 100)
    assert row["test_rmse"] == pytest.approx({"y": squares.mean() ** 0.5})
    assert row["test_exact"] == pytest.approx(3 / 6)
    assert row["outside"]["answered"] == 4
    answered = np.delete((READ - TRUTH) ** 2, [1, 4]).mean() / 100
    assert row["outside"]["mse"] == pytest.approx(answered)
    assert f"(on the others its MSE is {short(answered)})" in result.out
    assert "2 of 6 test images are missing and counted with the mean error of mean-of-train" in result.out
    assert "4 of 6" in result.out


def test_paths_are_read_as_predict_writes_them(results: Path, ocr: Path, quadzoo: Call) -> None:
    before = quadzoo("report", results, "--external", f"ocr={ocr}", "--json").out
    table = pd.read_csv(ocr)
    table["id"] = [f"new/photos/{one}.jpg" for one in table["id"]]
    table.to_csv(ocr, index=False)
    rows = [json.loads(text)["rows"] for text in
            (before, quadzoo("report", results, "--external", f"ocr={ocr}", "--json").out)]  # fmt: skip
    told = quadzoo("report", results, "--external", f"ocr={ocr}").err
    assert "6 paths are taken for the test images that they end in ('new/photos/p" in told
    (one,), (other,) = ([row["test_mse"] for row in some if row["backbone"] == "ocr"] for some in rows)
    assert one == other


def test_a_leaderboard_that_is_written_without_it_says_so(results: Path, ocr: Path, quadzoo: Call) -> None:
    assert "warning" not in quadzoo("report", results, "--external", f"ocr={ocr}").err
    assert "warning: the leaderboard is now without ocr" in quadzoo("report", results).err
    assert "warning" not in quadzoo("report", results).err
    (results / "leaderboard.json").write_text("[1")
    assert quadzoo("report", results).status == 0


def test_nothing_answered_would_be_mean_of_train(results: Path, ocr: Path, quadzoo: Call) -> None:
    """One image is right, all others are missing."""
    ocr.write_text("id,y\np0,1\n")
    assert quadzoo("report", results, "--external", f"ocr={ocr}").status == 0
    assert rows_of(results)["ocr"]["test_mse"] == pytest.approx(5 / 6 * 2.8**2 / 100)


def test_predictions_of_a_run_are_read_as_predictions(results: Path, quadzoo: Call) -> None:
    """Its column y is the truth, y_pred what counts; val images are no test images."""
    path = run_folder(results, "1") / "predictions.csv"
    result = quadzoo("report", results, "--external", f"again={path}")
    table = pd.read_csv(path).query("split == 'test'")
    expected = (((table["y_pred"] - table["y"]) / 10) ** 2).mean()
    assert expected > 0
    assert rows_of(results)["again"]["test_mse"] == pytest.approx(expected)
    assert f"quadzoo: warning: {path}: 2 ids are no test images and not used ('v0', 'v1')" in result.err


def test_several_predictors(results: Path, ocr: Path, quadzoo: Call) -> None:
    person = ocr.with_name("person.csv")
    person.write_text("y;id\n1;p0\n4;p1\n6;p2\n9;p3\n5;p4\n2;p5\n")
    assert (
        quadzoo("report", results, "--external", f"ocr={ocr}", "--external", f"a person={person}").status == 0
    )
    assert rows_of(results)["a person"]["test_mse"] == 0
    assert list(rows_of(results))[-2:] == ["ocr", "a person"]


def test_folds_are_put_together(tmp_path: Path, quadzoo: Call) -> None:
    """Each fold has its own range and its own mean of train."""
    for fold, high, rmse in ((0, 10.0, 2.0), (1, 20.0, 3.0)):
        scores = Metrics(val_mse=0.1, test_mse=0.1, test_rmse={"y": rmse}, test_r2={"y": 0.0})
        one = record(str(fold), 0.02, 0.03, target_high=[high], baselines={"mean-of-train": scores})
        one.split.fold, one.split.folds = fold, 2
        write_record(tmp_path, one)
        predict(tmp_path, str(fold), [0.5, 0.5, 0.5])
        path = run_folder(tmp_path, str(fold)) / "predictions.csv"
        table = pd.read_csv(path)
        table.assign(id=f"{fold}-" + table["id"]).to_csv(path, index=False)
    (tmp_path / "ocr.csv").write_text("id,y\n0-p0,6\n0-p1,6\n0-p2,6\n1-p0,7\n1-p1,7\n")
    assert quadzoo("report", tmp_path, "--external", f"ocr={tmp_path / 'ocr.csv'}").status == 0
    row = rows_of(tmp_path)["ocr"]
    assert row["test_mse"] == pytest.approx((1 / 100 + (2 * 4 / 400 + 9 / 400) / 3) / 2)
    assert (row["outside"]["answered"], row["outside"]["n_test"]) == (5, 6)


def test_each_table_has_its_own_test_images(results: Path, ocr: Path, quadzoo: Call) -> None:
    """Another data set has other images; another split of the same data has some of them."""
    facts = record("x", 0.1)
    write_run(results, "2", "p0 p1 p2 p3 p4 p5", data=facts.data.model_copy(update={"hash": "other"}))
    write_run(results, "3", "p2 p3 p4 p5", split=facts.split.model_copy(update={"hash": "other"}))

    def has_it() -> dict[tuple[str, str], bool]:
        first = json.loads(quadzoo("report", results, "--external", f"ocr={ocr}", "--json").out)
        tasks = [(one["data"]["hash"], one["split"]["hash"]) for one in (first, *first["more"])]
        names = [{row["backbone"] for row in one["rows"]} for one in (first, *first["more"])]
        return {task: "ocr" in some for task, some in zip(tasks, names, strict=True)}

    assert has_it() == {("D", "S"): True, ("other", "S"): False, ("D", "other"): False}
    ocr.write_text("id,y\nq2,1\nq3,1\nq4,1\n")
    assert has_it() == {("D", "S"): False, ("other", "S"): True, ("D", "other"): True}
    ocr.write_text("id,y\np5,1\n")  # fewer than half: where it answers most
    assert has_it() == {("D", "S"): True, ("other", "S"): False, ("D", "other"): False}


def cases() -> dict[str, tuple[str, str]]:
    """Files that cannot be used, and what is said of them."""
    return {
        "word": ("id,y\np0,1\np1,four\n", "row 3: 'y' is 'four', not a finite number"),
        "empty": ("id,y\np0,1\np1,\n", "row 3: 'y' is '', not a finite number; leave the row out"),
        "nan": ("id,y\np0,nan\n", "row 2: 'y' is 'nan', not a finite number"),
        "infinite": ("id,y\np0,inf\n", "row 2: 'y' is 'inf', not a finite number"),
        "large": ("id,y\np0,1e200\n", "1e+200 is too large to be scored"),
        "twice": ("id,y\np0,1\np1,2\np0,3\n", "row 4: id 'p0' is also in row 2; keep one"),
        "no column": ("id,z\np0,1\n", "no column 'y' or 'y_pred'; it has id, z"),
        "two columns": ("id,y,y\np0,1,2\n", "more than one column 'y' or 'y_pred'"),
        "no id": (
            "name,y\nq0,1\n",
            "needs one column id, or one whose cells are ids of test images; it has",
        ),
        "no suffix of images": ("name,y\np0.5,1\n", "needs one column id, or one whose cells are ids"),
        "two ids": ("name,file,y\np0,p0.png,1\n", "needs one column id, or one whose cells are ids of test"),
        "cells": ("id,y\np0,1,2\n", "row 2: 3 cells where the header has 2"),
        "nothing": ("", "the file is empty"),
        "no rows": ("id,y\n", "no rows under the header"),
        "strangers": (
            "id,y\nq0.png,1\nq1.png,2\n" + "x" * 500 + ",3\nz,4\n",
            "none of its ids ('q0.png', 'q1.png', 'xxxxxxxxxxxxxxxx…', …) is a test image with predictions "
            "here ('p",
        ),
    }


@pytest.mark.parametrize("case", cases())
def test_a_file_that_cannot_be_used_is_refused(case: str, results: Path, ocr: Path, quadzoo: Call) -> None:
    text, told = cases()[case]
    ocr.write_text(text)
    result = quadzoo("report", results, "--external", f"ocr={ocr}")
    assert result.status == 2
    assert str(ocr) in result.error
    assert told in result.error
    assert len(result.error.replace(str(ocr), "ocr.csv")) <= 300
    assert not list(results.glob("leaderboard.*"))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("ocr", "'ocr': give NAME=FILE.csv"),
        ("=FILE", "give NAME=FILE.csv"),
        ("net=FILE", "--external net: the table has a row of that name; choose another"),
        ("net + mlp=FILE", "the table has a row of that name"),
        ("mean-of-train=FILE", "the table has a row of that name"),
        ("ensemble=FILE", "the table has a row of that name"),
        ("Net=FILE", "the table has a row of that name"),
        (" Ensemble =FILE", "the table has a row of that name"),
        ("ocr=/dev/null", "/dev/null: it is no regular file"),
        ("ridge-features:x=FILE", "the table has a row of that name"),
        ("a\nb=FILE", "a name has 1 to 40 printable characters"),
        (f"{'n' * 41}=FILE", "a name has 1 to 40 printable characters"),
        ("ocr=nowhere.csv", "nowhere.csv: there is no such file"),
    ],
)
def test_a_name_that_is_taken_or_a_file_that_is_not_there(
    value: str, told: str, results: Path, ocr: Path, quadzoo: Call
) -> None:
    result = quadzoo("report", results, "--external", value.replace("FILE", str(ocr)))
    assert result.status == 2
    assert told in result.error
    assert not list(results.glob("leaderboard.*"))


def test_a_name_is_given_once(results: Path, ocr: Path, quadzoo: Call) -> None:
    result = quadzoo("report", results, "--external", f"ocr={ocr}", "--external", f"ocr={ocr}")
    assert (result.status, "'ocr' is given twice" in result.error) == (2, True)


def test_records_without_predictions_have_no_test_images(tmp_path: Path, ocr: Path, quadzoo: Call) -> None:
    write_record(tmp_path / "bare", record("1", 0.02))
    result = quadzoo("report", tmp_path / "bare", "--external", f"ocr={ocr}")
    assert result.status == 2
    assert "is a test image with predictions here (there is none)" in result.error


def test_missing_images_need_a_mean_to_count_with(results: Path, ocr: Path, quadzoo: Call) -> None:
    write_run(results, baselines={})
    assert quadzoo("report", results, "--external", f"ocr={ocr}").status == 0
    ocr.write_text("id,y\np0,1\n")
    result = quadzoo("report", results, "--external", f"ocr={ocr}")
    assert result.status == 2
    assert "5 of 6 test images are missing, and the records have no mean-of-train" in result.error


def test_from_python(results: Path, ocr: Path) -> None:
    board = public.leaderboard(results, external={"ocr": ocr})
    frame = board.to_frame().set_index("backbone")
    assert frame.loc["ocr", "test_mse"] == pytest.approx(((READ - TRUTH) ** 2).mean() / 100)
    assert any("ocr (ocr.csv)" in caption.text for caption in captions(board))
    ocr.write_text(ocr.read_text() + "stranger,3\n")
    with pytest.warns(UserWarning, match="1 id is no test image and not used .'stranger'."):
        public.leaderboard(results, external={"ocr": str(ocr)})
    with pytest.raises(ConfigError, match="row of that name"):
        public.leaderboard(results, external={"net": ocr})


def test_it_is_compared_with_the_best_row(tmp_path: Path, quadzoo: Call) -> None:
    """A test against the best row, as rows of the bench have it, and the multiple of its error."""
    out, hard = tmp_path / "results", np.random.default_rng(0).normal(0, 1, 100)
    for seed in range(3):
        errors = hard + np.random.default_rng(seed + 1).normal(0, 0.2, 100)
        write_record(out, record(str(seed), 0.02, float((errors**2).mean()) / 100, seed=seed))
        predict(out, str(seed), errors)
    for name, factor in (("bad", 3.0), ("same", 1.02)):
        table = pd.DataFrame({"id": [f"p{n}" for n in range(100)], "y": 5.0 + factor * hard})
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    flags = [part for name in ("bad", "same") for part in ("--external", f"{name}={tmp_path / name}.csv")]
    result = quadzoo("report", out, *flags)
    assert result.status == 0
    rows = rows_of(out)
    assert rows["bad"]["p_value"] < 0.001
    assert rows["bad"]["times_best"] == pytest.approx(9, rel=0.2)
    assert rows["same"]["p_value"] > 0.05
    assert "times the test MSE of the best row (p < 0.001)" in result.out


def test_a_table_with_other_targets_does_not_cost_the_one_that_fits(
    results: Path, ocr: Path, quadzoo: Call
) -> None:
    facts = record("x", 0.1)
    two = Metrics(val_mse=0.1, test_mse=0.1, test_rmse={"y": 1.0, "z": 1.0}, test_r2={"y": None, "z": None})
    write_record(
        results,
        record(
            "2", 0.1, targets=["y", "z"], target_low=[0, 0], target_high=[10, 10], target_integer=[False] * 2,
            metrics=two, baselines={}, split=facts.split.model_copy(update={"hash": "other"}),
        ),
    )  # fmt: skip
    predict(results, "2", np.full(6, 0.5), z=1.0, z_pred=2.0)
    done = quadzoo("report", results, "--external", f"ocr={ocr}")
    assert done.status == 0
    assert "not in the table d, split grouped" in done.err
    assert "a target has no column" in done.err
    assert "ocr" in rows_of(results)


def test_a_predictor_with_missing_images_is_not_tested(results: Path, ocr: Path, quadzoo: Call) -> None:
    ocr.write_text("".join(ocr.read_text().splitlines(keepends=True)[:6]))
    quadzoo("report", results, "--external", f"ocr={ocr}")
    assert rows_of(results)["ocr"]["verdict"] == "no evidence"
    ocr.write_text("id,y\np0,9\np1,0\np2,0\np3,0\np4,0\n")
    quadzoo("report", results, "--external", f"ocr={ocr}")
    assert rows_of(results)["ocr"]["verdict"].startswith("does not beat ")


def test_truth_is_not_taken_for_predictions(tmp_path: Path, quadzoo: Call) -> None:
    """Of one target the predictions, of the other the column that a `predictions.csv` has the truth in."""
    out = tmp_path / "results"
    two = Metrics(val_mse=0.1, test_mse=0.1, test_rmse={"y": 1.0, "z": 1.0}, test_r2={"y": None, "z": None})
    one = record(
        "1", 0.1, targets=["y", "z"], target_low=[0, 0], target_high=[10, 10], target_integer=[False] * 2,
        metrics=two, baselines={},
    )  # fmt: skip
    write_record(out, one)
    predict(out, "1", np.full(6, 0.5), z=1.0, z_pred=2.0)
    file = tmp_path / "some.csv"
    file.write_text("id,y,z,y_pred\n" + "".join(f"p{n},5,1,5.5\n" for n in range(6)))
    result = quadzoo("report", out, "--external", f"some={file}")
    assert result.status == 2
    assert "it has 'y_pred', but no 'z_pred': is 'z' predicted, or the truth?" in result.err


def test_no_absolute_error_is_made_up_for_missing_images(results: Path, ocr: Path, quadzoo: Call) -> None:
    table = pd.read_csv(ocr)
    table[table["id"] != "p1"].to_csv(ocr, index=False)
    quadzoo("report", results, "--external", f"ocr={ocr}")
    assert rows_of(results)["ocr"]["test_mae"] is None
