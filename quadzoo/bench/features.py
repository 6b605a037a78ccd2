"""The features of a frozen backbone: computed once, read by every run that shares it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from quadzoo.bench.plan import RunPlan
from quadzoo.data.cache import computed
from quadzoo.data.datamodule import ArrayFile
from quadzoo.model.regressor import RegressionModule
from quadzoo.records import hash_of

_BATCH = 64


def frozen_features(plan: RunPlan, module: RegressionModule, trainer: pl.Trainer) -> Path:
    """Return the ``.npy`` of float32 features (N, h, w, F) of all the run's pictures, in their order.

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
    return computed(plan.data.pictures, hash_of(ingredients), partial(_blocks, plan, module, trainer))


def _blocks(plan: RunPlan, module: RegressionModule, trainer: pl.Trainer) -> Iterator[np.ndarray]:
    pictures, device = ArrayFile(plan.data.pictures.file), trainer.strategy.root_device
    module.to(device).eval()
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        for start in range(0, pictures.shape[0], _BATCH):
            rows = torch.arange(start, min(start + _BATCH, pictures.shape[0]))
            features = module.features(pictures[rows].permute(0, 3, 1, 2).to(device))
            yield features.float().permute(0, 2, 3, 1).cpu().numpy()
