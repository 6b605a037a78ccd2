"""What a backbone promises, rule by rule: the docstring says it, the code holds it to it."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Any

import torch
from torch import nn

from quadzoo.model.contract import backbone_width, check_module, feature_tensor
from quadzoo.registry.specs import BackboneSpec
from quadzoo.testing.tools import (
    Broken,
    all_have_gradients,
    apart,
    finite,
    in_fresh_process,
    leaves_state_alone,
    stays_on_device,
    survives,
)

_SIZE = (64, 96)
_SIZES = (_SIZE, (32, 200), (51, 77))
_ROUNDING = 1e-3  # of the features' norm
_PATIENCE = 10.0  # seconds that build(pretrained=True) may take without a network
_STARTING = 60.0


def _build(
    spec: BackboneSpec, in_channels: int = 3, image_size: tuple[int, int] = _SIZE, pretrained: bool = False
) -> nn.Module:
    module = spec.build(pretrained=pretrained, in_channels=in_channels, image_size=image_size)
    check_module(module)
    # So that every rule says what is wrong with a list of features, instead of stumbling over it.
    module.register_forward_hook(_check_features)
    return module


def _check_features(module: nn.Module, inputs: object, features: object) -> None:
    feature_tensor(features)


def shapes(spec: BackboneSpec) -> None:
    """(B, C, H, W) gives (B, F, h, w) or (B, F), F = num_features, at odd sizes and for one image too."""
    for size in _SIZES:
        for channels in (1, 3):
            module = _build(spec, channels, size)
            width = backbone_width(module)
            for batch, training in ((1, False), (3, True)):
                features = module.train(training)(torch.rand(batch, channels, *size))
                fits = features.ndim in (2, 4) and features.shape[:2] == (batch, width)
                if not fits or 0 in features.shape:
                    raise Broken(
                        f"features ({batch}, {width}, h, w) or ({batch}, {width}) of {channels}-channel "
                        f"images {size[0]}x{size[1]}",
                        tuple(features.shape),
                    )
                finite(features, f"images {size[0]}x{size[1]}")


def gradients(spec: BackboneSpec) -> None:
    """Every parameter that asks for a gradient gets a finite one."""
    module = _build(spec).train()
    features = module(torch.rand(4, 3, *_SIZE))
    if features.requires_grad:  # a backbone may have nothing to learn
        (features * torch.randn_like(features)).sum().backward()
    all_have_gradients(module)


def evaluation(spec: BackboneSpec) -> None:
    """In eval mode the same image gives the same features, whatever else is in the batch."""
    module = _build(spec).eval()
    images = torch.rand(3, 3, *_SIZE)
    with torch.no_grad():
        together, again, alone = module(images), module(images), module(images[1:2])
    if not torch.equal(together, again):
        raise Broken("two passes in eval mode to be equal", f"a difference of {apart(together, again)}")
    # By their norm: rounding is a share of the largest numbers on the way, not of each feature.
    difference, norm = float((together[1:2] - alone).double().norm()), float(alone.double().norm())
    if not difference <= _ROUNDING * norm:
        told = f"a difference of {difference:.3g}, at a norm of {norm:.3g}"
        raise Broken("features independent of the batch's other images in eval mode", told)


def weights(spec: BackboneSpec) -> None:
    """Weights survive safetensors: loaded into another build they give the same features, bit for bit."""
    survives(lambda: _build(spec), torch.rand(2, 3, *_SIZE))


def fresh_process(spec: BackboneSpec) -> None:
    """Build works in a process that has just been started."""
    expected = sorted(_build(spec).state_dict())
    got = in_fresh_process(_tensors, spec)
    if got != expected:
        raise Broken(f"the same {len(expected)} tensors from a fresh process", f"{len(got)}")


def low_precision(spec: BackboneSpec) -> None:
    """bf16 autocast and channels_last give finite features and gradients."""
    module = _build(spec).to(memory_format=torch.channels_last).train()
    images = torch.rand(4, 3, *_SIZE).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        features = module(images)
    finite(features, "bf16 autocast")
    if features.requires_grad:
        features.float().sum().backward()
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            finite(parameter.grad, f"bf16 autocast, in the gradient of {name}")


def device(spec: BackboneSpec) -> None:
    """Tensors that a backbone makes lie on the images' device, as far as that shows without a GPU."""
    for training in (True, False):
        stays_on_device(_build(spec).train(training), torch.rand(2, 3, *_SIZE))


def offline(spec: BackboneSpec) -> None:
    """Without a network, build(pretrained=False) works and build(pretrained=True) ends within 10 seconds."""
    seconds = in_fresh_process(_offline_seconds, spec, patience=_STARTING + 2 * _PATIENCE)
    if seconds > _PATIENCE:
        raise Broken(
            f"build(pretrained=True) to end within {_PATIENCE:.0f} seconds without a network",
            f"{seconds:.0f} seconds",
        )


def global_state(spec: BackboneSpec) -> None:
    """Build reseeds nothing and leaves random generators, default dtype, threads and grad mode alone."""
    leaves_state_alone(lambda: _build(spec))


def _tensors(spec: BackboneSpec) -> list[str]:
    return sorted(_build(spec).state_dict())


def _offline_seconds(spec: BackboneSpec) -> float:
    """Cut this process off from the network, build without weights, and time a build with them."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        os.environ[variable] = os.environ[variable.lower()] = "http://127.0.0.1:9"

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("no network: this is a test")

    socket.getaddrinfo = refuse
    socket.socket.connect = refuse  # type: ignore[method-assign]
    _build(spec)
    clock = time.monotonic()
    with contextlib.suppress(Exception):
        _build(spec, pretrained=True)
    return time.monotonic() - clock
