"""Batch-norm statistics that fit the weights, whatever momentum a network has and how few its steps."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

import pytorch_lightning as pl
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from quadzoo.data.datamodule import Batch, DataModule

if TYPE_CHECKING:
    from quadzoo.model.regressor import RegressionModule

_MOST_BATCHES = 16  # of a loader that is not ours


def reestimate(module: RegressionModule, batches: Iterable[Batch]) -> None:
    """Set the running statistics of every batch-norm layer to the mean over ``batches``.

    Running statistics lag behind the weights: with momentum 0.01 and eight steps an epoch they are still
    those of the pretrained network when the weights have moved on. So they are computed anew, as for averaged
    weights (Izmailov et al. 2018, Averaging Weights Leads to Wider Optima, section 3.2), on images without
    augmentation. Batch-norm layers alone are in training mode meanwhile: dropout and drop-connect would
    change what they see. The module stays in evaluation mode.
    ``batches`` hold images uint8 (B, C, H, W), or features where the recipe freezes the backbone.
    """
    layers = [layer for layer in _layers(module) if layer.track_running_stats]
    if not layers:
        return
    module.eval()
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a cumulative average
        layer.train()
    try:
        with torch.no_grad():
            for inputs, _ in batches:
                module.raw(inputs.to(module.device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()


def _layers(module: RegressionModule) -> list[_BatchNorm]:
    parts = (module.head,) if module.recipe.freeze else (module.backbone, module.head)
    frozen = {one for part in module.frozen_layers for one in part.modules()}
    layers = (layer for part in parts for layer in part.modules() if isinstance(layer, _BatchNorm))
    return [layer for layer in layers if layer not in frozen]


class ReestimatedBatchNorm(pl.Callback):
    """Re-estimates the batch-norm statistics before each validation of a fit.

    On at most 512 training images of a quadzoo `DataModule`, else on the training loader's first batches.
    """

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Re-estimate, after `AveragedWeights` has put the average in place."""
        if trainer.state.fn != "fit":
            return
        with trainer.precision_plugin.forward_context(), pl.utilities.seed.isolate_rng():
            reestimate(pl_module, _batches(trainer))  # type: ignore[arg-type]


def _batches(trainer: pl.Trainer) -> Iterable[Batch]:
    datamodule = getattr(trainer, "datamodule", None)
    if isinstance(datamodule, DataModule):
        return datamodule.calibration_batches()
    return islice(iter(trainer.train_dataloader or ()), _MOST_BATCHES)
