"""What comes before training, standardised features for a frozen backbone's head and ridge regression; and
what comes after it: how far such a head's answers are drawn to the mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch
from torch import Tensor

from quadzoo.data.datamodule import DataModule
from quadzoo.model.batch_norm import reestimate
from quadzoo.model.bounds import bounds_for
from quadzoo.model.callbacks import BestWeights
from quadzoo.model.closed_form import drawn, with_floor
from quadzoo.model.regressor import RegressionModule
from quadzoo.training.task import FROM_FILE, Task


def start_head(
    task: Task, module: RegressionModule, datamodule: DataModule, trainer: pl.Trainer, best: BestWeights
) -> None:
    """Standardise frozen features; fit ridge regression to the features of a pretrained backbone.

    ``best`` takes the fit as the weights of epoch 0, so that training cannot end with worse: on few images a
    closed form often beats what many small steps find. Where the backbone is trained, the features are tried
    with the batch-norm statistics of its own images, too. Unless the recipe says so, training does not begin
    there: a head that already fits the training images leaves the backbone little to learn from. Random
    features are not worth a try. A head in closed form is fitted in any case: it has nothing else.
    """
    module.to(trainer.strategy.root_device).eval()
    try:
        _prepare(task, module, datamodule, trainer, best)
    finally:
        module.train()  # Lightning's fit leaves the mode as it finds it


def _prepare(
    task: Task, module: RegressionModule, datamodule: DataModule, trainer: pl.Trainer, best: BestWeights
) -> None:
    recipe = task.recipe
    if recipe.freeze and recipe.frozen_features != "raw" and module.feature_mean is None:
        with _forward(trainer):
            _standardise(module, _training(module, datamodule)[0])
    module.bounds = bounds_for(recipe, module.targets)  # those that came with weights are of other images
    if module.bounds is not None:
        module.bounds.to(module.device)
        module.bounds.set_range(datamodule.targets[torch.from_numpy(datamodule.split.train)])
    trains = any(parameter.requires_grad for parameter in module.parameters())
    pretrained = recipe.freeze or task.identity.weights in ("pretrained", FROM_FILE)
    if trains and (recipe.ridge == "none" or not pretrained or not hasattr(module.head, "start")):
        return
    before = {name: value.clone() for name, value in module.head.state_dict().items()}
    _fit(module, datamodule, trainer, best)
    if recipe.batch_norm == "reestimated" and not recipe.freeze:
        with _forward(trainer):
            reestimate(module, datamodule.calibration_batches())
        _fit(module, datamodule, trainer, best)
    if trains and recipe.ridge == "candidate":
        module.head.load_state_dict(before)


def _fit(module: RegressionModule, datamodule: DataModule, trainer: pl.Trainer, best: BestWeights) -> None:
    with _forward(trainer):
        module.head.start(*_training(module, datamodule))
    trainer.validate(module, datamodule=datamodule, verbose=False)
    best.take(float(trainer.callback_metrics["val_mse"]), module)


def _standardise(module: RegressionModule, pooled: Tensor) -> None:
    """Have the head get features as multiples of their deviations over mean features, float32 (N, F)."""
    std, mean = torch.std_mean(pooled, dim=0, correction=0)
    floored = torch.from_numpy(with_floor(std.cpu().numpy())).to(std)
    module.feature_mean, module.feature_std = mean[:, None, None], floored[:, None, None]


def draw_to_mean(module: RegressionModule, datamodule: DataModule, trainer: pl.Trainer) -> None:
    """Choose by val how far the answers of a head on frozen features are drawn to the mean of train."""
    if module.bounds is None:
        return
    module.to(trainer.strategy.root_device).eval()
    predictions, targets = [], []
    with _forward(trainer):
        for inputs, target in datamodule.batches_of(datamodule.split.val):
            predictions.append(module.prediction_of(module.raw(inputs.to(module.device))))
            targets.append(target.to(module.device))
    module.bounds.set_weight(torch.cat(predictions), torch.cat(targets))


def _training(module: RegressionModule, datamodule: DataModule) -> tuple[Tensor, Tensor]:
    """Return mean features, float32 (N, F), and targets, float32 (N, T), of at most 5,000 training images."""
    batches = datamodule.batches_of(drawn(datamodule.split.train))
    some = [(module.pooled(inputs.to(module.device)), target.to(module.device)) for inputs, target in batches]
    features, targets = zip(*some, strict=True)
    return torch.cat(features), torch.cat(targets)


@contextmanager
def _forward(trainer: pl.Trainer) -> Iterator[None]:
    with trainer.precision_plugin.forward_context(), torch.no_grad():
        yield
