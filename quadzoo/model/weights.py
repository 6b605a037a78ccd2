"""What a backbone was really loaded with: watched while it is built."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class LoadedWeights:
    """Pretrained weights as they were loaded.

    ``sha256`` stands for names, types, shapes and values of the tensors that were read; ``source`` and
    ``tag`` are where they come from and which set it is, where the backbone says so. ``missing`` are the
    tensors of the network that the weights lack, and which were left as initialised; ``unexpected`` those
    that it has no place for. ``tensors`` counts those of the network that were loaded from a file; None where
    that was not counted.
    """

    sha256: str
    source: str = ""
    tag: str = ""
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    tensors: int | None = None

    def __str__(self) -> str:
        parts = [self.source, self.tag, f"SHA-256 {self.sha256[:12]}"]
        if self.tensors is not None:
            parts.append(f"{self.tensors} tensors loaded")
        if self.missing:
            parts.append(f"{len(self.missing)} tensors not in the weights: {few(self.missing)}")
        if self.unexpected:
            parts.append(f"{len(self.unexpected)} tensors of the weights unused: {few(self.unexpected)}")
        return ", ".join(part for part in parts if part)


@dataclass
class Loading:
    """What happens while a backbone is built; ask `of` afterwards."""

    read: set[str] = field(default_factory=set)
    loads: list[_Load] = field(default_factory=list)

    def of(self, backbone: nn.Module) -> LoadedWeights:
        """Return what was loaded into ``backbone``.

        The SHA-256 is that of the files' tensors, before a network fits them to its size, since resampling
        gives other last digits on other processors. Where no file was seen to be read it is that of the
        tensors that were loaded, and where none were, of the network's own.
        """
        kept = {id(tensor) for tensor in (*backbone.parameters(), *backbone.buffers())}
        loads = [load for load in self.loads if load.tensors & kept]
        digests = sorted(self.read or {load.digest for load in loads} or {digest_of(backbone.state_dict())})
        source, tag = _names_of(backbone)
        return LoadedWeights(
            sha256=digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest(),
            source=source,
            tag=tag,
            missing=tuple(sorted({name for load in loads for name in load.missing})),
            unexpected=tuple(sorted({name for load in loads for name in load.unexpected})),
        )


@dataclass(frozen=True)
class _Load:
    """One call of ``load_state_dict``."""

    digest: str
    references: list[weakref.ref[Tensor]]
    missing: Sequence[str]
    unexpected: Sequence[str]

    @property
    def tensors(self) -> set[int]:
        """The ids of the module's tensors that still exist."""
        return {id(tensor) for reference in self.references if (tensor := reference()) is not None}


@contextmanager
def watched_loading() -> Iterator[Loading]:
    """Watch torch and safetensors load weights while backbones are built; one thread at a time."""
    import safetensors.torch
    import torch
    from torch import nn

    loading, load_state_dict = Loading(), nn.Module.load_state_dict

    def reading(function: Any) -> Any:
        def read(*arguments: Any, **options: Any) -> Any:
            content = function(*arguments, **options)
            loading.read.add(digest_of(content))
            return content

        return read

    def loading_state(module: nn.Module, state_dict: Mapping[str, Any], *rest: Any, **options: Any) -> Any:
        digest = digest_of(state_dict)
        result = load_state_dict(module, state_dict, *rest, **options)
        tensors = [weakref.ref(tensor) for tensor in (*module.parameters(), *module.buffers())]
        loading.loads.append(_Load(digest, tensors, result.missing_keys, result.unexpected_keys))
        return result

    with (
        mock.patch.object(torch, "load", reading(torch.load)),
        mock.patch.object(safetensors.torch, "load_file", reading(safetensors.torch.load_file)),
        mock.patch.object(nn.Module, "load_state_dict", loading_state),
    ):
        yield loading


def digest_of(content: Any) -> str:
    """Return a SHA-256 of all tensors in nested mappings and lists, whatever the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(_tensors(content), key=lambda item: item[0]):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(_bytes_of(tensor))
    return digest.hexdigest()


def _bytes_of(tensor: Tensor) -> Any:
    import torch

    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()


def _tensors(content: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    from torch import Tensor

    if isinstance(content, Tensor):
        yield name, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _tensors(value, f"{name}.{key}")
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from _tensors(value, f"{name}.{index}")


def _names_of(backbone: nn.Module) -> tuple[str, str]:
    """Return source and tag:

    a backbone's own ``weights_source`` and ``weights_tag``, else timm's configuration.
    """
    source, tag = (getattr(backbone, name, "") for name in ("weights_source", "weights_tag"))
    if source or tag:
        return str(source), str(tag)
    for module in backbone.modules():
        config = getattr(module, "pretrained_cfg", None)
        if isinstance(config, Mapping):
            hub = config.get("hf_hub_id")
            source = f"hf-hub:{hub}" if hub else config.get("url") or config.get("file") or ""
            return str(source), str(config.get("tag") or "")
    return "", ""


def few(names: Sequence[str]) -> str:
    """Return the first three names, and whether there are more."""
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
