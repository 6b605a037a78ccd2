"""Batch-norm statistics that fit the weights, whatever momentum a network has and how few its steps."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

import pytorch_lightning as pl
import torch
from torch.nn.modules.batchnorm import _NormBase

from quadzoo.data.datamodule import Batch, DataModule

if TYPE_CHECKING:
    from quadzoo.model.regressor import RegressionModule

_MOST_BATCHES = 16  # of a loader that is not ours


def reestimate(module: RegressionModule, batches: Iterable[Batch]) -> None:
    """Set the statistics of batch-norm layers, if training changes them, to the mean over ``batches``.

    Running statistics lag behind the weights: with momentum 0.01 and eight steps an epoch they are still
    those of the pretrained network when the weights have moved on. So they are computed anew, as for averaged
    weights (Izmailov et al. 2018, Averaging Weights Leads to Wider Optima, section 3.2), on images without
    augmentation. Batch-norm layers alone are in training mode meanwhile: dropout and drop-connect would
    change what they see. A layer that its network keeps in evaluation mode keeps its statistics; instance
    norm that tracks statistics has them computed anew, too. The module is in evaluation mode afterwards,
    one without such layers in the mode that it was in.
    ``batches`` hold images uint8 (B, C, H, W), or features where the recipe freezes the backbone.
    """
    was_training, layers = module.training, _layers(module)
    module.train(was_training and not layers)
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.train()
    try:
        with torch.no_grad():
            for n, (inputs, _) in enumerate(batches, start=1):
                for layer in layers:
                    layer.momentum = 1 / n  # the average of all so far
                module.raw(inputs.to(module.device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()


def _layers(module: RegressionModule) -> list[_NormBase]:
    """Return the layers whose statistics training changes: those that are in training mode then."""
    module.train()
    parts = (module.head,) if module.recipe.freeze else (module.backbone, module.head)
    layers = (layer for part in parts for layer in part.modules() if isinstance(layer, _NormBase))
    return [layer for layer in layers if layer.training and layer.track_running_stats]


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
