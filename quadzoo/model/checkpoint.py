"""Weights from a file that anybody may have written: read as tensors alone, and loaded into a backbone."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from quadzoo.errors import WeightsError
from quadzoo.model.backbones.torchvision import adapted
from quadzoo.model.weights import LoadedWeights, digest_of, few, watched_loading

PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".tar")
SUFFIXES = (".safetensors", *PICKLED)

# Under which checkpoints keep the tensors of the network, beside those of an optimizer.
_NESTED = ("state_dict", "model_state_dict", "model", "net", "module")
_DEPTH = 4  # of names before the network's own, as in model.module.backbone
_COUNTERS = "num_batches_tracked"  # of batch norm: older files lack them, and they change nothing


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, (...,) and float32 or whatever they are.

    A .safetensors is read as such, any other with ``torch.load(weights_only=True)``, which runs no code of
    the file. Raises WeightsError for one that cannot be read so, or holds no tensors.
    """
    who = f"`weights` {path.name}"
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{who}: it holds more than tensors, and to read that could run code; save the tensors alone, "
            "with safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
        ) from error
    except Exception as error:  # of broken bytes: what torch and its unpickler raise has no common base
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise WeightsError(
            f"{who}: cannot be read ({reason}); a safetensors file is needed, or what torch.save makes of a "
            "state_dict"
        ) from error
    tensors = _tensors(content)
    if not tensors:
        raise WeightsError(f"{who}: it holds no tensors by name, as a state_dict does")
    return tensors


def _tensors(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for name in _NESTED:
        if inner := _tensors(content.get(name)):
            return inner
    return {name: one for name, one in content.items() if isinstance(name, str) and isinstance(one, Tensor)}


def load_weights(backbone: nn.Module, state: Mapping[str, Tensor], source: str) -> LoadedWeights:
    """Load the tensors of a file, float32 (...,), into a backbone, and return what was loaded.

    Names may have anything in front that the file has in front of all of the network's, as ``module.`` or
    ``model.backbone.``. The first layer is adapted to the number of channels, as for pretrained weights. A
    backbone with a method ``load_weights(state)`` takes the tensors itself. ``source`` says where they come
    from. Raises WeightsError where nothing matches, or a tensor has another shape.
    """
    own = _own_prefix(backbone.state_dict())
    wanted = {name.removeprefix(own): tensor for name, tensor in backbone.state_dict().items()}
    prefix = _prefix(state, wanted)
    given = {name.removeprefix(prefix): one for name, one in state.items() if name.startswith(prefix)}
    beside = [name for name in state if not name.startswith(prefix)]
    take: Any = getattr(backbone, "load_weights", None)
    if take is not None:
        with watched_loading() as loading:
            try:
                dropped: Iterable[str] = take(given) or ()
            except (RuntimeError, ValueError, KeyError) as error:
                reason = " ".join(str(error).split())[:150]
                raise WeightsError(f"{source}: its tensors do not fit the network ({reason})") from error
        result = loading.of(backbone)
        missing, unexpected = result.missing, [*result.unexpected, *dropped]
    else:
        missing, unexpected = _load(backbone, given, wanted, own, source)
    missing = tuple(name for name in missing if not name.endswith(_COUNTERS))
    total = sum(not name.endswith(_COUNTERS) for name in wanted)
    if len(missing) >= total:
        raise WeightsError(
            f"{source}: none of its {len(state):,} tensors ({few(sorted(state))}) is one of the network's "
            f"{total:,} ({few(list(wanted))}); these are the weights of another network"
        )
    return LoadedWeights(
        sha256=digest_of(given),
        source=source,
        missing=missing,
        unexpected=tuple(sorted([*unexpected, *beside])),
        tensors=total - len(missing),
    )


def _load(
    backbone: nn.Module, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], own: str, source: str
) -> tuple[tuple[str, ...], list[str]]:
    """Load by name; return the names that are missing, and those that have no place."""
    found = {name: _fitted(given[name], tensor) for name, tensor in wanted.items() if name in given}
    if wrong := [name for name, tensor in found.items() if tensor.shape != wanted[name].shape]:
        first = wrong[0]
        raise WeightsError(
            f"{source}: {len(wrong)} of {len(found)} tensors have other shapes than the network's ({first}: "
            f"{_x(given[first])}, the network's {_x(wanted[first])}); it is of another network"
        )
    result = backbone.load_state_dict({f"{own}{name}": one for name, one in found.items()}, strict=False)
    missing = tuple(name.removeprefix(own) for name in result.missing_keys)
    return missing, [name for name in given if name not in wanted]


def _fitted(tensor: Tensor, wanted: Tensor) -> Tensor:
    """Return the weights of a first layer for RGB, float32 (O, 3, h, w), for another number of channels."""
    if tensor.ndim == wanted.ndim == 4 and tensor.shape[1] == 3 != wanted.shape[1]:
        fitted = adapted(tensor, wanted.shape[1])
        return fitted if fitted.shape == wanted.shape else tensor
    return tensor


def _own_prefix(names: Iterable[str]) -> str:
    """Return what a wrapper has in front of all names of the network in it, such as ``model.``."""
    firsts = {name.partition(".")[0] for name in names if "." in name}
    wrapped = len(firsts) == 1 and all("." in name for name in names)
    return f"{firsts.pop()}." if wrapped else ""


def _prefix(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Return what the file has in front of the network's names: that with which most of them match."""
    matches: dict[str, int] = {"": 0}
    for name, tensor in state.items():
        parts = name.split(".")
        for depth in range(min(_DEPTH, len(parts) - 1) + 1):
            rest = ".".join(parts[depth:])
            if rest in wanted and tensor.ndim == wanted[rest].ndim:
                prefix = name.removesuffix(rest)
                matches[prefix] = matches.get(prefix, 0) + 1
    return max(matches, key=lambda prefix: (matches[prefix], -len(prefix)))


def _x(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "()"
