"""Scores of several folds as one; `test_captions.py` has folds without predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quadzoo.records.record import Metrics, write_record
from tests.report.judged import by_name
from tests.report.records import board_of, predict, record

TRUTHS = np.array([1.0, 2.0, 3.0]), np.array([6.0, 7.0, 9.0, 9.0])
ERRORS = np.array([0.5, -1.0, 0.2]), np.array([1.5, 0.1, -0.4, 0.3])


def test_r2_of_folds_is_around_the_mean_of_all_tested_images(tmp_path: Path) -> None:
    for fold, (truth, error) in enumerate(zip(TRUTHS, ERRORS, strict=True)):
        mse = float((error**2).mean())
        r2 = 1 - mse / truth.var()
        metrics = Metrics(val_mse=0.1, test_mse=mse / 100, test_rmse={"y": mse**0.5}, test_r2={"y": r2})
        one = record(str(fold), 0.1, metrics=metrics, baselines={"mean-of-train": metrics})
        one.split.fold, one.split.folds = fold, 2
        write_record(tmp_path, one)
        ids = [f"{fold}-{n}" for n in range(len(truth))]
        predict(tmp_path, str(fold), error, id=ids, y=truth, y_pred=truth + error)
    truth, error = np.concatenate(TRUTHS), np.concatenate(ERRORS)
    pooled = 1 - (error**2).sum() / ((truth - truth.mean()) ** 2).sum()
    rows = by_name(board_of(tmp_path))
    # Of a baseline no predictions are kept: the runs tell how the truth varies.
    for name in ("net", "mean-of-train"):
        assert (rows[name].test_r2 or {})["y"] == pytest.approx(pooled)
