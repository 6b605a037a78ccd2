from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from quadzoo.data.datamodule import DataModule
from quadzoo.model.batch_norm import reestimate
from quadzoo.model.callbacks import AveragedWeights
from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule
from tests.model.nets import Line, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")


class Normed(nn.Module):
    """A convolution, batch norm with a momentum so low that its statistics stay what they were, dropout."""

    num_features = 1

    def __init__(self, momentum: float = 1e-6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.norm = nn.BatchNorm2d(1, momentum=momentum)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.norm(self.conv(images))
        return self.dropout(x)


def module(**recipe: Any) -> RegressionModule:
    torch.manual_seed(0)
    return RegressionModule(Normed(), Line(), Recipe(**recipe), [0.5], [0.25])


def statistics(model: RegressionModule, data: DataModule) -> tuple[Tensor, Tensor]:
    """Mean and variance of what the batch norm gets, over all training images at once."""
    images = torch.cat([inputs for inputs, _ in data.batches_of(data.split.train)])
    with torch.no_grad():
        values = model.backbone.conv((images.float() / 255 - model.mean) / model.std)
    return values.mean(dim=(0, 2, 3)), values.var(dim=(0, 2, 3))


def test_statistics_are_those_of_the_training_images(data: DataModule) -> None:
    model = module()
    model.train()
    reestimate(model, data.calibration_batches())
    mean, variance = statistics(model, data)
    assert torch.allclose(model.backbone.norm.running_mean, mean, atol=1e-5)
    assert torch.allclose(model.backbone.norm.running_var, variance, rtol=0.2)
    assert model.backbone.norm.momentum == 1e-6
    assert not any(part.training for part in model.backbone.modules())


def test_only_batch_norm_is_in_training_mode_meanwhile(data: DataModule) -> None:
    model, modes = module(), []
    model.backbone.dropout.register_forward_pre_hook(
        lambda layer, _: modes.append((layer.training, model.backbone.norm.training))
    )
    reestimate(model, data.calibration_batches())
    assert set(modes) == {(False, True)}


@pytest.mark.parametrize("callbacks", [[], [AveragedWeights(0.5)]], ids=["plain", "averaged"])
def test_what_is_validated_has_statistics_that_fit(data: DataModule, callbacks: list[pl.Callback]) -> None:
    """Any Trainer re-estimates, since the module brings the callback."""
    seen: list[bool] = []

    class Spy(pl.Callback):
        def on_validation_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            mean, _ = statistics(pl_module, data)
            seen.append(torch.allclose(pl_module.backbone.norm.running_mean, mean, atol=1e-4))

    recipe = {"average": 0.5} if callbacks else {}
    trainer(*callbacks, Spy(), epochs=3).fit(module(lr=0.3, **recipe), datamodule=data)
    assert seen
    assert all(seen)
    seen.clear()
    trainer(*callbacks, Spy(), epochs=3).fit(module(lr=0.3, batch_norm="running", **recipe), datamodule=data)
    assert not any(seen)


def test_re_estimation_changes_neither_order_nor_random_numbers(data: DataModule) -> None:
    """With batch norm that validation does not see, training is the same with it and without."""
    weights = []
    for kind in ("running", "reestimated"):
        pl.seed_everything(0, verbose=False)
        data.generator.manual_seed(0)
        model = module(batch_norm=kind)
        trainer(epochs=2).fit(model, datamodule=data)
        weights.append(model.head.layer.weight.detach().clone())
    assert torch.equal(*weights)


def test_a_network_without_batch_norm_is_left_alone(data: DataModule) -> None:
    model = module()
    model.backbone.norm = nn.Identity()
    reestimate(model.train(), data.calibration_batches())
    assert model.training


class KeepsItsStatistics(Normed):
    """Keeps its batch norm in evaluation mode, as networks for detection do."""

    def train(self, mode: bool = True) -> KeepsItsStatistics:
        super().train(mode)
        self.norm.eval()
        return self


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training")
def test_statistics_that_a_network_keeps_stay(data: DataModule) -> None:
    model = RegressionModule(KeepsItsStatistics(), Line(), Recipe(), [0.5], [0.25])
    with torch.no_grad():
        model.backbone.norm.running_mean.fill_(0.7)
    trainer(epochs=2).fit(model.train(), datamodule=data)
    assert model.backbone.norm.running_mean.item() == pytest.approx(0.7)
    assert model.backbone.norm.num_batches_tracked == 0


def test_instance_norm_that_tracks_statistics_gets_new_ones(data: DataModule) -> None:
    model = module()
    model.backbone.norm = nn.InstanceNorm2d(1, momentum=1e-6, track_running_stats=True)
    reestimate(model, data.calibration_batches())
    mean, _ = statistics(model, data)
    assert torch.allclose(model.backbone.norm.running_mean, mean, atol=1e-5)
    assert model.backbone.norm.momentum == 1e-6
