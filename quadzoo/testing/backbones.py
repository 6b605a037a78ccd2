"""The rules for backbones: each docstring is the rule, its code the check."""

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
    check_device,
    check_finite,
    check_global_state,
    check_gradients,
    check_saved_weights,
    difference,
    in_fresh_process,
)

_SIZE = (64, 96)
_SIZES = (_SIZE, (32, 200), (51, 77))
_ROUNDING = 1e-3  # of the features' norm
_OFFLINE_SECONDS = 10.0  # that build(pretrained=True) may take without a network
_START_SECONDS = 60.0  # for a new process to import what it needs, and to build


def _build(
    spec: BackboneSpec, in_channels: int = 3, image_size: tuple[int, int] = _SIZE, pretrained: bool = False
) -> nn.Module:
    module = spec.build(pretrained=pretrained, in_channels=in_channels, image_size=image_size)
    check_module(module)
    # So that every rule names a list of features for what it is, instead of failing on an attribute.
    module.register_forward_hook(_check_features)
    return module


def _check_features(module: nn.Module, inputs: object, features: object) -> None:
    feature_tensor(features)


def shapes(spec: BackboneSpec) -> None:
    """(B, C, H, W) gives (B, F, h, w) or (B, F), F = num_features, at odd sizes and for one image too."""
    for size in _SIZES:
        for channels in (1, 3, 5):
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
                check_finite(features, f"images {size[0]}x{size[1]}")


def gradients(spec: BackboneSpec) -> None:
    """Every parameter that requires a gradient gets a finite one."""
    module = _build(spec).train()
    features = module(torch.rand(4, 3, *_SIZE))
    if features.requires_grad:  # a backbone may have no trainable parameters
        (features * torch.randn_like(features)).sum().backward()
    check_gradients(module)


def evaluation(spec: BackboneSpec) -> None:
    """In eval mode the same image gives the same features, whatever else is in the batch."""
    module = _build(spec).eval()
    images = torch.rand(3, 3, *_SIZE)
    with torch.no_grad():
        together, again, alone = module(images), module(images), module(images[1:2])
    if not torch.equal(together, again):
        raise Broken("two passes in eval mode to be equal", difference(together, again))
    # Relative to the norm: rounding is relative to the largest intermediate values, not to each feature.
    error, norm = float((together[1:2] - alone).double().norm()), float(alone.double().norm())
    if not error <= _ROUNDING * norm:
        got = f"a difference of {error:.3g}, at a norm of {norm:.3g}"
        raise Broken("features independent of the batch's other images in eval mode", got)


def weights(spec: BackboneSpec) -> None:
    """Weights saved with safetensors and loaded into another build give the same features, bit for bit."""
    check_saved_weights(lambda: _build(spec), torch.rand(2, 3, *_SIZE))


def fresh_process(spec: BackboneSpec) -> None:
    """Build works in a newly started process."""
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
    check_finite(features, "bf16 autocast")
    if features.requires_grad:
        features.float().sum().backward()
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            check_finite(parameter.grad, f"bf16 autocast, in the gradient of {name}")


def device(spec: BackboneSpec) -> None:
    """Tensors that a backbone creates are on the images' device, as far as that can be seen without a GPU."""
    for training in (True, False):
        check_device(_build(spec).train(training), torch.rand(2, 3, *_SIZE))


def offline(spec: BackboneSpec) -> None:
    """Without a network, build(pretrained=False) works and build(pretrained=True) ends within 10 seconds."""
    seconds = in_fresh_process(_offline_seconds, spec, seconds=_START_SECONDS + 2 * _OFFLINE_SECONDS)
    if seconds > _OFFLINE_SECONDS:
        raise Broken(
            f"build(pretrained=True) to end within {_OFFLINE_SECONDS:.0f} seconds without a network",
            f"{seconds:.0f} seconds",
        )


def global_state(spec: BackboneSpec) -> None:
    """Build seeds nothing, draws from torch's generator alone, and changes no other global state."""
    check_global_state(lambda: _build(spec))


def _tensors(spec: BackboneSpec) -> list[str]:
    return sorted(_build(spec).state_dict())


def _offline_seconds(spec: BackboneSpec) -> float:
    """Disable this process's network, build without weights, and return the seconds of a build with them."""
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
