"""Ridge regression as a row of every bench."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from quadzoo.data.cache import ImageSet
from quadzoo.data.fold import Fold
from quadzoo.data.geometry import Geometry, fit, shrunk, unenlarged
from quadzoo.data.splits import Split
from quadzoo.data.survey import Originals
from quadzoo.grid import ridge as module
from quadzoo.grid.ridge import ridge
from quadzoo.records.baseline import BaselineRecord, read_baseline

from ..conftest import Result
from ..runs import records

Call = Callable[..., Result]


def fold_of(targets: np.ndarray, n_train: int, n_val: int) -> Fold:
    n = len(targets)
    train, val, test = np.split(np.arange(n), [n_train, n_train + n_val])
    split = Split("grouped", 0, 1, train, val, test, 0, "S")
    ids = [f"i{row}" for row in range(n)]
    return Fold(ids, np.arange(n), None, targets, np.zeros((n, 32), np.uint8), split)


def made(n: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 12)) * np.arange(1, 13) + 5
    targets = features @ rng.normal(size=(12, 2)) + noise * rng.normal(size=(n, 2))
    return features, targets


def test_the_penalty_is_that_with_the_least_leave_one_out_error() -> None:
    features, targets = made(60, noise=40)
    fit = ridge(lambda rows: features[rows], fold_of(targets, 30, 15))
    mean, std = features[:30].mean(axis=0), features[:30].std(axis=0)
    scaled = (features - mean) / std
    for target, chosen in enumerate(fit.alphas):
        errors = {}
        for alpha in np.logspace(-2, 6, 17):
            left_out = []
            for out in range(30):
                rest = np.delete(np.arange(30), out)
                one = Ridge(alpha=alpha).fit(scaled[rest], targets[rest, target])
                left_out.append(float(one.predict(scaled[[out]])[0] - targets[out, target]) ** 2)
            errors[alpha] = np.mean(left_out)
        assert chosen == pytest.approx(min(errors, key=errors.__getitem__))
        best = Ridge(alpha=chosen).fit(scaled[:30], targets[:30, target])
        low, high = targets[:30, target].min(), targets[:30, target].max()
        assert fit.test[:, target] == pytest.approx(np.clip(best.predict(scaled[45:]), low, high))
        assert fit.val[:, target] == pytest.approx(np.clip(best.predict(scaled[30:45]), low, high))


def test_predictions_stay_in_the_range_of_train() -> None:
    features, targets = made(60, noise=0)
    features[50] *= 1000
    fit = ridge(lambda rows: features[rows], fold_of(targets, 30, 15))
    assert (fit.test >= targets[:30].min(axis=0)).all()
    assert (fit.test <= targets[:30].max(axis=0)).all()


def test_one_target_and_features_that_do_not_vary() -> None:
    features, targets = made(60, noise=0)
    features[:, 3] = 7
    fit = ridge(lambda rows: features[rows], fold_of(targets[:, :1], 40, 10))
    assert fit.test.shape == (10, 1)
    assert fit.alphas.shape == (1,)
    assert np.isfinite(fit.test).all()


def test_of_many_images_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets = made(300, noise=1)
    everything = ridge(lambda rows: features[rows], fold_of(targets, 200, 50))
    assert everything.n_fitted == 200
    monkeypatch.setattr("quadzoo.model.closed_form._MOST_FITTED", 100)
    some = ridge(lambda rows: features[rows], fold_of(targets, 200, 50))
    assert some.n_fitted == 100
    again = ridge(lambda rows: features[rows], fold_of(targets, 200, 50))
    assert (some.test == again.test).all()
    assert np.abs(some.test - everything.test).max() < 0.2 * targets.std()


def bench(discs: Path, out: Path, *flags: object) -> list[object]:
    return [
        "bench", "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius,x",
        "--id-column", "file", "--epochs", 1, "--backbones", "tiny_cnn",
        "--weights", "none", "--image-size", "32x48", "--out", out, *flags,
    ]  # fmt: skip


def baselines(out: Path) -> dict[str, BaselineRecord]:
    found = {}
    for path in (out / "baselines").iterdir():
        record = read_baseline(out, path.name)
        assert record
        found[f"{record.name} {record.split.fold}"] = record
    return found


def rows(out: Path) -> dict[str, dict[str, Any]]:
    board = json.loads((out / "leaderboard.json").read_text())
    return {row["backbone"]: row for row in board["rows"]}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists what is mapped")
def test_images_are_mapped_no_longer_than_they_are_read(tmp_path: Path) -> None:
    """The pages of a map count as the command's memory: in the end they would be all images."""
    path = tmp_path / "images.npy"
    np.save(path, np.arange(6 * 40 * 8, dtype=np.uint8).reshape(6, 40, 8, 1))
    rows = module._of_pixels(path, (40, 8))
    assert rows(np.array([4, 1])).shape == (2, 32 * 8)
    assert path.name not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(
    ("given", "sides", "expected"),
    [
        ({"size": (64, 64)}, ((8, 8), (8, 8)), (8, 8)),
        ({"size": (64, 64)}, ((8, 12), (8, 16)), (16, 16)),  # 12 x 16, enlarged 4 times onto a square
        ({"size": (64, 64), "max_scale": 2.0}, ((8, 8), (8, 8)), (32, 32)),
        ({"size": (64, 60), "resize": "stretch"}, ((8, 8), (20, 20)), (8, 20)),
        ({"size": (64, 64)}, ((100, 100), (90, 200)), (64, 64)),  # they were shrunk
        ({"size": (64, 64), "crop": (2, 2, 18, 18)}, ((20, 20), (20, 20)), (16, 16)),
    ],
)
def test_images_that_were_enlarged_are_read_at_their_own_size(
    given: dict[str, Any], sides: tuple[tuple[int, int], tuple[int, int]], expected: tuple[int, int]
) -> None:
    geometry = Geometry(**{"channels": 1, "crop": None, "max_scale": None, "fill": (0,), **given})
    images = ImageSet(Path(), geometry, np.empty((0, 32)), "", originals=Originals(*sides, (1,)))
    assert module._own_size(images) == expected
    assert module._own_size(replace(images, originals=None)) == geometry.size


@pytest.mark.parametrize("scale", [4, 5, 8])
def test_enlarging_is_undone(scale: int) -> None:
    """What a filter makes up beside steps from black to white is clipped, and no mean brings it back."""
    pixels = 255 * np.random.default_rng(0).integers(0, 2, (6, 8, 1), dtype=np.uint8)
    large = fit(pixels[..., 0], Geometry((6 * scale, 8 * scale), 1, None, None, (0,)))
    own = unenlarged(large, (6, 8)).reshape(6, 8).astype(float)
    mean = shrunk(large, (6, 8)).reshape(6, 8).astype(float)
    off, off_mean = (np.abs(one - pixels[..., 0]).mean() for one in (own, mean))
    assert off < 0.6 * off_mean
    assert off < 15


def test_every_bench_has_ridge_on_pixels(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    done = quadzoo(*bench(discs, tmp_path))
    assert done.status == 0, done.err
    (record,) = records(tmp_path)
    assert set(baselines(tmp_path)) == {"mean-of-train 0", "pixel-lookup 0", "ridge-pixels 0"}
    for name in ("mean-of-train", "pixel-lookup"):
        simple = baselines(tmp_path)[f"{name} 0"]
        assert simple.metrics.model_dump() == record["baselines"][name]
        answers = pd.read_csv(tmp_path / "baselines" / simple.key / "predictions.csv")
        assert answers["radius_pred"].nunique() == 1  # no image is there twice
    kept = baselines(tmp_path)["ridge-pixels 0"]
    assert kept.metrics.model_dump() == record["baselines"]["ridge-pixels"]
    row = rows(tmp_path)["ridge-pixels"]
    assert (row["head"], row["val_mse"]) == ("-", kept.metrics.val_mse)
    assert row["val_mse"] < 0.3 * rows(tmp_path)["mean-of-train"]["val_mse"]  # a disc's place is easy to read

    # Its predictions are a run's in form, and give its scores.
    table = pd.read_csv(tmp_path / "baselines" / kept.key / "predictions.csv")
    assert list(table.columns[:2]) == ["id", "split"]
    test = table[table["split"] == "test"]
    spread = [record["target_high"][i] - record["target_low"][i] for i in range(2)]
    errors = [((test[f"{t}_pred"] - test[t]) / s) ** 2 for t, s in zip(("radius", "x"), spread, strict=True)]
    assert kept.metrics.test_mse == pytest.approx(np.mean(errors))

    # Computed again by what scikit-learn calls ridge, from the images on disk.
    pixels = np.stack([
        cv2.resize(cv2.imread(str(discs / "photos" / f"disc {i:02d}.png"))[:, :, ::-1], (32, 32),
                   interpolation=cv2.INTER_AREA).reshape(-1)
        for i in range(60)
    ]).astype(float)  # fmt: skip
    truth = pd.read_csv(discs / "discs.csv").set_index("file")
    split = table.set_index("id")["split"]
    train = [i for i, name in enumerate(truth.index) if name not in split.index]
    assert (record["image"]["size"], record["image"]["crop"]) == ([32, 48], [0, 0, 32, 48])
    std = np.where(pixels[train].std(axis=0) > 0, pixels[train].std(axis=0), 1)
    scaled = (pixels - pixels[train].mean(axis=0)) / std
    for target in ("radius", "x"):
        one = Ridge(alpha=kept.alphas[target]).fit(scaled[train], truth[target].iloc[train])
        expected = pd.Series(one.predict(scaled), truth.index).loc[table["id"]]
        low, high = truth[target].iloc[train].min(), truth[target].iloc[train].max()
        assert table[f"{target}_pred"].to_numpy() == pytest.approx(
            expected.clip(low, high).to_numpy(), abs=1e-3
        )


def test_it_is_computed_once_and_for_each_fold(
    discs: Path, quadzoo: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = []
    monkeypatch.setattr(module, "ridge", lambda *given: fitted.append(1) or ridge(*given))
    assert quadzoo(*bench(discs, tmp_path, "--folds", 3)).status == 0
    assert len(fitted) == 3
    assert quadzoo(*bench(discs, tmp_path, "--folds", 3, "--seeds", "0,1")).status == 0
    assert len(fitted) == 3
    kept = baselines(tmp_path)
    names = ("mean-of-train", "pixel-lookup", "ridge-pixels")
    assert set(kept) == {f"{name} {fold}" for name in names for fold in range(3)}
    (tmp_path / "baselines" / kept["ridge-pixels 1"].key / "predictions.csv").write_text("")
    assert quadzoo(*bench(discs, tmp_path, "--folds", 3, "--seeds", "2")).status == 0
    assert len(fitted) == 4
    assert quadzoo(*bench(discs, tmp_path / "dry", "--dry-run")).status == 0
    assert not (tmp_path / "dry").exists()
