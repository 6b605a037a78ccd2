"""A results folder in which all is well, for tests that tamper with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quadzoo.records.baseline import BaselineRecord, baseline_key, write_baseline
from quadzoo.records.record import Metrics, RunRecord, run_folder, sha256_of, write_record
from quadzoo.report.files import write_report
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from tests.report.records import record

TEXT = "id,split,y,y_pred\nv1,val,2,3\nv2,val,5,5\nt1,test,4,6\nt2,test,5,5\nt3,test,6,6\nt4,test,7,7\n"
# Errors 1, 0 and 2, 0, 0, 0 on a range of 10.
SCORES = Metrics(val_mse=0.005, test_mse=0.01, test_rmse={"y": 1.0}, test_r2={"y": 0.2})
# Always 5: errors 3, 0 on val and 1, 0, 1, 2 on test.
MEAN = Metrics(val_mse=0.045, test_mse=0.015, test_rmse={"y": 1.5**0.5}, test_r2={"y": -0.2})
RIDGE_KEY = "6da69d916c03bdb6"
RIDGE_TEXT = "id,split,y,y_pred\nv1,val,2,4\nv2,val,5,5\nt1,test,4,5\nt2,test,5,5\nt3,test,6,5\nt4,test,7,7\n"
RIDGE = Metrics(val_mse=0.02, test_mse=0.005, test_rmse={"y": 0.5**0.5}, test_r2={"y": 0.6})
BASELINES = {"mean-of-train": MEAN, "pixel-lookup": MEAN, "ridge-pixels": RIDGE}


def finished(tmp_path: Path) -> Path:
    """Write one finished run in which all is well, a baseline, and the leaderboard."""
    one = add_run(tmp_path)
    place = one.split.hash, one.split.fold
    assert baseline_key("ridge-pixels", one.data.hash, one.image, place) == RIDGE_KEY
    baseline = BaselineRecord(
        key=RIDGE_KEY, name="ridge-pixels", data=one.data, split=one.split, targets=["y"], metrics=RIDGE,
        alphas={"y": 1.0}, n_fitted=4, seconds=0.1, files={},
    )  # fmt: skip
    write_baseline(tmp_path, baseline, RIDGE_TEXT.encode())
    report(tmp_path)
    return tmp_path


def add_run(out: Path, text: str = TEXT, **changes: Any) -> RunRecord:
    """Write a finished run with these predictions."""
    one = record("0", 0.005, **{"metrics": SCORES, "baselines": BASELINES, **changes})
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


def change_baseline(out: Path, name: str, **changes: Any) -> None:
    """Change scores of a baseline in the record of the run."""
    given = json.loads(the("record.json", out).read_text())["baselines"]
    given[name] |= changes
    change(out, baselines=given)


def change_split(out: Path, **changes: Any) -> None:
    given = json.loads(the("record.json", out).read_text())["split"]
    change(out, split={**given, **changes})
