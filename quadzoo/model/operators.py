"""What a backbone computes: counted operator by operator, on the meta device where that suffices."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from quadzoo.registry.specs import BackboneSpec

_KNOWN = frozenset({"torch", "torchvision", "timm", "quadzoo"})  # packages of modules


class Operators(NamedTuple):
    """The multiply-adds of one image, how many numbers they give, and whether all modules are well known.

    Those of convolutions, matrix products and attention are counted; well known are the modules of torch,
    torchvision, timm and quadzoo.
    """

    multiply_adds: float
    outputs: int
    well_known: bool

    @property
    def intensity(self) -> float:
        """Multiply-adds for each number that they give (Williams et al. 2009, Roofline, CACM 52(4), p. 65).

        It tells dense convolutions, which are bound by arithmetic, from depthwise ones, which memory bounds.
        """
        return self.multiply_adds / max(1, self.outputs)


def sketched_backbone(spec: BackboneSpec, *, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Build a backbone without weights, to look at: on the meta device, where that costs next to nothing.

    A backbone whose build needs numbers is built really. Raises what ``spec.build`` raises.
    """
    given: Any = {"pretrained": False, "in_channels": in_channels, "image_size": image_size}
    try:
        with torch.device("meta"):
            return spec.build(**given)
    except Exception:
        return spec.build(**given)


def operators_of(spec: BackboneSpec, *, in_channels: int, image_size: tuple[int, int]) -> Operators:
    """Count what a backbone computes for one image of ``image_size`` (H, W).

    Raises what building it, or its forward pass, raises.
    """
    given: Any = {"in_channels": in_channels, "image_size": image_size}
    try:
        return _counted(sketched_backbone(spec, **given), in_channels, image_size)
    except Exception:
        return _counted(spec.build(pretrained=False, **given), in_channels, image_size)


def _counted(backbone: nn.Module, in_channels: int, image_size: tuple[int, int]) -> Operators:
    tensors = [*backbone.parameters(), *backbone.buffers()]
    device = tensors[0].device if tensors else torch.device("cpu")
    backbone.eval()
    # As in quadzoo.training.cost: the counter knows neither fused attention nor torch's fused layers.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), _Counter() as counter:
        backbone(torch.zeros(1, in_channels, *image_size, device=device))
    packages = {type(module).__module__.partition(".")[0] for module in backbone.modules()}
    return Operators(counter.multiply_adds, counter.outputs, packages <= _KNOWN)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts with torch's own formulas."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.multiply_adds = 0.0
        self.outputs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func._overloadpacket):
            self.multiply_adds += formula(*args, **(kwargs or {}), out_val=out) / 2
            self.outputs += out.numel()
        return out
