"""What is known of an export beside its files, for the card and for the caller."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quadzoo.records.record import RunRecord
from quadzoo.registry.catalogue import Catalogue

ONNX = "model.onnx"
TOLERANCE = 1e-3  # of a target's range
_TIMM = "timm/"  # what the names of timm's backbones begin with


@dataclass(frozen=True)
class Elsewhere:
    """The largest difference at other sizes than those of the model's own images, and where that is.

    It is a share of the target's range, over ``n`` images of ``sizes`` sizes; ``worst`` is a height and a
    width in pixels.
    """

    n: int
    sizes: int
    share: float
    worst: tuple[int, int]

    @property
    def is_exact(self) -> bool:
        """Whether the graph is there as exact as at the sizes of the model's own images."""
        return self.share <= TOLERANCE  # NaN is not


@dataclass(frozen=True)
class Checked:
    """How far an ONNX graph is from the network it was made of, over ``n`` images of ``sizes`` sizes.

    ``input`` says in words what the graph takes. ``difference`` is the largest difference for each target, in
    its own unit, ``share`` the largest of all as a share of the target's range. ``real`` says that the images
    are real ones, and not made. ``of_run`` is the same share against predictions in the run's own
    precision, None where that is float32. ``elsewhere`` is of other sizes than the model's own images have,
    None where no such image could be predicted.
    """

    input: str
    n: int
    sizes: int
    real: bool
    difference: dict[str, float]
    share: float
    of_run: float | None = None
    elsewhere: Elsewhere | None = None


@dataclass(frozen=True)
class License:
    """Where the weights that training started from come from, and their licence; empty where unknown."""

    source: str = ""
    name: str = ""


@dataclass(frozen=True)
class Exported:
    """A folder that was written, the names of its files, what was done, and what to know before use.

    ``checked`` is of its ONNX graph, None without one.
    """

    folder: Path
    files: tuple[str, ...]
    told: tuple[str, ...]
    warnings: tuple[str, ...]
    checked: Checked | None = None


def license_of(record: RunRecord, names: Catalogue) -> License:
    """Return what is known of the pretrained weights that a run started from.

    The licence is the backbone's own, or what timm says of these weights.
    """
    loaded = record.loaded
    if record.weights != "pretrained":  # of a file of weights nobody knows the licence
        return License(source=loaded.source if loaded else "")
    from quadzoo.errors import QuadzooError

    code = record.provenance.backbone
    source = loaded.source if loaded else ""
    try:
        name = names.backbones[record.backbone].spec.license
    except QuadzooError:  # not installed here
        name = ""
    if not name and code.name.startswith(_TIMM):
        name = _of_timm(record, code.name.removeprefix(_TIMM).partition(".")[0])
    return License(source or code.distribution, name)


def _of_timm(record: RunRecord, architecture: str) -> str:
    """Return the licence that timm, or the network's own description, gives for the weights."""
    if record.network is not None:
        given = record.network.get("pretrained_cfg")
        return str(given.get("license") or "") if isinstance(given, dict) else ""
    import timm

    tag = record.loaded.tag if record.loaded else ""
    config = timm.get_pretrained_cfg(
        f"{architecture}.{tag}" if tag else architecture, allow_unregistered=True
    )
    return str(config.license or "") if config else ""
