"""Nothing in float64 is computed on, or sent to, the device: a Mac's GPU has no float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from quadzoo.data.datamodule import DataModule
from quadzoo.model.augment import _within
from quadzoo.model.build import build_backbone, build_head, join
from quadzoo.model.callbacks import AveragedWeights, BestWeights, Predictions
from quadzoo.model.contract import backbone_width
from quadzoo.model.recipe import Recipe
from quadzoo.registry import catalogue
from quadzoo.targets import TargetInfo
from tests.model.nets import trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")

_from_numpy = torch.from_numpy


class WithoutFloat64(TorchFunctionMode):
    """Takes every tensor for one of a device without float64, but for those that are on the host.

    On the host is what ``cpu()`` gives, what comes of NumPy, what is made without a device, and what is
    computed of these alone.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        name = getattr(func, "__name__", "")
        moves = name == "to" and any(isinstance(one, torch.device) for one in tree_leaves((args, kwargs)))
        if name == "cpu":
            result = result.clone()  # of a tensor on the CPU it is the tensor itself
            result.on_host = True
            return result
        if moves or name == "copy_":
            assert not any(one.dtype == torch.float64 for one in given), f"{name} of float64 to the device"
        if given:
            on_host = all(getattr(one, "on_host", False) for one in given) and not moves
        else:
            on_host = kwargs.get("device") is None
        for one in tree_leaves(result):
            if isinstance(one, Tensor):
                assert on_host or one.dtype != torch.float64, f"{name} gives float64 on the device"
                if one.dtype == torch.float64:
                    one.on_host = True
        return result


@pytest.fixture
def device() -> Iterator[WithoutFloat64]:
    def from_numpy(array: np.ndarray) -> Tensor:
        tensor = _from_numpy(array)
        tensor.on_host = True
        return tensor

    with pytest.MonkeyPatch.context() as patch, WithoutFloat64() as mode:
        patch.setattr(torch, "from_numpy", from_numpy)
        yield mode


def double_on_device(values: Tensor) -> None:
    values.double().cpu()


def double_arithmetic(values: Tensor) -> None:
    torch.stack([values, torch.ones(3, dtype=torch.float64)])


def double_to_device(values: Tensor) -> None:
    torch.from_numpy(np.ones(3)).to(values.device)


def double_into_device(values: Tensor) -> None:
    values.copy_(torch.from_numpy(np.ones(3)))


def double_made_on_device(values: Tensor) -> None:
    torch.zeros(3, dtype=torch.float64, device=values.device)


@pytest.mark.parametrize(
    "wrong",
    [double_on_device, double_arithmetic, double_to_device, double_into_device, double_made_on_device],
)
def test_float64_on_the_device_is_noticed(wrong: Callable[[Tensor], None], device: WithoutFloat64) -> None:
    with pytest.raises(AssertionError, match="float64"):
        wrong(torch.ones(3))
    assert torch.ones(3).cpu().double().dtype == torch.float64  # on the host it is welcome


INFO = TargetInfo(names=("u", "v"), low=(0.0, 0.0), high=(1.0, 9.0), integer=(False, True))


@pytest.mark.parametrize("case", ["", "frozen", "masked"])
@pytest.mark.parametrize("head", ["mlp", "linear", "integer", "gaussian", "skip", "ridge", "spatial"])
def test_training_and_testing_need_no_float64(
    head: str, case: str, data: DataModule, device: WithoutFloat64, tmp_path: Path
) -> None:
    freeze, masked = case == "frozen", case == "masked"
    if head == "ridge" and not freeze:
        pytest.skip("it is for frozen backbones")
    names = catalogue.load()
    of_backbone, of_head = names.backbones["tiny_cnn"].spec, names.heads[head].spec
    targets = np.repeat(data.targets.cpu().double().numpy(), 2, axis=1)
    if masked:
        targets[3::5, 1] = np.nan
    images = tmp_path / ("features.npy" if freeze else "p.npy")  # which the fixture has written
    if freeze:
        np.save(images, np.random.default_rng(0).normal(size=(40, 1, 1, 8)).astype(np.float32))
    backbone = build_backbone(of_backbone, pretrained=False, in_channels=1, image_size=(8, 8))
    width = 8 if freeze else backbone_width(backbone)
    recipe = Recipe(epochs=2, batch_size=8, freeze=freeze, augment="none" if freeze else "photo")
    answers = build_head(of_head, num_features=width, targets=INFO)
    module = join(of_backbone, backbone, answers, recipe, 1, targets=INFO)
    datamodule = DataModule(images, targets, data.split, 8, seed=0)
    if hasattr(module.head, "start"):
        features = torch.randn(24, width)
        module.head.start(features, torch.rand(24, 2))
    average = [AveragedWeights(recipe.average)] if recipe.average else []
    best, predictions = BestWeights(), Predictions()
    if any(parameter.requires_grad for parameter in module.parameters()):
        trainer(best, *average, epochs=2).fit(module, datamodule=datamodule)
        best.restore(module)
    trainer(predictions).test(module, datamodule=datamodule, verbose=False)
    assert predictions.take().dtype == np.float64


def test_positions_at_the_border_are_border_padding() -> None:
    """torch has none on a Mac's GPU."""
    torch.manual_seed(0)
    images = 255 * torch.rand(5, 3, 9, 14)
    theta = torch.tensor([[1.04, 0.0, 0.3], [0.0, 0.97, -0.2]]).repeat(5, 1, 1)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    border = grid_sample(images, grid, padding_mode="border", align_corners=False)
    clamped = grid_sample(images, _within(grid, images), padding_mode="zeros", align_corners=False)
    assert not torch.equal(grid, _within(grid, images))
    torch.testing.assert_close(clamped, border, rtol=0, atol=0.01)
