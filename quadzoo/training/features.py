"""The features of a frozen backbone: computed once, read by every run that shares it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from quadzoo.data.cache import computed
from quadzoo.data.datamodule import ArrayFile
from quadzoo.executors.base import Send
from quadzoo.model.build import build_backbone, join
from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule
from quadzoo.model.weights import digest_of
from quadzoo.records.keys import hash_of
from quadzoo.registry import catalogue
from quadzoo.training.task import Placement, Task

_BATCH = 64


def frozen_features(task: Task, placement: Placement, module: RegressionModule, trainer: pl.Trainer) -> Path:
    """Return the ``.npy`` of float32 features (N, h, w, F) of all images, in their order.

    They are computed on the trainer's device and in its precision, with the backbone in evaluation mode.
    Runs whose backbones have the same weights share them, whatever their heads, seeds and folds.
    """
    ingredients = {**_ingredients(task, module), "precision": task.precision}
    blocks = partial(_blocks, placement.images, module, trainer)
    return computed(placement.images, task.data.n, hash_of(ingredients), blocks)


def pooled_features(work: tuple[Task, Placement], send: Send) -> None:
    """Child's side: send the path of an ``.npy`` of a backbone's features, float32 (N, F).

    They are averaged over (h, w). The backbone has its pretrained weights and runs in evaluation mode, in
    float32.
    """
    task, placement = work
    torch.set_num_threads(placement.threads)
    spec, image = catalogue.load().backbones[task.backbone].spec, task.identity.image
    backbone = build_backbone(spec, pretrained=True, in_channels=image.channels, image_size=image.size)
    module = join(spec, backbone, nn.Identity(), Recipe(freeze=True, frozen_features="raw"), image.channels)
    module.to("cuda" if placement.device.kind == "cuda" else "cpu").eval()
    ingredients = {"pooled": True, **_ingredients(task, module), "precision": "32"}

    def blocks() -> Iterator[np.ndarray]:
        with torch.inference_mode():
            for images in _batches(placement.images):
                yield module.features(images.to(module.device)).float().mean(dim=(2, 3)).cpu().numpy()

    send(computed(placement.images, task.data.n, hash_of(ingredients), blocks))


def _ingredients(task: Task, module: RegressionModule) -> dict[str, Any]:
    """Return what the features of a backbone depend on, beside images and precision."""
    return {
        "weights": digest_of(module.backbone.state_dict()),
        "backbone": task.identity.backbone.ingredients,
        "normalisation": [module.mean.flatten().tolist(), module.std.flatten().tolist()],
        "torch": torch.__version__,
    }


def _batches(images: Path) -> Iterator[Tensor]:
    """Yield all images of a file in order, uint8 (B, C, H, W)."""
    file = ArrayFile(images)
    for start in range(0, file.shape[0], _BATCH):
        yield file[torch.arange(start, min(start + _BATCH, file.shape[0]))].permute(0, 3, 1, 2)


def _blocks(images: Path, module: RegressionModule, trainer: pl.Trainer) -> Iterator[np.ndarray]:
    device = trainer.strategy.root_device
    module.to(device).eval()
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        for some in _batches(images):
            yield module.features(some.to(device)).float().permute(0, 2, 3, 1).cpu().numpy()
