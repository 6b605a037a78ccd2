"""Each target's RMSE, MAE and R² are logged in original units, beside the MSE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from quadzoo.data.datamodule import DataModule
from quadzoo.data.splits import Split
from quadzoo.errors import DataError
from quadzoo.metrics import evaluate
from quadzoo.model.callbacks import Predictions
from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule
from quadzoo.model.scores import TargetScores
from quadzoo.targets import TargetInfo, scale, target_info, unscale
from tests.model.nets import Line, Mean, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")

NAMES = ("age", "year", "fixed")


def made(folder: Path, n: int = 30) -> tuple[np.ndarray, TargetInfo, DataModule]:
    """Return targets (n, 3) in original units, one of which is the same in val, and their data."""
    rng, rows = np.random.default_rng(0), np.arange(n)
    np.save(folder / "p.npy", rng.integers(0, 256, (n, 8, 8, 1), dtype=np.uint8))
    values = np.column_stack([rng.uniform(0, 90, n), rng.integers(1990, 2021, n), np.repeat(7.0, n)])
    values[0, 2] = 9.0
    info = target_info(NAMES, values[: n // 2], None, None)
    split = Split("x", 0, 1, rows[: n // 2], rows[n // 2 : n // 2 + 7], rows[n // 2 + 7 :], 0, "")
    return values, info, DataModule(folder / "p.npy", scale(values, info), split, 4, seed=0)


def logged(
    data: DataModule, targets: Any, *callbacks: pl.Callback
) -> tuple[RegressionModule, dict[str, float]]:
    torch.manual_seed(0)
    module = RegressionModule(Mean(), Line(3), Recipe(), [0.0], [1.0], targets=targets)
    (scores,) = trainer(*callbacks).validate(module, datamodule=data, verbose=False)
    return module, dict(scores)


def test_they_are_those_of_the_report(tmp_path: Path) -> None:
    values, info, data = made(tmp_path)
    predictions = Predictions()
    module, scores = logged(data, info, predictions)
    prediction, truth = unscale(predictions.take(), info), values[data.split.val]
    expected = evaluate(prediction, truth, names=NAMES, low=info.low, high=info.high, integer=info.integer)
    assert scores["val_mse"] == pytest.approx(expected["mse"], rel=1e-5)
    for index, name in enumerate(NAMES):
        assert scores[f"val_rmse/{name}"] == pytest.approx(expected["rmse"][name], rel=1e-5)
        mae = np.abs(prediction - truth).mean(axis=0)[index]
        assert scores[f"val_mae/{name}"] == pytest.approx(mae, rel=1e-5)
        if expected["r2"][name] is None:
            assert f"val_r2/{name}" not in scores
        else:
            assert scores[f"val_r2/{name}"] == pytest.approx(expected["r2"][name], rel=1e-4)
    assert expected["r2"]["fixed"] is None
    (tested,) = trainer().test(module, datamodule=data, verbose=False)
    assert {name.replace("test_", "val_") for name in tested} == set(scores)


def test_without_names_they_are_numbered_and_in_the_scaled_unit(tmp_path: Path) -> None:
    _, info, data = made(tmp_path)
    (_, named), (_, numbered) = logged(data, info), logged(data, None)
    assert numbered["val_mse"] == named["val_mse"]
    for index, name in enumerate(NAMES):
        span = info.high[index] - info.low[index]
        assert numbered[f"val_rmse/target_{index}"] * span == pytest.approx(named[f"val_rmse/{name}"])


def test_what_one_image_cannot_say_is_left_out(tmp_path: Path) -> None:
    _, info, data = made(tmp_path)
    data.split = Split("x", 0, 1, np.arange(15), np.array([20]), np.array([21]), 0, "")
    _, scores = logged(data, info)
    assert set(scores) == {"val_mse", *(f"val_{kind}/{name}" for kind in ("rmse", "mae") for name in NAMES)}


def test_targets_of_another_number_are_refused(tmp_path: Path) -> None:
    data = made(tmp_path)[2]
    other = TargetInfo(names=("a",), low=(0.0,), high=(1.0,), integer=(False,))
    with pytest.raises(DataError, match="the data has 3 targets, but TargetInfo names 1"):
        logged(data, other)


def test_a_single_target(tmp_path: Path) -> None:
    scores = TargetScores(1, None)
    scores.update(torch.tensor([[0.0], [0.5]]), torch.tensor([[0.0], [1.0]]))
    found = {name: float(value) for name, value in scores.compute().items()}
    assert found == pytest.approx({"rmse/target_0": 0.125**0.5, "mae/target_0": 0.25, "r2/target_0": 0.5})
    scores.reset()
    scores.update(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [1.0]]))
    assert float(scores.compute()["r2/target_0"]) == 1.0


def test_targets_that_are_missing_are_left_out(tmp_path: Path) -> None:
    values, info, _ = made(tmp_path)
    values[17, 0] = values[16:20, 1] = np.nan
    _, _, whole = made(tmp_path)
    data = DataModule(tmp_path / "p.npy", scale(values, info), whole.split, 4, seed=0)
    predictions = Predictions()
    module, scores = logged(data, info, predictions)
    prediction, truth = unscale(predictions.take(), info), values[data.split.val]
    expected = evaluate(prediction, truth, names=NAMES, low=info.low, high=info.high, integer=info.integer)
    assert scores["val_mse"] == pytest.approx(expected["mse"], rel=1e-5)
    for index, name in enumerate(NAMES):
        assert scores[f"val_rmse/{name}"] == pytest.approx(expected["rmse"][name], rel=1e-5)
        error = np.nanmean(np.abs(prediction - truth)[:, index])
        assert scores[f"val_mae/{name}"] == pytest.approx(error, rel=1e-5)
    assert scores["val_r2/age"] == pytest.approx(expected["r2"]["age"], rel=1e-4)
    assert "val_r2/fixed" not in scores
    (again,) = trainer().validate(module, datamodule=whole, verbose=False)  # with all targets, as before
    assert again["val_mse"] == pytest.approx(logged(whole, info)[1]["val_mse"], rel=1e-6)
    assert again["val_mse"] != pytest.approx(scores["val_mse"], rel=1e-3)
