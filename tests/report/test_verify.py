"""A results folder, tampered with."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quadzoo.records.record import Metrics, run_folder, sha256_of, write_record
from quadzoo.report.files import write_report
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from quadzoo.report.verify import verify
from tests.report.records import record

TEXT = "id,split,y,y_pred\nv1,val,2,3\nv2,val,5,5\nt1,test,4,6\nt2,test,5,5\nt3,test,6,6\nt4,test,7,7\n"
# Errors 1, 0 and 2, 0, 0, 0 on a range of 10.
SCORES = Metrics(val_mse=0.005, test_mse=0.01, test_rmse={"y": 1.0}, test_r2={"y": 0.2})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One finished run in which all is well, and its leaderboard."""
    one = record("?", 0.005, metrics=SCORES)
    one.key = one.identity.key
    folder = run_folder(tmp_path, one.key)
    folder.mkdir(parents=True)
    (folder / "predictions.csv").write_text(TEXT)
    (folder / "model.safetensors").write_bytes(b"weights")
    one.files = {name: sha256_of(folder / name) for name in ("predictions.csv", "model.safetensors")}
    write_record(tmp_path, one)
    found = read_runs([tmp_path])
    write_report(tmp_path, leaderboards(found.runs), found)
    return tmp_path


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
        (row_gone, "2 rows, the records give 3"),
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
    failed = record("?", None, seed=5)
    failed.key = failed.identity.key
    write_record(results, failed)
    (results / "leaderboard.csv").unlink()
    verdict = verify(results)
    assert verdict.faults == []
    assert (verdict.runs, verdict.ok) == (2, 1)
