from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from quadzoo.data.datamodule import DataModule
from quadzoo.data.splits import Split
from quadzoo.errors import BadModule, NonFiniteLoss
from quadzoo.model.callbacks import (
    AveragedWeights,
    BestWeights,
    PeakMemory,
    Predictions,
    Progress,
    Throughput,
)
from quadzoo.model.depthwise import adapt_depthwise
from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule
from quadzoo.registry import catalogue
from quadzoo.targets import TargetInfo
from tests.model.nets import Line, Mean, Operators, module, trainer

BUDGET = 150  # operators of a step of tiny_cnn + mlp, with augmentation and averaging; 146 are needed

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_learns_tests_and_predicts(data: DataModule, precision: str) -> None:
    model, predictions, best, speed = module(lr=0.1, epochs=20), Predictions(), BestWeights(), Throughput()
    engine = trainer(predictions, best, speed, precision=precision)
    engine.fit(model, datamodule=data)
    assert model.history[-1]["val_mse"] < 1e-3 < model.history[0]["val_mse"]
    assert best.score == min(epoch["val_mse"] for epoch in model.history)
    assert speed.images_per_second > 0
    best.restore(model)
    predictions.take()
    (scores,) = engine.test(model, datamodule=data, verbose=False)
    collected = predictions.take()
    assert collected.shape == (8, 1)
    truth = data.targets[32:].double().numpy()
    assert scores["test_mse"] == pytest.approx(float(((collected - truth) ** 2).mean()), rel=1e-4)
    everyone = torch.cat(engine.predict(model, datamodule=data))
    assert np.allclose(everyone[32:].numpy(), collected, atol=1e-2)


def test_what_is_validated_and_kept_is_the_average(data: DataModule) -> None:
    class Spy(pl.Callback):
        """Sees the weights after each step, and those that are validated."""

        def __init__(self) -> None:
            self.steps: list[Tensor] = []
            self.validated = torch.zeros(())

        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
            self.steps.append(pl_module.head.layer.weight.detach().clone())

        def on_validation_batch_start(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
            self.validated = pl_module.head.layer.weight.detach().clone()

    spy, best = Spy(), BestWeights()
    model = module(lr=0.1, epochs=4)
    trainer(best, AveragedWeights(0.6), spy, epochs=4).fit(model, datamodule=data)
    assert len(spy.steps) == 12
    average = spy.steps[0]
    for step, weight in enumerate(spy.steps, 1):
        decay = min(0.6, step / (step + 9))
        average = decay * average + (1 - decay) * weight
    assert torch.allclose(spy.validated, average, atol=1e-6)
    assert not torch.allclose(spy.validated, spy.steps[-1], atol=1e-4)
    # Training went on from the weights, not from the average.
    assert torch.equal(model.head.layer.weight, spy.steps[-1])
    assert best.epoch == 3
    best.restore(model)
    assert torch.equal(model.head.layer.weight, spy.validated)


def test_best_weights_are_those_of_the_best_epoch(data: DataModule) -> None:
    """The better it learns train, the worse it gets on val, whose targets are turned round."""
    data.targets[24:32] = 1 - data.targets[24:32]
    head = Line()
    nn.init.zeros_(head.layer.weight)
    nn.init.constant_(head.layer.bias, 0.5)
    model, best = module(head=head, lr=0.05, epochs=20), BestWeights()
    engine = trainer(best)
    engine.fit(model, datamodule=data)
    scores = [epoch["val_mse"] for epoch in model.history]
    assert best.epoch == scores.index(min(scores)) < len(scores) - 1
    best.restore(model)
    (again,) = engine.validate(model, datamodule=data, verbose=False)
    assert again["val_mse"] == pytest.approx(min(scores), rel=1e-5)


class NoNumber(Line):
    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        return super().loss(raw, target) * float("nan")


def test_nan_is_an_error(data: DataModule) -> None:
    with pytest.raises(NonFiniteLoss, match=r"is nan after epoch 1 of 20; a lower `lr` than"):
        trainer().fit(module(head=NoNumber()), datamodule=data)


class Liar(Mean):
    num_features = 7


def test_contract_breaches_are_named(data: DataModule) -> None:
    with pytest.raises(BadModule, match=r"num_features = 7 but gives features of shape \(8, 1\)"):
        trainer().fit(module(backbone=Liar()), datamodule=data)
    with pytest.raises(BadModule, match=r"predicts \(8, 2\) for targets of shape \(8, 1\)"):
        trainer().fit(module(head=Line(targets=2)), datamodule=data)


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_features_that_are_no_tensor_are_named(kind: type) -> None:
    class Pyramid(Mean):
        def forward(self, images: Tensor) -> Any:
            return kind([("features", super().forward(images))])

    with pytest.raises(BadModule) as error:
        module(backbone=Pyramid()).features(torch.zeros(1, 1, 2, 2, dtype=torch.uint8))
    assert str(error.value) == (
        f"expected features as one tensor (B, F, h, w) or (B, F), got {kind.__name__}"
    )


def test_normalisation() -> None:
    model = RegressionModule(Mean(), Line(), Recipe(), [0.5], [0.25])
    seen: list[Tensor] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8))
    assert seen[0].unique().tolist() == [2.0]


def test_recipes(data: DataModule) -> None:
    """Biases are spared weight decay; one cycle peaks at lr and ends near nothing; step halves."""
    rates: dict[str, list[float]] = {}

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            (optimizer,) = trainer.optimizers
            rates.setdefault(pl_module.recipe.schedule, []).append(optimizer.param_groups[0]["lr"])
            assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
            assert all(p.ndim <= 1 for p in optimizer.param_groups[1]["params"])

    for schedule in ("onecycle", "step"):
        recipe = {"schedule": schedule, "lr": 0.1, "epochs": 12, "weight_decay": 0.3}
        trainer(Watch(), epochs=12).fit(module(**recipe), datamodule=data)
    cycle = rates["onecycle"]
    assert max(cycle) == pytest.approx(0.1, rel=0.05)
    assert abs(cycle.index(max(cycle)) - 0.2 * len(cycle)) <= 1
    assert cycle[-1] < 0.001
    assert rates["step"][:30] == [0.1] * 30
    assert rates["step"][-1] == pytest.approx(0.05)


def test_gradient_is_clipped(data: DataModule) -> None:
    norms = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            norms.append(nn.utils.get_total_norm([p.grad for p in pl_module.parameters()]).item())

    for clip in (0.01, None):
        trainer(Watch(), epochs=1).fit(module(epochs=1, gradient_clip=clip), datamodule=data)
    assert max(norms[:3]) <= 0.0101
    assert min(norms[3:]) > 0.0101


def test_depthwise_runs_in_float32_and_others_in_bf16() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, 3, groups=2))
    images = torch.rand(1, 4, 9, 9)
    plain = network(images)
    adapt_depthwise(network)
    torch.testing.assert_close(network(images), plain)
    kinds: list[torch.dtype] = []
    for layer in network:
        layer.register_forward_hook(lambda _, __, output: kinds.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        network(images)
    assert kinds == [torch.bfloat16, torch.float32, torch.bfloat16]


class Looks(TorchDispatchMode):
    """Notes looks at the values of tensors, and tensors made of Python's numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.index.Tensor:
            looks = any(index is not None and index.dtype == torch.bool for index in args[1])
        else:
            looks = bool({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags))
        if looks or func is torch.ops.aten.lift_fresh.default:
            self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


HEADS = sorted(name for name, _ in catalogue.load().heads)  # and those of plugins that are installed


def coloured(folder: Path, head: str, n: int) -> tuple[RegressionModule, DataModule]:
    """Return tiny_cnn with a head, and ``n`` images to train on, all that a recipe may do to them."""
    names, rng = catalogue.load(), np.random.default_rng(0)
    np.save(folder / "p.npy", rng.integers(0, 256, (n + 8, 16, 24, 3), dtype=np.uint8))
    rows = np.arange(n + 8)
    split = Split("x", 0, 1, rows[:n], rows[n:], rows[n:], 0, "")
    info = TargetInfo(names=("a", "b"), low=(0.0, -2.0), high=(9.0, 2.0), integer=(True, True))
    backbone = names.backbones["tiny_cnn"].spec.build(pretrained=False, in_channels=3, image_size=(16, 24))
    answers = names.heads[head].spec.build(num_features=backbone.num_features, targets=info)
    net = RegressionModule(backbone, answers, Recipe(augment="photo", average=0.9), [0.5] * 3, [0.2] * 3)
    return net, DataModule(folder / "p.npy", rng.random((n + 8, 2)), split, 8, seed=0)


@pytest.mark.parametrize("head", HEADS)
def test_a_step_looks_at_no_values(tmp_path: Path, head: str) -> None:
    """An epoch of eight steps looks at no more values than one of two; each look would make a GPU wait."""
    counts = []
    for n in (16, 64):
        net, data = coloured(tmp_path, head, n)
        data.inputs = data.inputs.to(torch.device("cpu"))  # whole, as on a GPU
        callbacks = BestWeights(), AveragedWeights(0.9), Throughput(), Progress(lambda *_: None, 0.0)
        with Looks() as looks:
            trainer(*callbacks, epochs=2, precision="bf16-mixed").fit(net, datamodule=data)
        counts.append(Counter(looks.seen))
    assert counts[0] == counts[1]
    assert counts[0]["aten._local_scalar_dense.default"] > 0  # an epoch's end looks


def test_a_step_keeps_to_its_budget_of_operators(tmp_path: Path) -> None:
    """Small networks are as fast on a GPU as kernels are launched: what a step adds is paid for each time."""
    counts = []
    for n in (16, 64):
        net, data = coloured(tmp_path, "mlp", n)
        data.inputs = data.inputs.to(torch.device("cpu"))
        callbacks = BestWeights(), AveragedWeights(0.9), Throughput(), PeakMemory(lambda: 0)
        with Operators() as operators:
            trainer(*callbacks, epochs=1, precision="bf16-mixed").fit(net, datamodule=data)
        counts.append(Counter(operators.seen))
    of_six_steps = counts[1] - counts[0]
    assert of_six_steps.total() / 6 <= BUDGET, of_six_steps.most_common()


class Strict(pl.Callback):
    """Makes waiting for the GPU an error, from an epoch's first step to its last."""

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, at: int) -> None:
        if not trainer.is_last_batch:
            torch.cuda.set_sync_debug_mode("error")

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, at: int) -> None:
        if trainer.is_last_batch:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("head", HEADS)
def test_no_step_waits_for_the_gpu(tmp_path: Path, head: str) -> None:
    net, data = coloured(tmp_path, head, n=64)
    progress = Progress(lambda *_: None, 0.0)
    callbacks = BestWeights(), AveragedWeights(0.9), Throughput(), progress, Strict()
    trainer(*callbacks, epochs=2, precision="bf16-mixed", accelerator="gpu").fit(net, datamodule=data)
