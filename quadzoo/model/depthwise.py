"""Depthwise convolutions: in float32 under a CPU's bf16 autocast, on a GPU by kernels that start at once."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from quadzoo.model.kernels import depthwise_of_torch


def adapt_depthwise(module: nn.Module) -> None:
    """Have depthwise convolutions computed with what is fast for them on this kind of device.

    On a CPU they are exempted from bf16 autocast, where their backward pass collapses: measured on a Zen 4,
    the gradient of a stride-2 depthwise convolution is 16 to 43 times slower in bf16. On a GPU they use the
    kernels that `quadzoo.model.kernels` chose. The module can still be pickled and copied: a copy's
    convolutions use the copy's weights.
    """
    for child in module.modules():
        if isinstance(child, nn.Conv2d) and child.groups > 1 and child.groups == child.in_channels:
            # A partial, not a bound method: pickle would look that up by name on the convolution.
            child.forward = partial(_forward, child)  # type: ignore[method-assign]


def _forward(convolution: nn.Conv2d, images: Tensor) -> Tensor:
    """Do what the convolution's class does; (B, C, H, W) in and out."""
    forward = type(convolution).forward
    if images.device.type == "cpu":
        with torch.autocast("cpu", enabled=False):
            return forward(convolution, images.float())
    if not torch.compiler.is_compiling() and depthwise_of_torch() and _is_plain(convolution):
        return _by_torch(convolution, images)
    return forward(convolution, images)


def _is_plain(convolution: nn.Conv2d) -> bool:
    """Say whether it pads with zeros, as many on each side; others do so in their own way."""
    is_padded_evenly = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    return type(convolution).forward is nn.Conv2d.forward and is_padded_evenly


def _by_torch(convolution: nn.Conv2d, images: Tensor) -> Tensor:
    kind, weight, bias = images.device.type, convolution.weight, convolution.bias
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        images, weight, bias = images.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    done: Tensor = _WithoutCuDNN.apply(images, weight, bias, convolution)
    return done


class _WithoutCuDNN(torch.autograd.Function):
    """A convolution, forward and backward, for which cuDNN need not compile anything."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, like: nn.Conv2d) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.geometry = like.stride, like.padding, like.dilation, False, [0, 0], like.groups
        ctx.has_bias = bias is not None
        with torch.backends.cudnn.flags(enabled=False):
            done: Tensor = torch.ops.aten.convolution(images, weight, bias, *ctx.geometry)
            return done

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        sizes = [len(weight)] if ctx.has_bias else None
        wanted = [*ctx.needs_input_grad[:2], ctx.has_bias and ctx.needs_input_grad[2]]
        with torch.backends.cudnn.flags(enabled=False):
            found = torch.ops.aten.convolution_backward(
                gradients[0], images, weight, sizes, *ctx.geometry, wanted
            )
        return *found, None
