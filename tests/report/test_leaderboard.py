"""Records to rows, on records made by hand."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quadzoo.records import Cost, Failure, Metrics, RunRecord, run_folder, write_record
from quadzoo.report.leaderboard import Leaderboard, leaderboard
from quadzoo.report.tables import to_csv, to_json, to_markdown


def record(key: str, val: float | None, test: float | None = None, **changes: Any) -> RunRecord:
    """A record of one target y in 0…10 and four test pictures, failed where ``val`` is None."""
    scores = Metrics(val_mse=0.09, test_mse=0.08, test_rmse={"y": 2.8}, test_r2={"y": 0.0})
    facts: dict[str, Any] = {
        "key": key,
        "combination": changes.get("backbone", "net"),
        "status": "failed" if val is None else "ok",
        "backbone": "net",
        "head": "mlp",
        "seed": 0,
        "weights": "none",
        "weights_note": "",
        "provenance": {},
        "data": {"name": "d", "hash": "D", "n": 10, "duplicates": 1},
        "image": {"size": [32, 64]},
        "split": {"name": "grouped", "hash": "S", "fold": 0, "folds": 1, "n_train": 4, "n_val": 2,
                  "n_test": 4, "leaked": 0, "leaky": False},
        "targets": ["y"],
        "target_low": [0],
        "target_high": [10],
        "target_integer": [False],
        "metrics": Metrics() if val is None else Metrics(
            val_mse=val, test_mse=test or val, test_rmse={"y": 10 * (test or val) ** 0.5}, test_r2={"y": 0.5}
        ),
        "baselines": {"mean-of-train": scores, "pixel-lookup": scores},
        "cost": Cost(params=7, fit_seconds=3.0),
        "recipe": {"epochs": 2},
        "precision": "32",
        "best_epoch": 1,
        "history": [],
        "environment": {"quadzoo": "0", "torch": "0", "python": "3", "device": "cpu", "device_name": "c",
                        "threads": 1, "plugins": {"quadzoo": "0"}, "libraries": {}},
        "files": {},
        "error": Failure(type="NonFiniteLoss", message="is nan | <b>", traceback="") if val is None else None,
        "started": datetime.now(UTC),
        "finished": datetime.now(UTC),
        **changes,
    }  # fmt: skip
    return RunRecord(**facts)


def board_of(out: Path, *records: RunRecord) -> Leaderboard:
    for one in records:
        write_record(out, one)
    board = leaderboard(out, "D", "S")
    assert board is not None
    return board


def predict(out: Path, key: str, errors: list[float]) -> None:
    rows = [{"id": f"p{i}", "split": "test", "y": 5.0, "y_pred": 5.0 + e} for i, e in enumerate(errors)]
    pd.DataFrame(rows).to_csv(run_folder(out, key) / "predictions.csv", index=False)


def test_sorted_by_val_never_by_test(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        record("1", 0.02, 0.001, backbone="lucky"),
        record("2", 0.01, 0.05, backbone="better"),
        record("3", 0.2, backbone="worse"),
        record("4", None, backbone="broken"),
    )
    assert [(row.rank, row.backbone) for row in board.rows] == [
        (1, "better"), (2, "lucky"), (3, "mean-of-train"), (3, "pixel-lookup"), (5, "worse"),
        (None, "broken"),
    ]  # fmt: skip
    assert board.failed == 1


def test_seeds_are_averaged(tmp_path: Path) -> None:
    board = board_of(
        tmp_path, record("1", 0.01, seed=0), record("2", 0.03, seed=1), record("3", None, seed=2)
    )
    row = board.rows[0]
    assert (row.seeds, row.failed) == (2, 1)
    assert row.val_mse == pytest.approx(0.02)
    assert row.test_rmse == pytest.approx({"y": 10 * 0.02**0.5})  # as the squares
    assert [(f.seed, f.error) for f in row.failures] == [(2, "NonFiniteLoss: is nan | <b>")]


def test_interval_covers_the_test_pictures(tmp_path: Path) -> None:
    first, second = record("1", 0.01, seed=0), record("2", 0.01, seed=1)
    for one in (first, second):
        write_record(tmp_path, one)
    rng = np.random.default_rng(1)
    base = rng.normal(0, 1, 300)
    predict(tmp_path, "1", (base + 0.3).tolist())
    predict(tmp_path, "2", (base - 0.3).tolist())
    row = board_of(tmp_path).rows[0]
    per_picture = ((base + 0.3) ** 2 + (base - 0.3) ** 2) / 2 / 100
    # the normal approximation of the same interval
    half = 1.96 * per_picture.std() / len(base) ** 0.5
    assert row.test_mse_low == pytest.approx(per_picture.mean() - half, rel=0.05)
    assert row.test_mse_high == pytest.approx(per_picture.mean() + half, rel=0.05)


def test_other_data_or_split_stays_out(tmp_path: Path) -> None:
    other = record("2", 0.01, backbone="other")
    other.data.hash = "X"
    board = board_of(tmp_path, record("1", 0.5), other)
    assert "other" not in [row.backbone for row in board.rows]
    assert leaderboard(tmp_path, "nothing", "S") is None


def test_same_records_same_bytes_and_text_stays_text(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.01, backbone="a|b<script>"))
    board = board_of(tmp_path, record("2", None, backbone="broken"))
    again = leaderboard(tmp_path, "D", "S")
    assert again is not None
    for write in (to_csv, to_markdown, to_json):
        assert write(board) == write(again)
    page = to_markdown(board)
    assert "a\\|b&lt;script>" in page
    assert "is nan \\| &lt;b>" in page
    rows = list(csv.DictReader(io.StringIO(to_csv(board))))
    assert rows[0]["params"] == "7"
    assert rows[-1]["rank"] == ""
    assert json.loads(to_json(board))["rows"][0]["backbone"] == "a|b<script>"
