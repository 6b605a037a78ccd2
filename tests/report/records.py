"""Records made by hand, and results folders of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from quadzoo.records.record import (
    Cost,
    Failure,
    Metrics,
    RunRecord,
    read_record,
    run_folder,
    write_record,
)
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from quadzoo.report.rows import Leaderboard


def record(key: str, val: float | None, test: float | None = None, **changes: Any) -> RunRecord:
    """A record of one target y in 0…10 and four test images, failed where ``val`` is None."""
    scores = Metrics(val_mse=0.09, test_mse=0.08, test_rmse={"y": 2.8}, test_r2={"y": 0.0})
    facts: dict[str, Any] = {
        "key": key,
        "status": "failed" if val is None else "ok",
        "backbone": "net",
        "head": "mlp",
        "seed": 0,
        "weights": "none",
        "weights_note": "",
        "provenance": {
            kind: {"name": changes.get(kind, name), "distribution": "d", "version": "1"}
            for kind, name in (("backbone", "net"), ("head", "mlp"))
        },
        "data": {"name": "d", "hash": "D", "n": 10, "duplicates": 1},
        "image": {"size": [32, 64], "channels": 1, "crop": None, "max_scale": None, "fill": [255, 255, 255],
                  "resize": "letterbox"},
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
    """The only leaderboard of a folder, after the records were written there."""
    for one in records:
        write_record(out, one)
    results = read_runs([out])
    (board,) = leaderboards(results.runs, results.unreadable, results.answers)
    return board


def fitting(one: RunRecord) -> RunRecord:
    """A record whose data have as many images as its split needs, and its split as many folds."""
    split = one.split
    one.data.n = max(one.data.n, split.n_train, split.n_val, split.n_test)
    split.folds = max(split.folds, split.fold + 1)
    return one


def predict(
    out: Path,
    key: str,
    errors: Sequence[float] | np.ndarray,
    *,
    val: Sequence[float] | np.ndarray = (),
    **columns: Any,
) -> None:
    """Write predictions.csv: test images p0, p1, … of target y, 5, that are ``errors`` off; count them.

    ``val`` are the errors of val images v0, v1, …
    """
    one = read_record(out, key)
    assert one
    one.split.n_test, one.split.n_val = len(errors), len(val) or one.split.n_val
    write_record(out, fitting(one))
    ids = [f"v{i}" for i in range(len(val))] + [f"p{i}" for i in range(len(errors))]
    table = pd.DataFrame({"id": ids, "split": ["val"] * len(val) + ["test"] * len(errors), "y": 5.0})
    table["y_pred"] = 5.0 + np.concatenate([val, errors])
    table.assign(**columns).to_csv(run_folder(out, key) / "predictions.csv", index=False)


SIZES = {0.25: 100, 0.5: 200, 1.0: 400}


def of_share(key: str, val: float | None, share: float, **changes: Any) -> RunRecord:
    """A record of a share of 400 training images, with baselines of its own."""
    one = record(key, val, **changes)
    one.split.n_train, one.split.train_share = SIZES[share], share
    if share < 1:
        one.split.hash, one.split.whole_hash = f"S{share}", "S"
    one.baselines["ridge-pixels"] = Metrics(
        val_mse=0.05 / share, test_mse=0.05 / share, test_rmse={"y": 1.0}, test_r2={"y": 0.0}
    )
    return fitting(one)


def write_shares(
    out: Path,
    *,
    backbone: str = "net",
    exponent: float = 0.5,
    seeds: int = 3,
    shares: Sequence[float] = tuple(SIZES),
    spread: float = 0.05,
) -> None:
    """Write runs whose errors fall by a power law, and their predictions of 60 test images."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0, 1, 60)
    for share in shares:
        for seed in range(seeds):
            key = f"{''.join(filter(str.isalnum, backbone))}-{share}-{seed}"
            factor = (SIZES[share] / 400) ** (-exponent / 2) * np.exp(rng.normal(0, spread / 2))
            errors = difficulty * factor
            mse = float((errors**2).mean()) / 100
            write_record(out, of_share(key, mse, share, backbone=backbone, seed=seed))
            predict(out, key, errors)
