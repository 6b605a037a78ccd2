"""What makes training fast changes nothing that is learnt, and what it needs is asked for first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from quadzoo.data.cache import prepare
from quadzoo.data.sources import DataRequest, open_source
from quadzoo.data.splits import make_splits
from quadzoo.model.recipe import Recipe
from quadzoo.registry import catalogue
from quadzoo.targets import scale, target_info

from ..conftest import Result
from ..runs import records

Call = Callable[..., Result]
EPOCHS, BATCH, LR = 18, 128, 2e-4  # one batch an epoch, so that order does not matter


def plain_curve(folder: Path) -> list[float]:
    """The train MSE of each epoch, by a loop as a textbook has it: float32, no cache, nothing fused."""
    recipe, spec = Recipe(lr=LR), catalogue.load().backbones["tiny_cnn"].spec
    source = open_source(DataRequest(str(folder)))
    decoded = prepare(source, "24x64")
    (split,) = make_splits("grouped", source.ids, decoded.content_ids)
    info = target_info(source.target_names, source.targets[split.train], source.low, source.high)
    mean, std = np.mean(spec.mean), np.mean(spec.std)
    pixels = np.load(decoded.file)[split.train].transpose(0, 3, 1, 2)
    images = torch.tensor((pixels / 255 - mean) / std, dtype=torch.float32)
    targets = torch.tensor(scale(source.targets, info)[split.train], dtype=torch.float32)

    torch.manual_seed(0)
    backbone = spec.build(pretrained=False, in_channels=1, image_size=decoded.geometry.size)
    head = catalogue.load().heads["mlp"].spec.build(num_features=backbone.num_features, targets=info)
    net = nn.Sequential(backbone, head)
    decayed = [p for p in net.parameters() if p.ndim > 1]
    spared = [p for p in net.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed}, {"params": spared, "weight_decay": 0}], recipe.lr,
        weight_decay=recipe.weight_decay,
    )  # fmt: skip
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, total_steps=EPOCHS, pct_start=recipe.warmup
    )
    curve = []
    for _ in range(EPOCHS):
        loss = (net(images) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), recipe.gradient_clip)
        optimizer.step()
        cycle.step()
        curve.append(float(loss.detach()))
    return curve


def curve(call: Call, folder: Path, out: Path, *flags: object) -> list[float]:
    """The train MSE of each epoch, by quadzoo."""
    done = call(
        "bench", "--recipe", "first", "--backbones", "tiny_cnn", "--weights", "none", "--augment", "none",
        "--data", folder,
        "--image-size", "24x64", "--batch-size", BATCH, "--epochs", EPOCHS, "--lr", LR, "--out", out, *flags,
    )  # fmt: skip
    assert done.status == 0, done.err
    (record,) = records(out)
    assert record["environment"]["compiled"] == ("kernels" if "--compile" in flags else "no")
    return [epoch["train_mse"] for epoch in record["history"]]


@pytest.mark.parametrize(("precision", "tolerance"), [("32", 0.02), ("bf16", 0.25)])
def test_the_loss_curve_is_that_of_a_plain_loop(
    equations: Path, quadzoo: Call, tmp_path: Path, precision: str, tolerance: float
) -> None:
    plain = plain_curve(equations)
    assert plain[-1] < plain[0] / 2
    ours = curve(quadzoo, equations, tmp_path, "--precision", precision)
    assert ours == pytest.approx(plain, rel=tolerance)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch compiles with g++")
def test_what_is_compiled_learns_the_same(
    equations: Path, quadzoo_process: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    flags = ["--precision", "32", "--device", "cpu"]
    compiled = curve(quadzoo_process, equations, tmp_path / "compiled", *flags, "--compile")
    assert compiled == pytest.approx(plain_curve(equations), rel=0.02)
    # Trying whether torch can compile leaves 7.
    assert len(list((tmp_path / "kernels").rglob("*.so"))) > 10


def test_without_a_compiler_nothing_begins(
    equations: Path, quadzoo_process: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nowhere/compiler")
    done = quadzoo_process(
        "bench", "--compile", "--backbones", "tiny_cnn", "--weights", "none", "--data", equations, "--device",
        "cpu", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.status == 2
    (line,) = done.err.strip().splitlines()
    assert line.startswith("quadzoo: error: --compile: torch cannot compile for ")
    assert "/nowhere/compiler" in line
    assert not (tmp_path / "out").exists()
