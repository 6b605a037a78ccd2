"""Results folders with rows to judge, and with baselines that they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from quadzoo.records.baseline import BaselineRecord, baseline_key, write_baseline
from quadzoo.records.record import Metrics, read_record, write_record
from quadzoo.report.answer import answers
from quadzoo.report.captions import captions
from quadzoo.report.rows import Leaderboard, Row
from tests.report.records import predict, record

N = 200  # test images


def row_of(
    out: Path, backbone: str, factor: float, *, seeds: Sequence[int] = (0, 1, 2), val: float | None = None,
    spread: float = 0.05, val_errors: bool = False, **columns: object,
) -> None:  # fmt: skip
    """Write runs whose errors are ``factor`` times those of a common pattern, with some noise."""
    hard = np.random.default_rng(0).normal(0, 1, N)
    for seed in seeds:
        noise = np.random.default_rng([seed, *backbone.encode()])
        errors = (hard + noise.normal(0, 0.3, N)) * factor * np.exp(noise.normal(0, spread))
        mse = float((errors**2).mean()) / 100
        key = f"{backbone}{seed}"
        write_record(out, record(key, mse if val is None else val, mse, backbone=backbone, seed=seed))
        predict(out, key, errors, val=errors[::-1] if val_errors else (), **columns)


def answer(out: Path, name: str, errors: np.ndarray, val: float) -> None:
    """Let a baseline of all records of a folder have these errors on the test images."""
    mse = float((errors**2).mean()) / 100
    metrics = Metrics(val_mse=val, test_mse=mse, test_rmse={"y": 10 * mse**0.5}, test_r2={"y": 0.1})
    keys = [path.name for path in (out / "runs").iterdir()]
    for key in keys:
        one = read_record(out, key)
        assert one
        one.baselines[name] = metrics
        write_record(out, one)
    table = pd.DataFrame({"id": [f"p{i}" for i in range(len(errors))], "split": "test", "y": 5.0})
    table["y_pred"] = 5.0 + errors
    key = baseline_key(name, one.data.hash, one.image, (one.split.hash, one.split.fold), one.loaded)
    baseline = BaselineRecord(
        key=key, name=name, data=one.data, split=one.split, targets=["y"], metrics=metrics,
        alphas={}, n_fitted=4, seconds=0.1, files={},
    )  # fmt: skip
    write_baseline(out, baseline, table.to_csv(index=False).encode())


def by_name(board: Leaderboard) -> dict[str, Row]:
    return {row.backbone: row for row in board.rows}


def texts(board: Leaderboard) -> str:
    return " ".join([*(caption.text for caption in captions(board)), *answers(board).values()])
