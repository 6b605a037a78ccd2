"""What a plugin registers: a name and a few facts, and ``build`` for later.

Nothing here imports torch, so that listing a thousand models takes no time.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from quadzoo.targets import TargetInfo

if TYPE_CHECKING:
    from torch import nn

Unit = Literal["range", "standard"]
"""A scaled unit: each target's range to 0 to 1, or its mean to 0 and its standard deviation to 1."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Names end up in paths, tables and comma-separated flags.
_NAME = re.compile(r"(?=.{1,120}$)[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)?")
_SHOWN = 40  # characters of a name
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")


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
        ``predict(raw) -> (B, T)``; target and prediction are in the scaled unit of `TargetInfo`. A method
        ``start(features (N, F), target (N, T))``, where there is one, is called once before training, with
        the float32 mean features and targets of the training images (at most 5,000), if the backbone is
        pretrained or frozen; then nothing else is asked of the head that is not asked of all.
        """


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """A backbone, by name.

    ``mean`` and ``std`` are per channel, for images in 0 to 1; images of one or two channels use their
    averages; of more than three, the further ones are normalised by the training images. ``revision`` stands
    for the code in a run's identity: raise it when scores may change. Without one the distribution's version
    counts. ``network`` is for a plugin that finds backbones by name: JSON-like data from which it makes the
    spec again where what it was found in is gone; a run's record keeps it. Raises ValueError for a field that
    makes no sense.
    """

    name: str
    build: BackboneBuilder
    description: str = ""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    license: str = ""
    revision: str = ""
    network: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        who = f"backbone {self.name!r}"
        _check_build(who, self.build)
        _check_texts(who, description=self.description, license=self.license)
        _check_revision(who, self.revision)
        if self.network is not None and not isinstance(self.network, Mapping):
            raise ValueError(f"{who}: `network` must be a mapping or None, got {self.network!r}")
        mean, std = _three(who, "mean", self.mean), _three(who, "std", self.std)
        largest = max(*mean, *std)
        if largest > 1:
            most = 255 if largest <= 255 else 65535
            raise ValueError(
                f"{who}: images come in 0 to 1, so `mean` and `std` must lie there, too, got {self.mean} and "
                f"{self.std}; if they are meant for 0 to {most}, divide both by {most}"
            )
        if min(mean) < 0 or min(std) <= 0:
            raise ValueError(
                f"{who}: `mean` must be 0 or more and `std` above 0; got {self.mean} and {self.std}"
            )
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A head, by name.

    ``unit`` is the scaled unit that the head learns best in: ``range`` maps each target's range to 0 to 1,
    which a head that classifies needs; ``standard`` maps its mean to 0 and its standard deviation to 1.
    ``closed_form`` says that the head is fitted by its method ``start`` alone, to the features of a frozen
    backbone, and has nothing to train. ``revision`` is as in `BackboneSpec`. Raises ValueError for a field
    that makes no sense.
    """

    name: str
    build: HeadBuilder
    description: str = ""
    revision: str = ""
    unit: Unit = "range"
    closed_form: bool = False

    def __post_init__(self) -> None:
        _check_name(self.name)
        who = f"head {self.name!r}"
        _check_build(who, self.build)
        _check_texts(who, description=self.description)
        _check_revision(who, self.revision)
        if self.unit not in get_args(Unit):
            raise ValueError(f"{who}: `unit` must be 'range' or 'standard', got {self.unit!r}")
        if not isinstance(self.closed_form, bool):
            raise ValueError(f"{who}: `closed_form` must be True or False, got {self.closed_form!r}")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A trained model, by name: to test it or to start from it.

    ``folder`` holds the record.json and the model.safetensors of a run. It is read when the model is used.
    Raises ValueError for a field that makes no sense.
    """

    name: str
    folder: Path
    description: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name)
        who = f"model {self.name!r}"
        if not isinstance(self.folder, str | os.PathLike):
            raise ValueError(f"{who}: `folder` must be a path, got {self.folder!r}")
        if "\0" in os.fsdecode(self.folder):
            raise ValueError(f"{who}: `folder` holds a NUL character, which no path has")
        _check_texts(who, description=self.description, license=self.license)
        object.__setattr__(self, "folder", Path(self.folder))


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"`name` {str(name)[:_SHOWN]!r} must be letters, digits and . _ + -, with at most one / after a "
            "namespace"
        )


def _check_build(who: str, build: Callable[..., object]) -> None:
    if not callable(build):
        raise ValueError(f"{who}: `build` must be callable, got {build!r}")


def _check_texts(who: str, **texts: object) -> None:
    for parameter, text in texts.items():
        if not isinstance(text, str):
            raise ValueError(f"{who}: `{parameter}` must be a string, got {text!r}")


def _check_revision(who: str, revision: object) -> None:
    if revision != "" and not (isinstance(revision, str) and _REVISION.fullmatch(revision)):
        raise ValueError(
            f"{who}: `revision` must be at most 40 letters, digits and . _ + -, such as '2'; got {revision!r}"
        )


def _three(who: str, parameter: str, values: Sequence[float]) -> tuple[float, float, float]:
    """Return three finite numbers, one per channel, as floats."""
    numbers = tuple(values) if isinstance(values, Sequence) else ()
    if len(numbers) != 3 or not all(map(_is_finite, numbers)):
        raise ValueError(
            f"{who}: `{parameter}` must be three finite numbers, one per channel; got {values!r}"
        )
    return (float(numbers[0]), float(numbers[1]), float(numbers[2]))


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
