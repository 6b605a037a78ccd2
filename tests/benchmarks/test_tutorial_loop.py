from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch


def test_small(script: Callable[..., None], equations: Path, tmp_path: Path) -> None:
    script("tutorial_loop", "--data", equations, "--epochs", "2", "--limit", "32",
           "--to", tmp_path / "result.json")  # fmt: skip
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["epochs"] == len(result["val_history"]) == 2
    assert result["scores"]["val"]["mse"] == pytest.approx(min(result["val_history"]))
    assert result["train_images_per_second"] > 0


def test_images_are_scrambled_as_the_tutorial_does(equations: Path) -> None:
    """The reshape takes rows of H x W x C for planes: the first channel is the upper third, interleaved."""
    import cv2
    from tutorial_loop import ImageSet

    from quadzoo.data.sources import DataRequest, open_source

    source = open_source(DataRequest(str(equations)))
    image, target = ImageSet(source, np.array([3]), source.targets)[0]
    raw = cv2.resize(cv2.imread(str(source.path(3))), (100, 100))
    assert image.shape == (3, 100, 100)
    assert image.dtype == target.dtype == torch.float32
    assert image[0].flatten().tolist() == (1 - raw[:34].flatten()[:10_000] / 256).tolist()
    assert target.tolist() == source.targets[3].tolist()


def test_the_head_is_the_tutorials() -> None:
    from tutorial_loop import network

    layers = [type(layer).__name__ for layer in network().fc]
    assert layers == ["Linear", "LeakyReLU"] * 4 + ["Linear", "Linear"]
