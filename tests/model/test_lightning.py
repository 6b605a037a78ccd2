"""Lightning's conventions hold in anyone's Trainer, or are refused in one line."""

from __future__ import annotations

import copy
import csv
import pickle
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader

from quadzoo.data.datamodule import DataModule
from quadzoo.errors import ConfigError, DataError
from quadzoo.model.callbacks import AveragedWeights, BestWeights
from quadzoo.model.depthwise import adapt_depthwise
from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule
from quadzoo.targets import TargetInfo
from tests.model.nets import Line, Mean, module, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")

BRIGHTNESS = TargetInfo(names=("brightness",), low=(100.0,), high=(300.0,), integer=(False,))


def weights(model: nn.Module) -> list[Tensor]:
    return [value.clone() for value in model.state_dict().values()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("weights_only", [None, True])
def test_load_from_checkpoint(data: DataModule, tmp_path: Path, weights_only: bool | None) -> None:
    recipe = Recipe(lr=0.1, epochs=2, augment="none")
    model = RegressionModule(Mean(), Line(), recipe, [0.25], [0.5], targets=BRIGHTNESS)
    trainer(
        ModelCheckpoint(tmp_path / "kept", filename="best", monitor="val_mse"),
        enable_checkpointing=True,
        epochs=2,
    ).fit(model, datamodule=data)
    loaded = RegressionModule.load_from_checkpoint(
        tmp_path / "kept" / "best.ckpt", backbone=Mean(), head=Line(), weights_only=weights_only
    )
    assert (loaded.recipe, loaded.targets) == (recipe, BRIGHTNESS)
    assert loaded.history == model.history
    assert equal(weights(loaded), weights(model))
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(loaded.predict(images), model.predict(images))


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(
    data: DataModule, tmp_path: Path
) -> None:
    """With the same images in the same order, the same average, and the same best weights."""
    recipe = {"lr": 0.1, "average": 0.6, "augment": "none"}
    ends = []
    for start in (None, tmp_path / "kept" / "epoch=1.ckpt"):
        every = ModelCheckpoint(tmp_path / "kept", filename="{epoch}", save_top_k=-1)
        model, best = module(**recipe), BestWeights()
        again = DataModule(tmp_path / "p.npy", data.targets.numpy(), data.split, 8, seed=0)
        engine = trainer(best, AveragedWeights(0.6), every, epochs=4, enable_checkpointing=True)
        engine.fit(model, datamodule=again, ckpt_path=start)
        ends.append((model.history, weights(model), (best.epoch, best.score)))
        best.restore(model)
        ends[-1] += (weights(model),)
    (history, last, best_epoch, kept), resumed = ends
    assert len(history) == 4
    assert resumed[0] == history
    assert equal(last, resumed[1])
    assert resumed[2] == best_epoch
    assert equal(kept, resumed[3])


def test_without_validation(data: DataModule) -> None:
    model = module(epochs=2)
    trainer(BestWeights(), epochs=2, limit_val_batches=0).fit(model, datamodule=data)
    assert [sorted(epoch) for epoch in model.history] == [["train_mse"]] * 2


def test_history_has_val_only_where_it_was_measured(data: DataModule) -> None:
    model = module(lr=0.1)
    trainer(epochs=5, check_val_every_n_epoch=2, num_sanity_val_steps=2).fit(model, datamodule=data)
    assert [len(epoch) for epoch in model.history] == [1, 2, 1, 2, 1]


def test_several_validations_an_epoch(data: DataModule) -> None:
    class Count(pl.Callback):
        scores: list[float]

        def __init__(self) -> None:
            self.scores = []

        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            self.scores.append(float(trainer.callback_metrics["val_mse"]))

    model, count = module(lr=0.1), Count()
    data.batch_size = 6
    trainer(count, epochs=2, val_check_interval=0.5).fit(model, datamodule=data)
    assert len(count.scores) == 4
    assert [epoch["val_mse"] for epoch in model.history] == count.scores[1::2]


@pytest.mark.parametrize("batches", [True, 5])
def test_fast_dev_run(data: DataModule, batches: bool | int) -> None:
    """Five steps with a warm-up of a fifth are one step of warm-up, on which OneCycleLR divides by zero."""
    data.batch_size = 4
    model = module()
    trainer(BestWeights(), fast_dev_run=batches).fit(model, datamodule=data)
    assert len(model.history) == 1


class Depthwise(nn.Module):
    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, groups=4))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Pooled(nn.Linear):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.mean(dim=(2, 3)))

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        return (raw - target).square().mean()

    def predict(self, raw: Tensor) -> Tensor:
        return raw


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_whole_and_their_own(duplicate: Any, compiled: bool) -> None:
    backbone = Depthwise()
    adapt_depthwise(backbone)
    model = module(backbone, Pooled(4, 1)).eval()
    if compiled:
        model.compile_training()
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        expected = model.features(images)
        other = duplicate(model)
        assert torch.equal(other.features(images), expected)
        assert other.features(images).dtype == torch.float32
        nn.init.zeros_(other.backbone.layers[1].weight)
        assert torch.equal(model.features(images), expected)
        assert not torch.allclose(other.features(images), expected)


class Norms(pl.Callback):
    """Keeps the norm and the largest entry of each step's gradient, after clipping."""

    def __init__(self) -> None:
        self.norms: list[float] = []
        self.largest: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        gradients = [parameter.grad for parameter in pl_module.parameters()]
        self.norms.append(float(nn.utils.get_total_norm(gradients)))
        self.largest.append(max(float(one.abs().max()) for one in gradients))


def test_a_trainers_clipping_replaces_the_recipes(data: DataModule) -> None:
    kinds: list[dict[str, Any]] = [
        {},
        {"gradient_clip_val": 0.02},
        {"gradient_clip_val": 0.001, "gradient_clip_algorithm": "value"},
        {"gradient_clip_val": 0},
    ]
    found = []
    for clipping in kinds:
        norms = Norms()
        trainer(norms, epochs=1, **clipping).fit(module(gradient_clip=0.01), datamodule=data)
        found.append(norms)
    recipe, by_norm, by_value, free = found
    assert recipe.norms == pytest.approx([0.01] * 3, rel=1e-3)
    assert by_norm.norms == pytest.approx([0.02] * 3, rel=1e-3)
    assert by_value.largest == pytest.approx([0.001] * 3, rel=1e-3)
    assert min(free.norms) > 0.02


def test_gradients_are_clipped_after_a_scaler_has_unscaled_them(data: DataModule) -> None:
    norms = Norms()
    scaling = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=4.0))
    trainer(norms, epochs=1, plugins=[scaling]).fit(module(gradient_clip=0.01), datamodule=data)
    assert norms.norms == pytest.approx([0.01] * 3, rel=1e-3)


def test_gradients_of_several_batches_are_one_step(data: DataModule) -> None:
    rates: list[float] = []

    class Watch(pl.Callback):
        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            rates.append(optimizer.param_groups[0]["lr"])

    engine = trainer(Watch(), epochs=6, accumulate_grad_batches=2)
    model = module(lr=0.1)
    engine.fit(model, datamodule=data)
    assert engine.global_step == len(rates) == 12  # three batches an epoch are two steps
    assert max(rates) == pytest.approx(0.1, rel=0.1)
    assert rates[-1] < 0.001
    assert model.history[-1]["val_mse"] < model.history[0]["val_mse"]


def test_half_precision_where_the_head_can_keep_its_own(data: DataModule) -> None:
    model = module(lr=0.1)
    trainer(epochs=3, precision="bf16-mixed").fit(model, datamodule=data)
    assert model.head.layer.weight.dtype == torch.float32
    for precision in ("bf16-true", "64-true"):
        with pytest.raises(ConfigError, match=rf"^Trainer\(precision='{precision}'\): the head computes in"):
            trainer(precision=precision).fit(module(), datamodule=data)


def test_an_average_without_its_callback_is_refused(data: DataModule) -> None:
    with pytest.raises(ConfigError, match=r"average=0.9 in the recipe needs the callback Averaged"):
        trainer().fit(module(average=0.9), datamodule=data)
    trainer().validate(module(average=0.9), datamodule=data, verbose=False)


def test_a_request_that_only_a_bench_can_meet_is_refused(data: DataModule) -> None:
    with pytest.raises(ConfigError, match="tune='lr:3' in the recipe is for a bench"):
        trainer().fit(module(tune="lr:3"), datamodule=data)
    trainer().validate(module(tune="lr:3"), datamodule=data, verbose=False)


def test_a_cycle_without_an_end_is_refused(data: DataModule) -> None:
    with pytest.raises(ConfigError, match="a onecycle schedule needs a last step: set max_epochs"):
        trainer(epochs=-1, max_time="00:00:10:00").fit(module(), datamodule=data)
    engine = trainer(epochs=-1, max_steps=2)
    engine.fit(module(), datamodule=data)
    assert engine.global_step == 2


def test_images_in_0_to_1_are_refused() -> None:
    loader = DataLoader([(torch.rand(1, 8, 8), torch.rand(1)) for _ in range(2)], batch_size=2)
    told = "images must be uint8, from 0 to 255, got torch.float32"
    for call in ("validate", "test", "predict"):
        with pytest.raises(DataError, match=told):
            getattr(trainer(), call)(module(), dataloaders=loader)


def test_a_logger_gets_every_score_and_the_hyperparameters(data: DataModule, tmp_path: Path) -> None:
    recipe = Recipe(lr=0.1, epochs=2)
    model = RegressionModule(Mean(), Line(), recipe, [0.25], [0.5], targets=BRIGHTNESS)
    log = CSVLogger(tmp_path, name="log", version="")
    engine = trainer(epochs=2, logger=log, log_every_n_steps=1)
    engine.fit(model, datamodule=data)
    engine.test(model, datamodule=data, verbose=False)
    with (tmp_path / "log" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    scores = {f"{stage}_{kind}/brightness" for stage in ("val", "test") for kind in ("rmse", "mae", "r2")}
    assert set(rows[0]) == {"epoch", "step", "train_mse", "val_mse", "test_mse"} | scores
    for name in ("train_mse", "val_mse"):
        logged = [float(row[name]) for row in rows if row[name]]
        assert logged == pytest.approx([epoch[name] for epoch in model.history], rel=1e-4)
    kept = yaml.safe_load((tmp_path / "log" / "hparams.yaml").read_text())
    assert kept["recipe"] == recipe.model_dump()
    assert kept["targets"]["names"] == ["brightness"]


def test_overfitting_sees_the_same_images_every_epoch(data: DataModule) -> None:
    class See(pl.Callback):
        def __init__(self) -> None:
            self.targets: list[Tensor] = []

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, at: int) -> None:
            self.targets.append(batch[1])

    see = See()
    trainer(see, epochs=3, overfit_batches=1).fit(module(), datamodule=data)
    assert len(see.targets) == 3
    assert equal(see.targets, [see.targets[0]] * 3)


def test_a_stopped_validation_leaves_nothing_behind(data: DataModule) -> None:
    class Stop(pl.Callback):
        def on_validation_batch_end(self, *_: Any) -> None:
            raise RuntimeError("stopped")

    model = module()
    (fresh,) = trainer().validate(model, datamodule=data, verbose=False)
    with pytest.raises(RuntimeError, match="stopped"):
        trainer(Stop()).validate(model, datamodule=data, verbose=False)
    for inference_mode in (True, False):
        engine = trainer(inference_mode=inference_mode)
        assert engine.validate(model, datamodule=data, verbose=False) == [fresh]
