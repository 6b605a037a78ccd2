"""What a plugin hands over: cheap data now, ``build()`` later.

Nothing here imports torch, so that listing a thousand models costs nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from quadzoo.targets import TargetInfo

if TYPE_CHECKING:
    from torch import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Names end up in paths, tables and comma-separated flags.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)?")


class BackboneBuilder(Protocol):
    """Builds a backbone: images in, features out."""

    def __call__(self, *, pretrained: bool, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
        """Return a module with an int attribute ``num_features`` = F.

        It maps (B, in_channels, H, W) float32, normalised with the spec's mean and std, to features
        (B, F, h, w) or (B, F); ``image_size`` is (H, W) in pixels.
        """


class HeadBuilder(Protocol):
    """Builds a head: features in, prediction and loss out."""

    def __call__(self, *, num_features: int, targets: TargetInfo) -> nn.Module:
        """Return a module with ``forward``, ``loss`` and ``predict``.

        ``forward(features (B, F, h, w)) -> raw``, ``loss(raw, target (B, T)) -> scalar`` and
        ``predict(raw) -> (B, T)``; target and prediction are in the scaled unit of `TargetInfo`.
        """


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """A backbone that can be asked for by name.

    ``mean`` and ``std`` are per channel, for images in [0, 1]; a grey image uses their average.
    Raises ValueError when a field makes no sense.
    """

    name: str
    build: BackboneBuilder
    description: str = ""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    license: str = ""

    def __post_init__(self) -> None:
        _check(self.name, self.build)
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(
                f"backbone {self.name!r}: mean and std take three numbers each, std above 0; "
                f"got {self.mean} and {self.std}"
            )


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A head that can be asked for by name. Raises ValueError when a field makes no sense."""

    name: str
    build: HeadBuilder
    description: str = ""

    def __post_init__(self) -> None:
        _check(self.name, self.build)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A trained model that can be asked for by name, to test it or to start from it.

    ``folder`` holds the record.json and the model.safetensors that a run left. Raises ValueError when a field
    makes no sense; the folder is read when the model is asked for.
    """

    name: str
    folder: Path
    description: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not isinstance(self.folder, str | os.PathLike):
            raise ValueError(f"model {self.name!r}: folder must be a path, got {self.folder!r}")
        object.__setattr__(self, "folder", Path(self.folder))


def _check(name: object, build: Callable[..., object]) -> None:
    _check_name(name)
    if not callable(build):
        raise ValueError(f"{name!r}: build must be callable, got {build!r}")


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"name {name!r} must be letters, digits and . _ + -, with at most one / after a namespace"
        )
