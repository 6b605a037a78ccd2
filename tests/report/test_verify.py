"""A results folder, tampered with."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quadzoo.records.baseline import BaselineRecord, write_baseline
from quadzoo.records.record import Metrics, RunRecord, run_folder, sha256_of, write_record
from quadzoo.report.files import write_report
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from quadzoo.report.verify import verify
from tests.report.records import record

TEXT = "id,split,y,y_pred\nv1,val,2,3\nv2,val,5,5\nt1,test,4,6\nt2,test,5,5\nt3,test,6,6\nt4,test,7,7\n"
# Errors 1, 0 and 2, 0, 0, 0 on a range of 10.
SCORES = Metrics(val_mse=0.005, test_mse=0.01, test_rmse={"y": 1.0}, test_r2={"y": 0.2})
# Always 5: errors 3, 0 on val and 1, 0, 1, 2 on test.
MEAN = Metrics(val_mse=0.045, test_mse=0.015, test_rmse={"y": 1.5**0.5}, test_r2={"y": -0.2})
RIDGE_TEXT = "id,split,y,y_pred\nv1,val,2,4\nv2,val,5,5\nt1,test,4,5\nt2,test,5,5\nt3,test,6,5\nt4,test,7,7\n"
RIDGE = Metrics(val_mse=0.02, test_mse=0.005, test_rmse={"y": 0.5**0.5}, test_r2={"y": 0.6})
BASELINES = {"mean-of-train": MEAN, "pixel-lookup": MEAN, "ridge-pixels": RIDGE}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One finished run in which all is well, a baseline, and the leaderboard."""
    one = add_run(tmp_path)
    baseline = BaselineRecord(
        key="ridge", name="ridge-pixels", data=one.data, split=one.split, targets=["y"], metrics=RIDGE,
        alphas={"y": 1.0}, n_fitted=4, seconds=0.1, files={},
    )  # fmt: skip
    write_baseline(tmp_path, baseline, RIDGE_TEXT.encode())
    report(tmp_path)
    return tmp_path


def add_run(out: Path, text: str = TEXT, **changes: Any) -> RunRecord:
    """Write a finished run with these predictions."""
    one = record("?", 0.005, **{"metrics": SCORES, "baselines": BASELINES, **changes})
    one.key = one.identity.key
    folder = run_folder(out, one.key)
    folder.mkdir(parents=True)
    (folder / "predictions.csv").write_text(text)
    (folder / "model.safetensors").write_bytes(b"weights")
    one.files = {name: sha256_of(folder / name) for name in ("predictions.csv", "model.safetensors")}
    write_record(out, one)
    return one


def report(out: Path) -> None:
    found = read_runs([out])
    write_report(out, leaderboards(found.runs, answers=found.answers), found)


def the(pattern: str, out: Path) -> Path:
    (path,) = out.glob(f"runs/*/{pattern}")
    return path


def change(out: Path, **changes: Any) -> None:
    path = the("record.json", out)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_all_is_well(results: Path) -> None:
    verdict = verify(results)
    assert verdict.faults == []
    assert (verdict.runs, verdict.ok, verdict.files) == (1, 1, 2)


def change_baseline(out: Path, name: str, **changes: Any) -> None:
    """Change scores of a baseline in the record of the run."""
    given = json.loads(the("record.json", out).read_text())["baselines"]
    given[name] |= changes
    change(out, baselines=given)


def change_split(out: Path, **changes: Any) -> None:
    given = json.loads(the("record.json", out).read_text())["split"]
    change(out, split={**given, **changes})


def weaker_baseline(out: Path) -> None:
    change_baseline(out, "ridge-pixels", test_mse=0.5, test_rmse={"y": 50**0.5}, test_r2={"y": -39.0})


def weaker_val(out: Path) -> None:
    change_baseline(out, "ridge-pixels", val_mse=0.5)


def other_error_than_rmse(out: Path) -> None:
    change_baseline(out, "mean-of-train", test_mse=0.5)


def other_r2(out: Path) -> None:
    change_baseline(out, "mean-of-train", test_r2={"y": 0.1})


def weaker_ridge(out: Path) -> None:
    path = out / "baselines" / "ridge" / "baseline.json"
    path.write_text(path.read_text().replace('"val_mse": 0.02', '"val_mse": 0.2'))


def ridge_prediction(out: Path) -> None:
    path = out / "baselines" / "ridge" / "predictions.csv"
    path.write_text(path.read_text().replace("t4,test,7,7", "t4,test,7,9"))


def ridge_truth(out: Path) -> None:
    path = out / "baselines" / "ridge" / "predictions.csv"
    path.write_text(path.read_text().replace("t4,test,7,7", "t4,test,9,9"))


def ridge_gone(out: Path) -> None:
    (out / "baselines" / "ridge" / "predictions.csv").unlink()


def no_ridge(out: Path) -> None:
    (out / "baselines" / "ridge" / "baseline.json").write_text("{}")


def ridge_moved(out: Path) -> None:
    (out / "baselines" / "ridge").rename(out / "baselines" / "other")


def leaks_denied(out: Path) -> None:
    """Two test images are in val, too; the count is one."""
    path = the("predictions.csv", out)
    path.write_text("id,split,y,y_pred,image_group\nv1,val,2,3,t1\nv2,val,5,5,t2\nt1,test,4,6,t1\n"
                    "t2,test,5,5,t2\nt3,test,6,6,t3\nt4,test,7,7,t4\n")  # fmt: skip
    change_split(out, leaked=1, leaky=True)


def not_called_leaky(out: Path) -> None:
    change_split(out, leaked=1)


def found_by_lookup(out: Path) -> None:
    """Images of test must be in train where this baseline knows their answers."""
    change_baseline(out, "pixel-lookup", test_mse=0.01, test_rmse={"y": 1.0}, test_r2={"y": 0.2})


def better(out: Path) -> None:
    change(out, metrics={**SCORES.model_dump(), "test_mse": 0.001})


def other_seed(out: Path) -> None:
    change(out, seed=1)


def other_recipe(out: Path) -> None:
    change(out, recipe={"epochs": 1})


def trained_before(out: Path) -> None:
    change(out, weights="some-model", initial={"key": "k", "sha256": "s"})


def hides_its_model(out: Path) -> None:
    change(out, initial={"key": "k", "sha256": "s"})


def moved(out: Path) -> None:
    the("record.json", out).parent.rename(out / "runs" / "0123456789abcdef")


def bit(out: Path) -> None:
    the("model.safetensors", out).write_bytes(b"Weights")


def no_weights(out: Path) -> None:
    the("model.safetensors", out).unlink()


def no_predictions(out: Path) -> None:
    the("predictions.csv", out).unlink()


def prediction(out: Path) -> None:
    path = the("predictions.csv", out)
    path.write_text(TEXT.replace("t1,test,4,6", "t1,test,4,5"))


def dropped_image(out: Path) -> None:
    the("predictions.csv", out).write_text(TEXT.replace("t1,test,4,6\n", ""))


def twice(out: Path) -> None:
    the("predictions.csv", out).write_text(TEXT.replace("t4,test", "t1,test"))


def no_table(out: Path) -> None:
    the("predictions.csv", out).write_text("id\n1\n")


def no_record(out: Path) -> None:
    the("record.json", out).write_text("{}")


def half_a_record(out: Path) -> None:
    path = the("record.json", out)
    path.write_bytes(path.read_bytes()[:500])


def folder_for_record(out: Path) -> None:
    path = the("record.json", out)
    path.unlink()
    path.mkdir()


def not_finite(out: Path) -> None:
    change(out, cost={"fit_seconds": float("nan")})


def of_a_later_version(out: Path) -> None:
    change(out, schema=99)


def elsewhere(out: Path) -> None:
    change(out, files={"../../leaderboard.csv": "0"})


def table(out: Path) -> None:
    path = out / "leaderboard.csv"
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    rows[1][rows[0].index("test_mse")] = "0.001"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def no_text(out: Path) -> None:
    (out / "leaderboard.csv").write_bytes(b"\xff\xfe\x00")


def column_gone(out: Path) -> None:
    path = out / "leaderboard.csv"
    path.write_text(path.read_text().replace("ensemble_test_mse", "other", 1))


def row_gone(out: Path) -> None:
    path = out / "leaderboard.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (better, "test_mse is 0.001 in the record, 0.01 by its predictions"),
        (other_seed, "is not that of what the record says was run"),
        (other_recipe, "is not that of what the record says was run"),
        (trained_before, "is not that of what the record says was run"),
        (hides_its_model, "weights are 'none', but initial is key='k'"),
        (moved, "its folder is 0123456789abcdef"),
        (bit, "model.safetensors has SHA-256"),
        (no_weights, "model.safetensors is missing"),
        (no_predictions, "predictions.csv is missing"),
        (prediction, "test_rmse of y is 1.0 in the record, 0.5 by its predictions"),
        (dropped_image, "3 test images, the record says 4"),
        (twice, "a test image twice"),
        (no_table, "no column 'split'"),
        (no_record, "not a record"),
        (half_a_record, "not a record"),
        (folder_for_record, "record.json: cannot be read"),
        (not_finite, "cost.fit_seconds: Input should be a finite number"),
        (of_a_later_version, "schema 99"),
        (elsewhere, "../../leaderboard.csv is outside of the run's folder"),
        (table, "row 1: test_mse is '0.001', the records give '0.01'"),
        (no_text, "leaderboard.csv: cannot be read"),
        (row_gone, "3 rows, the records give 4"),
        (column_gone, "leaderboard.csv: has no column ensemble_test_mse; `quadzoo report`"),
        (weaker_baseline, "test_mse of ridge-pixels is 0.5 in the record, 0.005 by baselines/ridge"),
        (weaker_val, "val_mse of ridge-pixels is 0.5 in the record, 0.02 by baselines/ridge"),
        (other_error_than_rmse, "test_mse of mean-of-train is 0.5 in the record, 0.01"),
        (other_r2, "test_r2 of y of mean-of-train is 0.1 in the record, -0."),
        (weaker_ridge, "baselines/ridge: val_mse is 0.2 in the record, 0.02 by its predictions"),
        (ridge_prediction, "baselines/ridge: test_mse is 0.005 in the record, 0.015 by its predictions"),
        (ridge_prediction, "baselines/ridge: predictions.csv has SHA-256"),
        (ridge_truth, "baselines/ridge: predictions.csv has other true values of image t4 than"),
        (ridge_gone, "baselines/ridge: predictions.csv cannot be read"),
        (no_ridge, "baselines/ridge: baseline.json is no record of a baseline"),
        (ridge_moved, "baselines/other: it is the record of ridge"),
        (leaks_denied, "split.leaked is 1, but at least 2 test images share a group with images outside of"),
        (not_called_leaky, "split.leaky is false, but split.leaked is 1"),
        (found_by_lookup, "split.leaked is 0, but pixel-lookup has another test MSE than mean-of-train"),
    ],
)
def test_what_does_not_match_is_named(tamper: Callable[[Path], None], told: str, results: Path) -> None:
    tamper(results)
    faults = [f"{fault.where}: {fault.text}" for fault in verify(results).faults]
    assert any(told in fault for fault in faults), faults


def test_published_without_weights(results: Path) -> None:
    no_weights(results)
    assert verify(results, weights=False).faults == []
    (next(results.glob("runs/*")) / "model.safetensors").write_bytes(b"Weights")
    assert verify(results, weights=False).faults


def test_failed_runs_have_nothing_to_recompute(results: Path) -> None:
    failed = record("?", None, seed=5, baselines=BASELINES)
    failed.key = failed.identity.key
    write_record(results, failed)
    (results / "leaderboard.csv").unlink()
    verdict = verify(results)
    assert verdict.faults == []
    assert (verdict.runs, verdict.ok) == (2, 1)


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
        ("net", "ensemble_test_mse", "ensemble_test_mse is '0.1', the records give '0.0125'"),
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
