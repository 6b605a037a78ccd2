"""From a trained model's files to its network, as its run had it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from quadzoo.data.datamodule import pixels_tensor
from quadzoo.errors import BadModule, DataError, NameNotFound
from quadzoo.inference.view import View
from quadzoo.model.build import build_backbone, build_head, join, load_weights
from quadzoo.model.contract import backbone_width, named, predictions
from quadzoo.model.kernels import use_tf32
from quadzoo.model.regressor import RegressionModule
from quadzoo.records.keys import Provenance
from quadzoo.records.record import WEIGHTS
from quadzoo.records.trained import Trained
from quadzoo.registry import additions
from quadzoo.registry.catalogue import Catalogue, Entry, Names
from quadzoo.registry.containment import blamed
from quadzoo.registry.plugins import of_given
from quadzoo.registry.specs import BackboneSpec, HeadSpec
from quadzoo.targets import TargetInfo, unscale, unscale_spread

_MOST = 256  # images at once
_SHOWN = 40  # characters of a name
_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")  # as PyPI allows
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,60}")

Spec = TypeVar("Spec", BackboneSpec, HeadSpec)
Built = TypeVar("Built")


class Answers(NamedTuple):
    """Predictions for N images, float64 (N, T) in original units.

    ``unbounded`` are those that the head gives, where its answers end with the range of training, and else
    the same. ``spread`` is None for a head that has none.
    """

    values: np.ndarray
    unbounded: np.ndarray
    spread: np.ndarray | None


@dataclass(frozen=True)
class Network:
    """A trained network on its device; ``notes`` say what is not as it was when it was trained."""

    trained: Trained = field(repr=False)
    module: RegressionModule = field(repr=False)
    view: View
    notes: tuple[str, ...] = ()

    @property
    def batch_size(self) -> int:
        """How many images it is given at once: as many as in its run's test."""
        return min(self.trained.record.recipe.batch_size, _MOST)

    def predict(self, pixels: np.ndarray) -> Answers:
        """Return the predictions for N images, in original units.

        ``pixels`` are N images as its view shows them: uint8, uint16 or float32 (N, H, W, C). The network
        computes in the precision that the run had.
        """
        device, record = self.module.device, self.trained.record
        images = pixels_tensor(pixels).permute(0, 3, 1, 2)
        who = f"run {record.key[:16]} ({record.backbone[:_SHOWN]} + {record.head[:_SHOWN]})"
        with (
            blamed(lambda reason: BadModule(f"{who} cannot predict: {reason}")),
            torch.inference_mode(),
            _products_of_training(device),
            torch.autocast(device.type, torch.bfloat16, enabled=record.precision == "bf16"),
        ):
            values, unheld, spreads = [], [], []
            held = self.module.bounds is not None or hasattr(self.module.head, "unbounded")
            for some in torch.split(images, self.batch_size):
                raw = self.module(some.to(device))
                values.append(self.module.prediction_of(raw))
                with named(who):
                    predictions(values[-1], torch.empty(len(some), len(record.targets)))
                unheld.append(self.module.unbounded(raw) if held else values[-1])
                if (spread := self.module.spread(raw)) is not None:
                    spreads.append(spread)
        unit = self.trained.unit
        return Answers(
            unscale(_joined(values), unit),
            unscale(_joined(unheld), unit),
            unscale_spread(_joined(spreads), unit) if spreads else None,
        )


class Readout(nn.Module):
    """A network for other programs: images in 0 to 1 in, predictions in original units out.

    It maps float32 (B, C, H, W), of the size and the bands that its network sees, to float32 (B, T).
    """

    low: Tensor
    spread: Tensor

    def __init__(self, network: RegressionModule, unit: TargetInfo) -> None:
        super().__init__()
        self.network = network
        low, high = torch.tensor(unit.low, dtype=torch.float64), torch.tensor(unit.high, dtype=torch.float64)
        device = network.device
        self.register_buffer("low", low.float().to(device), persistent=False)
        self.register_buffer("spread", (high - low).float().to(device), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float32 (B, C, H, W) from 0 to 1, to predictions, float32 (B, T) in original units."""
        scaled: Tensor = self.network.predict(images * 255)
        return scaled * self.spread + self.low


def _joined(parts: Sequence[Tensor]) -> np.ndarray:
    """Return parts, float32 (n, T) each, as one array, float64 (N, T)."""
    joined: np.ndarray = torch.cat([*parts]).cpu().double().numpy()
    return joined


def network_of(trained: Trained, names: Catalogue, device: torch.device) -> Network:
    """Build a trained model's backbone and head, and load its weights; no others are looked for.

    Raises DataError where the plugin of one of them is missing, and BadModule where they cannot be built or
    the weights do not fit.
    """
    record = trained.record
    who = f"run {record.key[:16]}"
    view = View.of(record, who)
    of_backbone, of_head = record.provenance.backbone, record.provenance.head
    if record.network is not None:  # its backbone is in no list, and what it was found in may be gone
        additions.use_network(record.backbone, additions.Network(record.backbone, record.network))
    backbone = _entry(names.backbones, record.backbone, of_backbone, names, who)
    head = _entry(names.heads, record.head, of_head, names, who)
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and then replaced
        features = _built(
            f"{who}: backbone {record.backbone}",
            lambda: build_backbone(
                backbone.spec,
                pretrained=False,
                in_channels=record.image.channels,
                image_size=record.image.size,
            ),
        )
        answers = _built(
            f"{who}: head {record.head}",
            lambda: build_head(head.spec, num_features=backbone_width(features), targets=trained.unit),
        )
    module = join(
        backbone.spec, features, answers, record.recipe, record.image.channels, targets=trained.unit
    )
    load_weights(module, trained.folder / WEIGHTS, f"{who} do not fit {record.backbone} + {record.head}")
    if record.prediction_mode is not None:
        known = getattr(module.head, "prediction_modes", ())
        if record.prediction_mode not in known:
            raise DataError(
                f"{who}: head {record.head} has no prediction mode {record.prediction_mode[:40]!r}; it has "
                f"{', '.join(known) or 'one alone'}"
            )
        module.head.use_prediction_mode(record.prediction_mode)
    notes = [*_changed(backbone, of_backbone), *_changed(head, of_head)]
    return Network(trained, module.to(device).eval(), view, tuple(notes))


def _entry(names: Names[Spec], name: str, code: Provenance, catalogue: Catalogue, who: str) -> Entry[Spec]:
    """Return a backbone or head, from the distribution that the run had it from. Raises DataError."""
    kind = names.kind
    known = additions.remembered(kind, code.name, code.ingredients["version"]) if code.is_given else None
    if known:  # the very spec, whatever has its name by now
        return cast(Entry[Spec], Entry(cast(Any, known.spec), of_given(known)))
    try:
        entry = names[name]
    except NameNotFound as error:
        broken = [one for one in catalogue.plugins if one.failure and one.distribution == code.distribution]
        if broken:
            raise DataError(
                f"{who} needs {kind} {name!r}; its {broken[0]} fails: {broken[0].failure}"
            ) from error
        raise DataError(f"{who} needs {kind} {name!r}, which is not installed{_remedy(code)}") from error
    if entry.spec.name != code.name or not _is_one(entry.plugin.distribution, code.distribution):
        raise DataError(
            f"{who}: its {kind} {code.name!r} was that of {code.distribution!r}, but {name!r} is "
            f"{entry.spec.name!r} of {entry.plugin.distribution!r} here{_remedy(code)}"
        )
    return entry


def _remedy(code: Provenance) -> str:
    """Say how to install a distribution; nothing for a name that no distribution can have."""
    if code.distribution.startswith("./"):
        return ": it is from a one-file plugin; give the file with `plugin`"
    if code.is_given:
        return ": a program gave it, without a plugin; give it again: quadzoo.load(RUN, specs=[SPEC])"
    if not _DISTRIBUTION.fullmatch(code.distribution):
        return ""
    version = f" (it was version {code.version})" if _VERSION.fullmatch(code.version) else ""
    return f": pip install {code.distribution}{version}"


def _is_one(here: str, then: str) -> bool:
    """Say whether two names mean one distribution; of plugins that are files, their names do not count."""
    one, other = (re.sub(r"[-_.]+", "-", name).lower() for name in (here, then))
    return one == other or (here.startswith("./") and then.startswith("./"))


def _changed(entry: Entry[Any], code: Provenance) -> Iterator[str]:
    was, now = (one.ingredients["version"] for one in (code, Provenance(**entry.provenance)))
    if was != now:
        yield (
            f"{code.name} is version {now[:12]} here, the model was trained with {was[:12]}: it may predict "
            "otherwise"
        )


def _built(what: str, build: Callable[[], Built]) -> Built:
    """Return what a plugin builds. Raises BadModule for anything that it raises."""
    with blamed(lambda reason: BadModule(f"{what} cannot be built: {reason}")):
        return build()


@contextmanager
def _products_of_training(device: torch.device) -> Iterator[None]:
    """Multiply float32 as training does on this device."""
    before = torch.get_float32_matmul_precision()
    use_tf32(device.type == "cuda")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
