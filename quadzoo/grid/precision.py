"""Choose between float32 and bf16 by trying both, once for each backbone, size and machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from quadzoo.data.cache import ImageSet
from quadzoo.data.sources import precision_folder
from quadzoo.executors.local import Executor, Tell
from quadzoo.grid.plan import Arithmetic, Device, Model, Precision
from quadzoo.model.recipe import Recipe
from quadzoo.records.record import hash_of
from quadzoo.registry.catalogue import Catalogue
from quadzoo.storage import write_atomically

# How much faster bf16 must be. Networks of dense convolutions gain half, others hardly anything: measured
# between the two, the answer is the same each time.
_GAIN = 1.25
# Of the norm of float32's; a wrong result is off by about all of it.
_TOLERANCE = {"features": 0.05, "gradient": 0.05}
_WARM_UP = 2
_SECONDS = 1.0  # of steps, unless warming up and two in each precision take longer
_LONG = 1800.0
_KEPT = TypeAdapter(Arithmetic)


@dataclass(frozen=True)
class _Trial:
    """What a child needs to know: the first batch, and on what it is tried."""

    backbone: str
    images: Path
    channels: int
    size: tuple[int, int]
    batch_size: int
    device: str


def find_precisions(
    executor: Executor,
    backbones: Iterable[str],
    wanted: Precision | Literal["auto"],
    names: Catalogue,
    images: ImageSet,
    *,
    recipe: Recipe,
    model: Model | None,
    device: Device,
    timeout: float | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Arithmetic]:
    """Decide in which precision each backbone runs. ``wanted`` is auto, 32 or bf16.

    With auto it is bf16 where the device multiplies it natively, a training step of the backbone on the
    first batch is at least 1.25 times as fast, and there features and gradient are within 5 % of float32's,
    by their norms. The answer is kept in the cache folder, and does not depend on how many runs share the
    machine, so that it gives the same keys each time. A trained ``model`` that is only tested keeps its own.
    """
    if wanted != "auto":
        return {name: Arithmetic(wanted, "asked for") for name in backbones}
    if not device.bf16:
        return {name: Arithmetic("32", "bf16 is not native here") for name in backbones}
    if model and recipe.epochs == 0:
        return {name: Arithmetic(model.record.precision, "as it was trained") for name in backbones}
    found = {}
    for name in backbones:
        geometry = images.geometry
        trial = _Trial(name, images.file, geometry.channels, geometry.size, recipe.batch_size, device.kind)
        circumstances = asdict(trial) | {
            "backbone": None,  # it may have two names; its provenance has one
            "images": None,
            "device": asdict(device),
            "provenance": names.backbones[name].provenance,
            "torch": version("torch"),
        }
        key = hash_of(circumstances)
        kept = precision_folder() / f"{key}.json"
        try:
            found[name] = _KEPT.validate_json(kept.read_bytes())
        except (OSError, ValidationError):
            advance(0)
            measured = _ask(executor, trial, timeout or _LONG)
            found[name] = _judged(measured)
            if measured:
                write_atomically(kept, _KEPT.dump_json(found[name]))
        advance(1)
    return found


def _judged(measured: dict[str, float] | None) -> Arithmetic:
    if measured is None:
        return Arithmetic("32", "bf16 could not be tried")
    off = {what: measured[what] for what, most in _TOLERANCE.items() if not measured[what] <= most}
    if off:
        faults = " and ".join(f"{what} {share:.0%}" for what, share in off.items())
        return Arithmetic("32", f"on the first batch bf16 is off by {faults}")
    gain = f"bf16 is {measured['gain']:.2f} times as fast"
    return Arithmetic("bf16" if measured["gain"] >= _GAIN else "32", gain)


def _ask(executor: Executor, trial: _Trial, timeout: float) -> dict[str, float] | None:
    """Return gain and errors of bf16; None where the backbone cannot be tried, as its run will tell."""
    with executor.asked(f"{__name__}:try_precisions", trial) as child:
        answers: list[dict[str, float]] = list(child.messages(timeout))
    return answers[0] if answers else None


def try_precisions(trial: _Trial, tell: Tell) -> None:
    """Child's side: step in both precisions by turns; tell what bf16 gains, and how far it is off."""
    import torch
    from torch import Tensor, nn

    from quadzoo.data.datamodule import ArrayFile
    from quadzoo.registry import catalogue
    from quadzoo.training.run import joined, use_tf32

    torch.manual_seed(0)
    use_tf32(trial.device == "cuda")
    spec = catalogue.load().backbones[trial.backbone].spec
    backbone = spec.build(pretrained=False, in_channels=trial.channels, image_size=trial.size)
    module = joined(spec, backbone, nn.Identity(), Recipe(), trial.channels).to(trial.device)
    file = ArrayFile(trial.images)
    rows = torch.arange(trial.batch_size) % file.shape[0]
    batch = file[rows].permute(0, 3, 1, 2).to(trial.device)

    def step(bf16: bool) -> tuple[Tensor, Tensor]:
        module.zero_grad()
        with torch.autocast(trial.device, torch.bfloat16, enabled=bf16):
            features = module.features(batch).float()
        torch.autograd.backward(features.square().mean())
        gradient = [p.grad.flatten() for p in module.parameters() if p.grad is not None]
        return features.detach(), torch.cat(gradient)

    def seconds(bf16: bool) -> float:
        clock = time.perf_counter()
        step(bf16)[1][0].item()  # waits for a GPU
        return time.perf_counter() - clock

    # Before any step in training mode: without dropout, and with statistics that do not amplify what differs.
    module.eval()
    pairs = zip(step(True), step(False), strict=True)
    errors = [float((half - full).norm() / full.norm()) for half, full in pairs]

    taken: dict[bool, list[float]] = {False: [], True: []}
    module.train()
    while len(taken[True]) < _WARM_UP + 2 or sum(map(sum, taken.values())) < _SECONDS:
        for bf16, times in taken.items():
            times.append(seconds(bf16))
    fastest = {bf16: min(times[_WARM_UP:]) for bf16, times in taken.items()}

    tell({"gain": fastest[False] / fastest[True], **dict(zip(_TOLERANCE, errors, strict=True))})
