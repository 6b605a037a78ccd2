"""Steps that are replayed train as all others do; those that a replay would change are not replayed."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from quadzoo.data.datamodule import DataModule
from quadzoo.model import replay as replay_module
from quadzoo.model.build import build_backbone, build_head, join
from quadzoo.model.callbacks import AveragedWeights, BestWeights, PeakMemory
from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule
from quadzoo.model.replay import EAGER_STEPS, Replay
from quadzoo.registry import catalogue
from quadzoo.targets import TargetInfo
from tests.model.nets import Line, Mean, module, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
TARGETS = TargetInfo(names=("a", "b"), low=(0.0, -2.0), high=(9.0, 2.0), integer=(True, True))
NETWORKS = [
    ("tiny_cnn", "mlp"), ("tiny_cnn", "linear"), ("tiny_cnn", "gaussian"), ("tiny_cnn", "integer"),
    ("tiny_cnn", "spatial"), ("tiny_cnn", "skip"), ("resnet18", "mlp"), ("efficientnet_b0", "mlp"),
    ("mobilenetv3_small_100", "mlp"), ("convnext_atto", "mlp"), ("vit_tiny_patch16_224", "mlp"),
]  # fmt: skip


class Again:
    """In place of a CUDA graph, on the CPU: computes the step anew, from the same tensors into the same.

    Like a graph it knows nothing of which gradient a parameter has by now. ``spoil`` changes what it writes.
    """

    def __init__(self, replay: Replay, spoil: Callable[[Tensor], Tensor]) -> None:
        self.replays = 0
        self._replay, self._spoil = replay, spoil

    def replay(self) -> None:
        self.replays += 1
        replay = self._replay
        theirs = [parameter.grad for parameter in replay._parameters]
        replay._clear_gradients()
        replay._loss, replay._prediction = replay._differentiated()
        for parameter, written, its in zip(replay._parameters, replay._gradients, theirs, strict=True):
            assert written is not None
            assert parameter.grad is not None
            written.copy_(self._spoil(parameter.grad))
            parameter.grad = its


def pretend(replay: Replay, spoil: Callable[[Tensor], Tensor] = lambda gradient: gradient) -> Again:
    """Have steps recorded by `Again`, which is returned.

    A recording computes nothing: here it does so with other weights, and puts everything back.
    """
    graph = Again(replay, spoil)

    def recorded(_: torch.device) -> Again:
        modules = list(replay._watched.values())
        tensors = [one for module in modules for one in (*module.parameters(), *module.buffers())]
        before, random_state = [one.detach().clone() for one in tensors], torch.get_rng_state()
        with torch.no_grad():
            for one in replay._parameters:
                one.zero_()
        replay._loss, replay._prediction = replay._differentiated()
        with torch.no_grad():
            for one, value in zip(tensors, before, strict=True):
                one.copy_(value)
        torch.set_rng_state(random_state)
        return graph

    replay._recorded = recorded  # type: ignore[method-assign, assignment]
    return graph


def built(backbone: str, head: str, **recipe: Any) -> RegressionModule:
    torch.manual_seed(0)
    names = catalogue.load()
    spec = names.backbones[backbone].spec
    net = build_backbone(spec, pretrained=False, in_channels=3, image_size=(48, 64))
    answers = build_head(names.heads[head].spec, num_features=net.num_features, targets=TARGETS)
    return join(spec, net, answers, Recipe(**recipe), 3, targets=TARGETS)


def coloured(folder: Path, n: int = 60, batch_size: int = 8) -> DataModule:
    rng = np.random.default_rng(0)
    np.save(folder / "p.npy", rng.integers(0, 256, (n, 48, 64, 3), dtype=np.uint8))
    rows = np.arange(n)
    split = SimpleNamespace(train=rows[: n - 16], val=rows[n - 16 : n - 8], test=rows[n - 8 :])
    return DataModule(folder / "p.npy", rng.random((n, 2)), split, batch_size, seed=0)  # type: ignore[arg-type]


def fitted(model: RegressionModule, data: DataModule, **given: Any) -> RegressionModule:
    pl.seed_everything(1, verbose=False)
    trainer(BestWeights(), AveragedWeights(0.9), epochs=3, **given).fit(model, datamodule=data)
    return model


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_replayed_steps_give_the_same_digits(precision: str, tmp_path: Path) -> None:
    """Gradients, clipping, batch-norm statistics and scores are those of steps that Lightning takes."""
    models = [built("tiny_cnn", "mlp", gradient_clip=0.1, augment="photo") for _ in range(2)]
    models[1].replay_training()
    replay = models[1].replay
    assert replay
    graph = pretend(replay)
    one, other = (fitted(model, coloured(tmp_path), precision=precision) for model in models)
    assert replay.why_not == ""
    assert graph.replays == 3 * 5 - EAGER_STEPS
    assert other.is_replayed
    assert not one.is_replayed
    assert one.history == other.history
    for mine, its in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, its)


@pytest.mark.parametrize(
    "spoil", [torch.zeros_like, lambda gradient: -gradient, lambda gradient: gradient * 1.2]
)
def test_a_replay_that_computes_something_else_is_not_used(
    spoil: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    model = built("tiny_cnn", "mlp")
    model.replay_training()
    replay = model.replay
    assert replay
    graph = pretend(replay, spoil)
    fitted(model, coloured(tmp_path))
    assert replay.why_not == "replayed it computes something else"
    assert (graph.replays, model.is_replayed) == (1, False)


def test_a_replay_is_compared_again_after_the_first_validation(tmp_path: Path) -> None:
    model = built("tiny_cnn", "mlp")
    model.replay_training()
    replay = model.replay
    assert replay
    graph = pretend(replay, lambda gradient: gradient if graph.replays < 3 else -gradient)
    fitted(model, coloured(tmp_path))
    assert replay.why_not == "replayed it computes something else"
    assert graph.replays == 3  # two in the first epoch


def test_without_a_gpu_nothing_is_replayed(tmp_path: Path) -> None:
    model = built("tiny_cnn", "mlp")
    model.replay_training()
    fitted(model, coloured(tmp_path))
    assert model.replay
    assert model.replay.why_not == "it cannot be recorded as a CUDA graph: there are none on cpu"
    assert not model.is_replayed


def test_a_batch_of_another_shape_is_not_replayed(tmp_path: Path) -> None:
    model = built("tiny_cnn", "mlp", augment="none")
    model.replay_training()
    replay = model.replay
    assert replay
    pretend(replay)
    model._trainer = SimpleNamespace(datamodule=None)  # type: ignore[assignment]
    optimizer = torch.optim.SGD(model.parameters())
    was_replayed, gradients = [], []
    for n in (4, 4, 4, 4, 2, 4):
        images = torch.full((n, 3, 48, 64), 9, dtype=torch.uint8)
        loss = model.training_step((images, torch.ones(n, 2)), 0)["loss"]
        model.optimizer_zero_grad(0, 0, optimizer)
        model.backward(loss)
        was_replayed.append(model.is_replayed)
        gradients.append(next(model.head.parameters()).grad)
    assert was_replayed == [False] * 3 + [True, False, True]
    assert gradients[3] is gradients[5]  # what a graph writes to
    assert gradients[4] is not gradients[3]


class Throws(nn.Module):
    """Leaves out what follows, now and then."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.steps, self.rate = how, 0, torch.zeros(())
        self.seen: list[float] = []
        self.register_buffer("running", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        match self.how:
            case "python":
                return images if random.random() < 2 else images * 0
            case "numpy":
                return images if np.random.rand() < 2 else images * 0
            case "counts":
                self.steps += 1
                return images * (1 - 0.1**self.steps)
            case "keeps":
                self.seen.append(0.0)
            case "replaces":
                self.running = self.running * 0.9 + images.mean()
            case "cpu tensor":
                self.rate += 0.1
            case "in place":
                self.steps = 3
                self.running.mul_(0.9)
        return images


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("python", "it draws random numbers on the CPU"), ("numpy", "it draws random numbers on the CPU"),
        ("counts", "in Python it changes backbone.0.steps"),
        ("keeps", "in Python it changes backbone.0.seen"),
        ("replaces", "in Python it changes backbone.0.running"),
        ("cpu tensor", ""), ("in place", ""),
    ],
)  # fmt: skip
def test_what_a_replay_would_not_do_is_seen(how: str, why: str) -> None:
    net = nn.Sequential(Throws(how), Mean())
    net.num_features = 1  # type: ignore[assignment]
    model = module(net, augment="none")
    model.replay_training()
    replay = model.replay
    assert replay
    pretend(replay)
    model._trainer = SimpleNamespace(datamodule=None)  # type: ignore[assignment]
    for _ in range(EAGER_STEPS + 1):
        model.training_step((torch.full((4, 1, 8, 8), 9, dtype=torch.uint8), torch.ones(4, 1)), 0)
    assert (replay.why_not, model.is_replayed) == (why, not why)


@pytest.mark.parametrize(("device", "why"), [("cpu", ""), ("cuda", "it draws random numbers on the CPU")])
def test_torch_s_numbers_are_the_cpu_s_where_that_is_not_the_device(device: str, why: str) -> None:
    replay = Replay(lambda *_: (torch.zeros(()), torch.zeros(())), lambda: None, {}, [])
    for _ in range(EAGER_STEPS):
        with replay.watching(torch.device(device)):
            torch.rand(1)
    assert replay.why_not == why


def test_a_tensor_of_the_cpu_is_a_number_where_that_is_not_the_device() -> None:
    net = Throws("cpu tensor")
    replay = Replay(lambda *_: (torch.zeros(()), torch.zeros(())), lambda: None, {"backbone": net}, [])
    for _ in range(EAGER_STEPS):
        with replay.watching(torch.device("cuda")):
            net(torch.zeros(1))
    assert replay.why_not == "in Python it changes backbone.rate"


@pytest.mark.parametrize(("backbone", "head"), NETWORKS)
def test_the_networks_here_can_be_replayed(backbone: str, head: str) -> None:
    model = built(backbone, head, augment="photo")
    model.replay_training()
    replay = model.replay
    assert replay
    model._trainer = SimpleNamespace(datamodule=None)  # type: ignore[assignment]
    for _ in range(EAGER_STEPS):
        images = torch.randint(0, 256, (2, 3, 48, 64), dtype=torch.uint8)
        model.training_step((images, torch.rand(2, 2)), 0)
    assert replay.why_not == ""


@needs_a_gpu
@pytest.mark.parametrize(("backbone", "head"), NETWORKS)
def test_a_gpu_replays_the_same_training(backbone: str, head: str, tmp_path: Path) -> None:
    histories, peaks = [], []
    for replays in (False, True):
        model = built(backbone, head, gradient_clip=0.1, augment="photo")
        if replays:
            model.replay_training()
        memory = PeakMemory(int)
        pl.seed_everything(1, verbose=False)
        callbacks = BestWeights(), AveragedWeights(0.9), memory
        trainer(*callbacks, epochs=3, accelerator="gpu", precision="bf16-mixed").fit(
            model, datamodule=coloured(tmp_path)
        )
        assert model.is_replayed == replays, model.replay and model.replay.why_not
        histories.append([epoch["train_mse"] for epoch in model.history])
        peaks.append(memory.mib)
        del model, memory, callbacks  # in circles: what is not collected lies on the GPU beside the next
        gc.collect()
    assert histories[1] == pytest.approx(histories[0], rel=0.05)  # kernels may add in any order
    # Of small networks the most is what libraries set aside for each stream, 170 to 220 MiB in all.
    assert peaks[1] == pytest.approx(peaks[0], rel=0.3, abs=256)


class Waits(Line):
    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        loss = super().loss(raw, target)
        return loss * (1 if loss.item() < 1e9 else 2)


class Asks(Line):
    """Asks whether the GPU is done, which a recording forbids, and waits for nothing."""

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        torch.cuda.current_stream().query()
        return super().loss(raw, target)


@needs_a_gpu
@pytest.mark.parametrize(
    ("head", "why"), [(Waits, "it waits for the GPU"), (Asks, "cannot be recorded as a CUDA graph")]
)
def test_what_cannot_be_recorded_trains_as_always(head: type[Line], why: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    histories = []
    for replays in (False, True):
        model = module(head=head(2), augment="photo")
        np.save(tmp_path / "p.npy", rng.integers(0, 256, (60, 48, 64, 1), dtype=np.uint8))
        data = coloured(tmp_path)
        np.save(tmp_path / "p.npy", np.load(tmp_path / "p.npy")[..., :1])
        data = DataModule(tmp_path / "p.npy", data.targets.numpy(), data.split, 8, seed=0)
        if replays:
            model.replay_training()
        fitted(model, data, accelerator="gpu")
        histories.append(model.history)
    assert model.replay
    assert why in model.replay.why_not
    assert not model.is_replayed
    assert [one["train_mse"] for one in histories[1]] == pytest.approx(
        [one["train_mse"] for one in histories[0]], rel=1e-3
    )
    # The allocator is not left in the middle of a recording: what another stream used is given back.
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    side = torch.cuda.Stream()
    for _ in range(20):
        block = torch.empty(1 << 24, device="cuda")
        block.record_stream(side)
        del block
        torch.cuda.synchronize()
    assert torch.cuda.memory_reserved() - before < 10 << 26


def test_a_recording_that_fails_leaves_nothing_begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By stubs: torch ends neither the allocator's part of it, nor knows the pool of such a graph."""
    asked: list[tuple[str, int, object]] = []
    pool = (0, 7)

    class Fails:
        def __init__(self, _: object, pool: object, capture_error_mode: str) -> None:
            asked.append(("begin", 0, pool))

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            raise RuntimeError("operation not permitted when stream is capturing")

    for name, stub in (("CUDAGraph", object), ("graph", Fails), ("graph_pool_handle", lambda: pool),
                       ("reset_peak_memory_stats", lambda _: None)):  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, stub)
    for name in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
        note = partial(lambda name, *given: asked.append((name, *given)), name)
        monkeypatch.setattr(torch._C, name, note, raising=False)
    model = built("tiny_cnn", "mlp")
    model.replay_training()
    replay = model.replay
    assert replay
    as_it_is = replay._recorded

    def on_a_gpu(_: torch.device) -> torch.cuda.CUDAGraph:
        return as_it_is(SimpleNamespace(type="cuda", index=3))  # type: ignore[arg-type]

    generator = torch.Generator()
    monkeypatch.setattr(replay_module, "_generator", lambda _: generator)
    monkeypatch.setattr(torch, "Generator", lambda *_: generator)
    monkeypatch.setattr(replay, "_recorded", on_a_gpu)
    fitted(model, coloured(tmp_path))
    assert "cannot be recorded as a CUDA graph" in replay.why_not
    assert asked == [("begin", 0, pool), ("_cuda_endAllocateToPool", 3, pool), ("_cuda_releasePool", 3, pool)]
