"""`--freeze`, by the real command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from quadzoo.model.recipe import Recipe
from quadzoo.targets import unscale

from ..conftest import Result
from ..runs import loaded, records

Call = Callable[..., Result]


def frozen(discs: Path, *flags: object) -> list[object]:
    return [
        "bench", "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius,x",
        "--id-column", "file", "--image-size", "32x48", "--freeze", *flags,
    ]  # fmt: skip


def state(out: Path, key: str) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(out / "runs" / key / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], part: str) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one if name.startswith(part))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that nobody else fills, for processes that begin now."""
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


def test_all_heads_and_seeds_share_one_frozen_backbone(
    discs: Path, quadzoo_process: Call, own_cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = quadzoo_process(
        *frozen(discs, "--backbones", "tiny_cnn", "--heads", "mlp,linear", "--seeds", "0,1", "--epochs", 2,
                "--weights", "none", "--jobs", 2, "--out", out)
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "warning: --freeze: tiny_cnn is randomly initialised (weights: as asked for)" in done.err
    (features,) = (path for path in own_cache.glob("*.npy") if path.stem.count(".") == 1)
    assert np.load(features).dtype == np.float32
    assert len(np.load(features)) == 60

    found = records(out)
    assert [(one["recipe"]["freeze"], one["recipe"]["augment"]) for one in found] == [(True, "none")] * 4
    first, *others = (state(out, one["key"]) for one in found)
    assert all(same(first, other, "backbone.") for other in others)
    # Heads that are trained differ by their seeds; the closed form of `linear` does not depend on them.
    mlps = [state(out, one["key"]) for one in found if one["head"] == "mlp"]
    assert not same(mlps[0], mlps[1], "head.")

    table = pd.read_csv(out / "leaderboard.csv")
    assert table.set_index("head")["frozen"].to_dict() == {"mlp": True, "linear": True, "-": False}
    board = json.loads((out / "leaderboard.json").read_text())
    command = next(row["command"] for row in board["rows"] if row["head"] == "linear")
    assert command.endswith("--freeze --weights none --precision " + found[0]["precision"])
    assert "weights none, frozen" in (out / "leaderboard.md").read_text()
    assert quadzoo_process("verify", out).status == 0

    size = json.loads(quadzoo_process("data", "cache", "--json").out)["contents"][0]["bytes"]
    assert size > features.stat().st_size
    assert quadzoo_process("data", "cache", "--clear").status == 0
    assert not features.exists()


def test_what_is_saved_reads_images_as_it_read_features(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    done = quadzoo(
        *frozen(discs, "--backbones", "resnet18", "--heads", "spatial", "--epochs", 20, "--weights", "none",
                "--precision", 32, "--out", tmp_path)
    )  # fmt: skip
    assert done.status == 0, done.err
    (record,) = records(tmp_path)
    told = pd.read_csv(tmp_path / "runs" / record["key"] / "predictions.csv").set_index("id")
    model = loaded(discs, tmp_path / "runs" / record["key"])
    images = torch.from_numpy(model.images).permute(0, 3, 1, 2)
    with torch.inference_mode():
        prediction = unscale(model.module.predict(images).double().numpy(), model.task.unit)
    read = pd.DataFrame(prediction, index=model.fold.ids, columns=["radius_pred", "x_pred"])
    assert np.allclose(read.loc[told.index], told[["radius_pred", "x_pred"]], atol=1e-3)
    assert told["x_pred"].std() > 0.01


def test_a_trained_backbone_stays_as_it_is(discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    trained, tuned = tmp_path / "trained", tmp_path / "tuned"
    assert quadzoo(*(flag for flag in frozen(
        discs, "--backbones", "tiny_cnn", "--epochs", 1, "--weights", "none", "--out", trained
    ) if flag != "--freeze")).status == 0  # fmt: skip
    (before,) = records(trained)
    done = quadzoo(*frozen(discs, "--init", trained / "runs" / before["key"], "--epochs", 2, "--out", tuned))
    assert done.status == 0, done.err
    assert "randomly initialised" not in done.err
    (after,) = records(tuned)
    old, new = state(trained, before["key"]), state(tuned, after["key"])
    assert same(old, new, "backbone.")
    assert not same(old, new, "head.")
    assert after["history"][1] != after["history"][0]


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--augment", "photo"], "--augment photo: --freeze computes features once"),
        (["--init", "reader-equations", "--epochs", "0"], "--freeze: --epochs 0 trains nothing anyway"),
    ],
)
def test_what_cannot_be_frozen(
    discs: Path, quadzoo: Call, tmp_path: Path, flags: list[str], line: str
) -> None:
    refused = quadzoo(*frozen(discs, *flags, "--out", tmp_path / "out"))
    assert refused.status == 2
    assert line in refused.error
    assert not (tmp_path / "out").exists()


def test_not_augmenting_may_be_asked_for() -> None:
    assert Recipe(freeze=True, augment="none") == Recipe(freeze=True)
