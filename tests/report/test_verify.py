"""A results folder, tampered with."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from quadzoo.records.record import write_record
from quadzoo.report.verify import verify
from tests.report.records import record
from tests.report.tampering import (
    BASELINES,
    RIDGE_KEY,
    SCORES,
    TEXT,
    add_run,
    change,
    change_baseline,
    change_split,
    finished,
    the,
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One finished run in which all is well, a baseline, and the leaderboard."""
    return finished(tmp_path)


def test_all_is_well(results: Path) -> None:
    verdict = verify(results)
    assert verdict.faults == []
    assert (verdict.runs, verdict.ok, verdict.files) == (1, 1, 2)


def weaker_baseline(out: Path) -> None:
    change_baseline(out, "ridge-pixels", test_mse=0.5, test_rmse={"y": 50**0.5}, test_r2={"y": -39.0})


def weaker_val(out: Path) -> None:
    change_baseline(out, "ridge-pixels", val_mse=0.5)


def other_error_than_rmse(out: Path) -> None:
    change_baseline(out, "mean-of-train", test_mse=0.5)


def other_r2(out: Path) -> None:
    change_baseline(out, "mean-of-train", test_r2={"y": 0.1})


def weaker_ridge(out: Path) -> None:
    path = out / "baselines" / RIDGE_KEY / "baseline.json"
    path.write_text(path.read_text().replace('"val_mse": 0.02', '"val_mse": 0.2'))


def ridge_prediction(out: Path) -> None:
    path = out / "baselines" / RIDGE_KEY / "predictions.csv"
    path.write_text(path.read_text().replace("t4,test,7,7", "t4,test,7,9"))


def ridge_truth(out: Path) -> None:
    path = out / "baselines" / RIDGE_KEY / "predictions.csv"
    path.write_text(path.read_text().replace("t4,test,7,7", "t4,test,9,9"))


def ridge_gone(out: Path) -> None:
    (out / "baselines" / RIDGE_KEY / "predictions.csv").unlink()


def no_ridge(out: Path) -> None:
    (out / "baselines" / RIDGE_KEY / "baseline.json").write_text("{}")


def ridge_moved(out: Path) -> None:
    (out / "baselines" / RIDGE_KEY).rename(out / "baselines" / "other")


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
    change(out, files={"../../leaderboard.csv": "0" * 64})


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
        (elsewhere, "files.../../leaderboard.csv.[key]: String should match pattern"),
        (table, "row 1: test_mse is '0.001', the records give '0.01'"),
        (no_text, "leaderboard.csv: cannot be read"),
        (row_gone, "3 rows, the records give 4"),
        (column_gone, "leaderboard.csv: has no column ensemble_test_mse; `quadzoo report`"),
        (
            weaker_baseline,
            "test_mse of ridge-pixels is 0.5 in the record, 0.005 by baselines/6da6",
        ),
        (weaker_val, "val_mse of ridge-pixels is 0.5 in the record, 0.02 by baselines/6da69d916c03bdb6"),
        (other_error_than_rmse, "test_mse of mean-of-train is 0.5 in the record, 0.01"),
        (other_r2, "test_r2 of y of mean-of-train is 0.1 in the record, -0."),
        (weaker_ridge, "baselines/6da69d916c03bdb6: val_mse is 0.2 in the record, 0.02 by its predictions"),
        (
            ridge_prediction,
            "baselines/6da69d916c03bdb6: test_mse is 0.005 in the record, 0.015 by its",
        ),
        (ridge_prediction, "baselines/6da69d916c03bdb6: predictions.csv has SHA-256"),
        (ridge_truth, "baselines/6da69d916c03bdb6: predictions.csv has other true values of image t4 than"),
        (ridge_gone, "baselines/6da69d916c03bdb6: predictions.csv cannot be read"),
        (no_ridge, "baselines/6da69d916c03bdb6: baseline.json is no record of a baseline"),
        (ridge_moved, "baselines/other: it is the record of 6da69d916c03bdb6"),
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
    failed = record("0", None, seed=5, baselines=BASELINES)
    failed.key = failed.identity.key
    write_record(results, failed)
    for path in results.glob("leaderboard.*"):
        path.unlink()
    verdict = verify(results)
    assert verdict.faults == []
    assert (verdict.runs, verdict.ok) == (2, 1)


def test_of_a_damaged_file_the_others_are_not_blamed(tmp_path: Path) -> None:
    """The first run of a fold is what the others are compared with: not one whose file was changed."""
    for backbone in "abc":
        add_run(tmp_path, backbone=backbone)
    first = min(path.name for path in (tmp_path / "runs").iterdir())
    path = tmp_path / "runs" / first / "predictions.csv"
    path.write_text(path.read_text().replace("t4", "t9"))
    assert {one.where for one in verify(tmp_path).faults} == {first}
