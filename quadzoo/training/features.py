"""The features of a frozen backbone: computed once, read by every run that shares it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from quadzoo.data.cache import computed
from quadzoo.data.datamodule import ArrayFile
from quadzoo.grid.plan import RunPlan
from quadzoo.model.regressor import RegressionModule
from quadzoo.records.record import hash_of

_BATCH = 64


def frozen_features(plan: RunPlan, module: RegressionModule, trainer: pl.Trainer) -> Path:
    """Return the ``.npy`` of float32 features (N, h, w, F) of all the run's images, in their order.

    They are computed on the trainer's device and in its precision, with the backbone in evaluation mode.
    Runs whose backbones have the same weights share them, whatever their heads, seeds and folds.
    """
    weights = hashlib.sha256()
    for name, value in module.backbone.state_dict().items():
        weights.update(name.encode())
        weights.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    ingredients = {
        "weights": weights.hexdigest(),
        "backbone": plan.provenance["backbone"],
        "normalisation": [module.mean.flatten().tolist(), module.std.flatten().tolist()],
        "precision": plan.precision,
        "torch": torch.__version__,
    }
    return computed(plan.data.images, hash_of(ingredients), partial(_blocks, plan, module, trainer))


def _blocks(plan: RunPlan, module: RegressionModule, trainer: pl.Trainer) -> Iterator[np.ndarray]:
    images, device = ArrayFile(plan.data.images.file), trainer.strategy.root_device
    module.to(device).eval()
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        for start in range(0, images.shape[0], _BATCH):
            rows = torch.arange(start, min(start + _BATCH, images.shape[0]))
            features = module.features(images[rows].permute(0, 3, 1, 2).to(device))
            yield features.float().permute(0, 2, 3, 1).cpu().numpy()
