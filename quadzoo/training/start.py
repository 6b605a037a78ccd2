"""What comes before training: standardised features for a frozen backbone's head, and ridge regression."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch

from quadzoo.data.datamodule import DataModule
from quadzoo.model.batch_norm import reestimate
from quadzoo.model.callbacks import BestWeights
from quadzoo.model.closed_form import drawn
from quadzoo.model.regressor import RegressionModule
from quadzoo.training.task import Task


def start_head(
    task: Task, module: RegressionModule, datamodule: DataModule, trainer: pl.Trainer, best: BestWeights
) -> None:
    """Standardise frozen features; fit ridge regression to the features of a pretrained backbone.

    ``best`` takes the fit as the weights of epoch 0, so that training cannot end with worse: on few images a
    closed form often beats what many small steps find. Where the backbone is trained, the features are tried
    with the batch-norm statistics of its own images, too. Unless the recipe says so, training does not begin
    there: a head that already fits the training images leaves the backbone little to learn from. Random
    features are not worth a try.
    """
    recipe = task.recipe
    pretrained = recipe.freeze or task.identity.weights == "pretrained"
    fits = recipe.ridge != "none" and pretrained and hasattr(module.head, "start")
    module.to(trainer.strategy.root_device).eval()
    if recipe.freeze and recipe.frozen_features == "standardised" and module.feature_mean is None:
        with _forward(trainer):
            module.standardise_by(_pooled(module, datamodule))
    if not fits:
        return
    trains = any(parameter.requires_grad for parameter in module.parameters())
    before = {name: value.clone() for name, value in module.head.state_dict().items()}
    _fit(module, datamodule, trainer, best)
    if recipe.batch_norm == "reestimated" and not recipe.freeze:
        with _forward(trainer):
            reestimate(module, datamodule.calibration_batches())
        _fit(module, datamodule, trainer, best)
    if trains and recipe.ridge == "candidate":
        module.head.load_state_dict(before)


def _fit(module: RegressionModule, datamodule: DataModule, trainer: pl.Trainer, best: BestWeights) -> None:
    train = drawn(datamodule.split.train)
    with _forward(trainer):
        targets = datamodule.targets[torch.from_numpy(train).to(datamodule.targets.device)]
        module.head.start(_pooled(module, datamodule), targets.to(module.device))
    trainer.validate(module, datamodule=datamodule, verbose=False)
    best.take(float(trainer.callback_metrics["val_mse"]), module)


def _pooled(module: RegressionModule, datamodule: DataModule) -> torch.Tensor:
    """Return the mean features of the training images, at most 5,000, float32 (N, F)."""
    batches = datamodule.batches_of(drawn(datamodule.split.train))
    return torch.cat([module.pooled(inputs.to(module.device)) for inputs, _ in batches])


@contextmanager
def _forward(trainer: pl.Trainer) -> Iterator[None]:
    with trainer.precision_plugin.forward_context(), torch.no_grad():
        yield
