"""The features of a frozen backbone: computed once, read by every run that shares it."""

from __future__ import annotations

import math
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
from quadzoo.data.fold import Fold
from quadzoo.executors.base import Send
from quadzoo.model.build import Further, join
from quadzoo.model.kernels import use_kernels_for
from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule
from quadzoo.model.weights import digest_of
from quadzoo.records.keys import hash_of
from quadzoo.registry import catalogue
from quadzoo.training.backbone import started_backbone
from quadzoo.training.device import take
from quadzoo.training.task import Placement, Task

_BATCH = 64
_SAMPLE = 512  # training images
_LEAST_STD = 1e-6  # of a band; below it is constant


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

    They are averaged over (h, w). The backbone has the weights it starts from and runs in evaluation mode, in
    float32.
    """
    task, placement = work
    take(placement.device)
    use_kernels_for(task.pixels)
    torch.set_num_threads(placement.threads)
    spec, image = catalogue.load().backbones[task.backbone].spec, task.identity.image
    backbone = started_backbone(spec, task, placement)
    recipe, further = Recipe(freeze=True, frozen_features="raw"), further_bands(placement, image.channels)
    module = join(spec, backbone, nn.Identity(), recipe, image.channels, further=further)
    module.to(placement.device.kind).eval()
    ingredients = {"pooled": True, **_ingredients(task, module), "precision": "32"}

    def blocks() -> Iterator[np.ndarray]:
        with torch.inference_mode():
            for images in _batches(placement.images):
                yield module.features(images.to(module.device)).float().mean(dim=(2, 3)).cpu().numpy()

    send(computed(placement.images, task.data.n, hash_of(ingredients), blocks))


def further_bands(placement: Placement, channels: int) -> Further | None:
    """Return mean and std in 0 to 1 of each band beyond the third, over at most 512 training images.

    None where there are no more than three: these are normalised as the backbone says.
    """
    if channels <= 3:
        return None
    train, file = Fold.load(placement.fold).split.train, ArrayFile(placement.images)
    rows = np.random.default_rng(0).permutation(train)[:_SAMPLE]
    total, squares, n = np.zeros(channels - 3), np.zeros(channels - 3), 0
    for some in np.array_split(rows, math.ceil(len(rows) / _BATCH)):
        values = file[torch.from_numpy(some)][..., 3:].double().numpy() / 255
        total += values.sum(axis=(0, 1, 2))
        squares += (values**2).sum(axis=(0, 1, 2))
        n += values[..., 0].size
    mean = total / n
    std = np.sqrt(np.maximum(squares / n - mean**2, 0))
    return mean.tolist(), np.where(std > _LEAST_STD, std, 1).tolist()


def _ingredients(task: Task, module: RegressionModule) -> dict[str, Any]:
    """Return what the features of a backbone depend on, beside images and precision."""
    return {
        "weights": digest_of(module.backbone.state_dict()),
        "backbone": task.identity.backbone.ingredients,
        "normalisation": [module.mean.flatten().tolist(), module.std.flatten().tolist()],
        "torch": torch.__version__,
    }


def _batches(images: Path) -> Iterator[Tensor]:
    """Yield all images of a file in order, (B, C, H, W), 0 to 255."""
    file = ArrayFile(images)
    for start in range(0, file.shape[0], _BATCH):
        yield file[torch.arange(start, min(start + _BATCH, file.shape[0]))].permute(0, 3, 1, 2)


def _blocks(images: Path, module: RegressionModule, trainer: pl.Trainer) -> Iterator[np.ndarray]:
    device = trainer.strategy.root_device
    module.to(device).eval()
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        for some in _batches(images):
            yield module.features(some.to(device)).float().permute(0, 2, 3, 1).cpu().numpy()
