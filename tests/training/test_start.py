"""What comes before training, by the real command line: ridge regression, standardised features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quadzoo.data.datamodule import DataModule
from quadzoo.data.splits import Split
from quadzoo.model.callbacks import BestWeights
from quadzoo.model.recipe import Recipe
from quadzoo.training.start import start_head

from ..conftest import Result
from ..model.nets import module, trainer
from ..runs import loaded, records

Call = Callable[..., Result]


def frozen(discs: Path, out: Path, *flags: object) -> list[object]:
    return [
        "bench", "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius,x",
        "--id-column", "file", "--image-size", "32x48", "--backbones", "tiny_cnn", "--out", out, *flags,
    ]  # fmt: skip


def test_a_ridge_head_is_fitted_and_nothing_is_trained(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = quadzoo(*frozen(discs, out, "--heads", "ridge", "--freeze"))
    assert done.status == 0, done.err
    (record,) = records(out)
    assert (record["history"], record["best_epoch"], record["found"]["epochs"]) == ([], 0, 0)
    assert record["cost"]["train_images_per_second"] is None
    baselines = {name: one["val_mse"] for name, one in record["baselines"].items()}
    assert record["metrics"]["val_mse"] < baselines["mean-of-train"]
    assert quadzoo("verify", out).status == 0
    # What is saved predicts from images what the run predicted from features.
    folder = out / "runs" / record["key"]
    model = loaded(discs, folder)
    again = quadzoo(*frozen(discs, tmp_path / "again")[:9], "--init", folder, "--epochs", 0,
                    "--out", tmp_path / "again")  # fmt: skip
    assert again.status == 0, again.err
    (tested,) = records(tmp_path / "again")
    assert tested["metrics"]["test_mse"] == pytest.approx(record["metrics"]["test_mse"], rel=1e-3)
    assert model.module.feature_mean is not None


def test_a_ridge_head_is_fitted_by_any_recipe(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for recipe in ("default", "first"):
        done = quadzoo(*frozen(discs, out, "--heads", "ridge", "--freeze", "--recipe", recipe))
        assert done.status == 0, done.err
    one, other = (record["metrics"]["val_mse"] for record in records(out))
    assert one == pytest.approx(other, rel=0.05)


def test_a_ridge_head_has_no_learning_rate(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    done = quadzoo(*frozen(discs, tmp_path / "out", "--heads", "mlp,ridge", "--freeze", "--tune", "lr:3"))
    assert done.status == 2
    assert done.err.strip() == (
        "quadzoo: error: --tune: ridge is fitted in closed form and has no learning rate; bench it without "
        "--tune"
    )
    assert not (tmp_path / "out").exists()


def test_a_ridge_head_needs_a_frozen_backbone(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    done = quadzoo(*frozen(discs, tmp_path / "out", "--heads", "mlp,ridge"))
    assert done.status == 2
    assert done.err.strip() == (
        "quadzoo: error: --heads ridge is fitted in closed form to frozen features; add --freeze, or choose "
        "another"
    )
    assert not (tmp_path / "out").exists()


def test_frozen_heads_get_standardised_features(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    """Whatever the scale of a backbone's features: they learn more than the mean."""
    out = tmp_path / "out"
    done = quadzoo(*frozen(discs, out, "--heads", "linear,mlp,skip", "--freeze", "--epochs", 300))
    assert done.status == 0, done.err
    for record in records(out):
        assert record["metrics"]["val_mse"] < record["baselines"]["mean-of-train"]["val_mse"]


@pytest.mark.parametrize("weights", ["none", "pretrained"])
@pytest.mark.parametrize("recipe", [Recipe(), Recipe(freeze=True)], ids=["trained", "frozen"])
def test_training_begins_in_training_mode(weights: str, recipe: Recipe, tmp_path: Path) -> None:
    """Lightning leaves the mode as it is; in evaluation mode a network with batch norm learns nothing."""
    np.save(tmp_path / "inputs.npy", np.ones((8, 4, 4, 1), np.float32 if recipe.freeze else np.uint8))
    rows = np.arange(8)
    data = DataModule(
        tmp_path / "inputs.npy", np.ones((8, 1)), Split("x", 0, 1, rows[:4], rows[4:6], rows[6:], 0, ""), 2, 0
    )
    task: Any = SimpleNamespace(recipe=recipe, identity=SimpleNamespace(weights=weights))
    model = module()
    start_head(task, model, data, trainer(), BestWeights())
    assert all(part.training for part in model.modules())
