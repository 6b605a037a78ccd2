"""The features of a frozen backbone: computed once, read by every run that shares it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from quadzoo.data.cache import computed
from quadzoo.data.datamodule import ArrayFile
from quadzoo.model.regressor import RegressionModule
from quadzoo.model.weights import digest_of
from quadzoo.records.keys import hash_of
from quadzoo.training.task import Placement, Task

_BATCH = 64


def frozen_features(task: Task, placement: Placement, module: RegressionModule, trainer: pl.Trainer) -> Path:
    """Return the ``.npy`` of float32 features (N, h, w, F) of all images, in their order.

    They are computed on the trainer's device and in its precision, with the backbone in evaluation mode.
    Runs whose backbones have the same weights share them, whatever their heads, seeds and folds.
    """
    ingredients = {
        "weights": digest_of(module.backbone.state_dict()),
        "backbone": task.identity.backbone.ingredients,
        "normalisation": [module.mean.flatten().tolist(), module.std.flatten().tolist()],
        "precision": task.precision,
        "torch": torch.__version__,
    }
    blocks = partial(_blocks, placement.images, module, trainer)
    return computed(placement.images, task.data.n, hash_of(ingredients), blocks)


def _blocks(images: Path, module: RegressionModule, trainer: pl.Trainer) -> Iterator[np.ndarray]:
    file, device = ArrayFile(images), trainer.strategy.root_device
    module.to(device).eval()
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        for start in range(0, file.shape[0], _BATCH):
            rows = torch.arange(start, min(start + _BATCH, file.shape[0]))
            features = module.features(file[rows].permute(0, 3, 1, 2).to(device))
            yield features.float().permute(0, 2, 3, 1).cpu().numpy()
