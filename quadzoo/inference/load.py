"""A trained model, ready to use: `quadzoo.load` returns one, and `quadzoo predict` uses it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from quadzoo.data.reading import Advance
from quadzoo.data.texts import listed
from quadzoo.errors import ConfigError
from quadzoo.inference.images import Given, Image, groups_in_frame, images_of
from quadzoo.inference.network import Network, Readout, network_of
from quadzoo.inference.predict import Member, Predicted, predict
from quadzoo.model.device import why_unusable
from quadzoo.records.record import RunRecord
from quadzoo.records.trained import Trained
from quadzoo.registry.catalogue import Catalogue

_LARGER = 10  # times: a range of targets that is not in the same unit as the other


class Model:
    """A trained network, or the mean of several, that predicts images in original units.

    ``targets`` are their names, and ``integer`` says of each whether it is a whole number. ``told`` says
    which runs stand behind a name such as ``best``, and ``warnings`` what to know before use. Make one with
    `quadzoo.load`.
    """

    def __init__(
        self, members: Sequence[Member], *, told: Sequence[str] = (), warned: Sequence[str] = ()
    ) -> None:
        self.members = tuple(members)
        self.told = list(told)
        record = self._first.trained.record
        self.targets = list(record.targets)
        self.integer = [all(flags) for flags in zip(
            *(one.network.trained.record.target_integer for one in members), strict=True
        )]  # fmt: skip
        self.warnings = [*warned, *dict.fromkeys(note for one in members for note in one.network.notes)]

    def __repr__(self) -> str:
        runs = listed([f"{run['backbone']} + {run['head']} seed {run['seed']}" for run in self.runs])
        return f"<quadzoo Model: {runs}; predicts {', '.join(self.targets)}>"

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The key, backbone, head and seed of each run, and its weight in the mean prediction."""
        records = [one.network.trained.record for one in self.members]
        return [
            {**record.model_dump(include={"key", "backbone", "head", "seed"}), "weight": member.weight}
            for record, member in zip(records, self.members, strict=True)
        ]

    @property
    def _first(self) -> Network:
        return self.members[0].network

    @property
    def image_size(self) -> tuple[int, int]:
        """The height and width in pixels of the images that the network gets.

        Raises ConfigError for several networks that get different images.
        """
        self._check_alike("image_size")
        return self._first.view.geometry.size

    @property
    def module(self) -> nn.Module:
        """The network for other programs, on its device and in evaluation mode.

        It maps images, float32 (B, C, H, W) from 0 to 1, of ``image_size`` and cropped and scaled as in
        training, to predictions, float32 (B, T) in original units. It computes in float32, whatever precision
        the run had. Raises ConfigError for several networks that get different images.
        """
        self._check_alike("module")
        readouts = [Readout(one.network.module, one.network.trained.unit) for one in self.members]
        if len(readouts) == 1:
            return readouts[0].eval()
        return _Mean(readouts, [one.weight for one in self.members]).eval()

    def predict(
        self, images: Given, interval: float | None = None, interval_by: str | None = None
    ) -> pd.DataFrame:
        """Return predictions: a DataFrame with ``id`` and the targets, float64 in original units.

        ``images`` are paths, folders or patterns, arrays (H, W), (H, W, C) or (N, H, W, C) of uint8, uint16
        or floating point, whose values mean what those of the training images' files do, or a DataFrame,
        whose index the result has; `quadzoo.inference.images.images_of` says which of its columns is read.
        Files and arrays go through the code that prepares training images. With ``interval``, a share such as
        0.9, there are also <target>_low and <target>_high. With ``interval_by``, a column of the DataFrame
        that holds the group of each image, they are calibrated on the val images of that group; the run needs
        a group column. An image of a group that no val image has gets NaN for them.

        An image that cannot be read or does not fit has NaN for its targets, and the column ``error`` says
        why; a Python warning counts such images, and others count what is unlike the training images. Raises
        DataError for what is no image, path or array, and for a column that is not there, and ConfigError or
        DataError for intervals that cannot be had.
        """
        groups = None
        if interval_by is not None:
            if not isinstance(images, pd.DataFrame):
                raise ConfigError(
                    "`interval_by` names a column of a DataFrame; give one with the images and their groups"
                )
            groups = groups_in_frame(images, interval_by)
        found = images_of(images)
        done = self.predicted(found, interval=interval, groups=groups)
        for text in [*done.warnings, *_in_words(done, len(found))]:
            warnings.warn(text, stacklevel=2)
        has_index = isinstance(images, pd.DataFrame | pd.Series) and len(images) == len(found)
        return done.frame.set_index(images.index) if has_index else done.frame

    def predicted(
        self,
        images: Sequence[Image],
        *,
        interval: float | None = None,
        groups: Sequence[str] | None = None,
        advance: Advance = lambda _: None,
    ) -> Predicted:
        """Return predictions of images, with what is to be told of them; see `quadzoo.inference.predict`."""
        return predict(self.members, images, interval=interval, groups=groups, advance=advance)

    def _check_alike(self, what: str) -> None:
        if len({one.network.view.geometry for one in self.members}) > 1:
            raise ConfigError(
                f"{what}: the {len(self.members)} networks get images of different sizes or values; use "
                "predict, or load them one by one"
            )


class _Mean(nn.Module):
    """The mean of several networks that see the same images, (B, C, H, W) to (B, T)."""

    def __init__(self, modules: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.members = nn.ModuleList(modules)
        self.weights = list(weights)

    def forward(self, images: Tensor) -> Tensor:
        predictions = [weight * one(images) for one, weight in zip(self.members, self.weights, strict=True)]
        return torch.stack(predictions).sum(dim=0)


def load_model(
    found: Sequence[tuple[Trained, float]],
    names: Catalogue,
    device: str,
    *,
    told: Sequence[str] = (),
    warned: Sequence[str] = (),
) -> Model:
    """Return the model that some trained ones are together, each with its weight.

    ``device`` is auto, cpu, cuda or mps; ``told`` and ``warned`` are as `Model` has them. Raises ConfigError
    for models of different targets and for a device that is not there, and DataError or BadModule for a
    model that cannot be built here.
    """
    first, *others = (trained.record for trained, _ in found)
    for other in others:
        if other.targets != first.targets:
            raise ConfigError(
                f"run {other.key} predicts {listed(other.targets)}, run {first.key} {listed(first.targets)}; "
                "only runs with the same targets, in the same order, can be averaged"
            )
        _check_same_unit(first, other)
    where, instead = _device(device)
    warned = [*warned, *instead]
    total = sum(weight for _, weight in found)
    members = [Member(network_of(trained, names, where), weight / total) for trained, weight in found]
    return Model(members, told=told, warned=warned)


def _check_same_unit(first: RunRecord, other: RunRecord) -> None:
    """Raise ConfigError where the targets of two runs can have no unit in common."""
    ranges = [zip(one.target_low, one.target_high, strict=True) for one in (first, other)]
    for name, (low, high), (other_low, other_high) in zip(first.targets, *ranges, strict=True):
        small, large = sorted((high - low, other_high - other_low))
        if other_low > high or other_high < low or large > _LARGER * small:
            here, there = f"{low:.4g} to {high:.4g}", f"{other_low:.4g} to {other_high:.4g}"
            raise ConfigError(
                f"{name} is {here} in run {first.key}, and {there} in run {other.key}: of two units there is "
                "no mean; name runs of one data set"
            )


def _device(name: str) -> tuple[torch.device, list[str]]:
    """Return the device of a name, and what is to be told where it is not the one that torch sees."""
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise ConfigError(f"`device` {name[:40]!r}: say auto, cpu, cuda or mps")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name in there and not there[name]:
        what = "GPU" if name == "cuda" else "MPS device, the GPU of Macs,"
        raise ConfigError(f"`device` {name}: there is no {what} that torch can use; say cpu or auto")
    cpu = torch.device("cpu")
    if name == "cpu" or (name == "auto" and not there["cuda"]):
        return cpu, []
    device = torch.device("cuda" if name == "auto" else name)
    if reason := why_unusable(device):
        if name != "auto":
            raise ConfigError(f"`device` {name}: it cannot be used: {reason}; say cpu")
        return cpu, [f"the GPU cannot be used: {reason}. Predictions are made on the CPU."]
    return device, []


def _in_words(done: Predicted, n: int) -> list[str]:
    errors = done.errors
    if not errors:
        return []
    first, why = errors[0]
    return [f"{len(errors):,} of {n:,} images cannot be predicted; the first is {first}: {why}"]
