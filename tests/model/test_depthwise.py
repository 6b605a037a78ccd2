"""Depthwise convolutions give what their class gives, whichever kernels compute them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from quadzoo.model import depthwise, kernels
from quadzoo.model.depthwise import adapt_depthwise

FEW, MANY = 1e6, 1e10  # pixels


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    kernels.use_kernels_for(MANY)


def depthwise_of(**given: object) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(8, 8, 3, groups=8, **given)  # type: ignore[arg-type]


def taken(layer: nn.Module, images: Tensor) -> list[Tensor]:
    """Return what a layer computes, and all gradients of it."""
    layer.zero_grad()
    images = images.detach().requires_grad_()
    done = layer(images)
    done.square().sum().backward()
    gradients = [images.grad, *(one.grad for one in layer.parameters())]
    return [done.detach(), *(one for one in gradients if one is not None)]


def images(device: str = "cpu") -> Tensor:
    return torch.rand(4, 8, 13, 17, generator=torch.Generator().manual_seed(1)).to(device)


SHAPES = [{}, {"stride": 2, "padding": 1}, {"bias": False, "padding": (0, 1)}, {"dilation": 2}]


@pytest.mark.parametrize("given", SHAPES)
def test_without_cudnn_it_computes_the_same(given: dict[str, object]) -> None:
    layer = depthwise_of(**given)
    expected = taken(layer, images())
    layer.forward = lambda some: depthwise._by_torch(layer, some)  # type: ignore[method-assign]
    for one, other in zip(taken(layer, images()), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_weights_that_are_frozen_get_no_gradient() -> None:
    layer = depthwise_of()
    layer.weight.requires_grad_(False)
    layer.forward = lambda some: depthwise._by_torch(layer, some)  # type: ignore[method-assign]
    assert len(taken(layer, images())) == 3  # the output, and gradients of images and bias
    assert layer.weight.grad is None


def test_under_autocast_it_computes_in_half_precision() -> None:
    layer = depthwise_of()
    with torch.autocast("cpu", torch.bfloat16):
        done = depthwise._by_torch(layer, images())
    assert done.dtype == torch.bfloat16
    done.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[nn.Conv2d]:
    """Return the convolutions that torch's own kernels are asked for, on a device that is no CPU."""
    asked: list[nn.Conv2d] = []

    def count(convolution: nn.Conv2d, images: Tensor) -> Tensor:
        asked.append(convolution)
        return images

    monkeypatch.setattr(depthwise, "_by_torch", count)
    return asked


def test_with_few_pixels_a_gpu_takes_the_kernels_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _counted(monkeypatch)
    layer = depthwise_of(padding=1)
    adapt_depthwise(layer)
    with torch.device("meta"):
        elsewhere = layer.to("meta")
        some = torch.rand(2, 8, 9, 9)
    for pixels, wanted in ((FEW, 1), (MANY, 0)):
        kernels.use_kernels_for(pixels)
        asked.clear()
        elsewhere(some)
        assert len(asked) == wanted


@pytest.mark.parametrize("given", [{"padding": "same"}, {"padding": 1, "padding_mode": "reflect"}])
def test_other_kinds_of_padding_stay_with_their_class(
    given: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _counted(monkeypatch)
    layer = depthwise_of(**given)
    adapt_depthwise(layer)
    kernels.use_kernels_for(FEW)
    layer.to("meta")(torch.rand(2, 8, 9, 9, device="meta"))
    assert asked == []


def test_a_copy_uses_its_own_weights() -> None:
    layer = nn.Sequential(depthwise_of())
    adapt_depthwise(layer)
    for another in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with torch.no_grad():
            another[0].weight.zero_()
            another[0].bias.zero_()
        assert not another(images()).any()
        assert layer(images()).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("given", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_gets_the_same_from_either(given: dict[str, object], dtype: torch.dtype) -> None:
    layer = depthwise_of(**given).cuda()
    adapt_depthwise(layer)
    some = images("cuda").to(memory_format=torch.channels_last)
    found = []
    for pixels in (MANY, FEW):
        kernels.use_kernels_for(pixels)
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            found.append([one.float() for one in taken(layer, some)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.02 * float(other.abs().max()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_torchs_own_kernels_are_deterministic() -> None:
    layer = depthwise_of().cuda()
    adapt_depthwise(layer)
    kernels.use_kernels_for(FEW)
    torch.use_deterministic_algorithms(True)
    try:
        one, other = taken(layer, images("cuda")), taken(layer, images("cuda"))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(map(torch.equal, one, other))
