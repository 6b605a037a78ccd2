"""Choose between float32 and bf16, once for each results folder and backbone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from quadzoo.data.cache import ImageSet
from quadzoo.data.sources import precision_folder
from quadzoo.errors import DataError
from quadzoo.executors.base import Executor, Needs, NoAnswer, Send, answer
from quadzoo.grid.agreement import ON_GPU, faults, judge_on_gpu
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.models import Model
from quadzoo.grid.plan import PrecisionChoice
from quadzoo.records.keys import Provenance, hash_of
from quadzoo.registry.catalogue import Catalogue
from quadzoo.storage import lock, read_regular, write_atomically
from quadzoo.training.device import take
from quadzoo.training.task import Device

CHOICES = "precision.json"  # in the results folder
# How much faster bf16 must be. Networks of dense convolutions gain half, others hardly anything: measured
# between the two, the answer is the same each time.
_GAIN = 1.25
_WARM_UP = 2
_SECONDS = 1.0  # of steps, unless warming up and two in each precision take longer
_LONG = 1800.0
_MOST_BYTES = 1 << 20  # of precision.json
_CHOICE = TypeAdapter(PrecisionChoice)
_CHOICES = TypeAdapter(dict[str, PrecisionChoice])


@dataclass(frozen=True)
class Trial:
    """What a child needs to know: the first batch, and on what it is tried."""

    backbone: str
    images: Path
    channels: int
    size: tuple[int, int]
    batch_size: int
    device: Device


@dataclass(frozen=True)
class PrecisionChooser:
    """Decides in which precision backbones run.

    With `precision` auto it is bf16 where the device multiplies it natively, features and gradient of the
    backbone on the first batch are within 5 % of float32's, by their norms, and, on a CPU, a training step is
    at least 1.25 times as fast. The choice is kept in the results folder, so that later runs of the backbone
    there are made alike on any machine, and in the cache folder, so that new results folders on this machine
    begin alike. A trained ``model`` that is only tested keeps its own precision. With ``keep`` false nothing
    is written to the results folder.
    """

    executor: Executor
    config: BenchConfig
    catalogue: Catalogue
    images: ImageSet
    device: Device
    model: Model | None
    keep: bool
    counting: Callable[[str, int], Callable[[int], None]]

    def choose(self, backbones: Iterable[str]) -> dict[str, PrecisionChoice]:
        """Return the choice for each backbone."""
        config, wanted, backbones = self.config, self.config.precision, list(backbones)
        if wanted != "auto":
            return {name: PrecisionChoice(wanted, "as asked for") for name in backbones}
        if self.model and config.recipe.epochs == 0:
            return {
                name: PrecisionChoice(self.model.record.precision, "as it was trained") for name in backbones
            }
        advance = self.counting("trying precisions", len(backbones))
        choices = {}
        for name in backbones:
            choices[name] = self._auto(name, advance)
            advance(1)
        return choices

    def _auto(self, backbone: str, advance: Callable[[int], None]) -> PrecisionChoice:
        if not self.keep:
            return self._kept().get(self._code(backbone)) or self._tried(backbone, advance)[0]
        with lock(self.config.out / f".{CHOICES}.lock"):  # another bench may be choosing here
            kept = self._kept()
            if (code := self._code(backbone)) not in kept:
                choice, certain = self._tried(backbone, advance)
                if not certain:
                    return choice
                kept[code] = choice
                write_atomically(self.config.out / CHOICES, _CHOICES.dump_json(kept, indent=1))
            return kept[code]

    def _kept(self) -> dict[str, PrecisionChoice]:
        path = self.config.out / CHOICES
        try:
            return _CHOICES.validate_json(read_regular(path, _MOST_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            raise DataError(f"{path}: cannot be read; delete it, and precisions are chosen again") from error

    def _code(self, backbone: str) -> str:
        code = Provenance(**self.catalogue.backbones[backbone].provenance).ingredients
        return f"{code['name']} ({code['distribution']} {code['version']})"

    def _tried(self, backbone: str, advance: Callable[[int], None]) -> tuple[PrecisionChoice, bool]:
        """Try both, or return the answer of an earlier trial in the same circumstances.

        Also return whether the answer is certain: that of a trial that broke off is not, and is not kept.
        """
        if not self.device.bf16:
            return PrecisionChoice("32", "bf16 is not native here"), True
        geometry, recipe = self.images.geometry, self.config.recipe
        trial = Trial(
            backbone,
            self.images.file,
            geometry.channels,
            geometry.size,
            recipe.batch_size,
            replace(self.device, memory=None),
        )
        circumstances = asdict(trial) | {
            "backbone": self._code(backbone),  # it may answer to two names
            "images": None,
            "device": {name: getattr(self.device, name) for name in ("kind", "name", "bf16")},
            "torch": version("torch"),
        }
        path = precision_folder() / f"{hash_of(circumstances)}.json"
        try:
            return _CHOICE.validate_json(read_regular(path, _MOST_BYTES)), True
        except (OSError, ValidationError):
            advance(0)
            on_gpu = self.device.kind == "cuda"
            work = ON_GPU if on_gpu else f"{__name__}:try_precisions"
            measured = _measure(self.executor, work, trial, self.config.timeout or _LONG)
            choice, certain = judge_on_gpu(measured) if on_gpu else _judge(measured)
            if certain:
                write_atomically(path, _CHOICE.dump_json(choice))
        return choice, certain


def _judge(measured: dict[str, Any] | str) -> tuple[PrecisionChoice, bool]:
    if isinstance(measured, str):
        return PrecisionChoice("32", f"bf16 could not be tried: {measured}"), False
    if wrong := faults(measured):
        return PrecisionChoice("32", wrong), True
    gain = f"bf16 is {measured['gain']:.2f} times as fast"
    return PrecisionChoice("bf16" if measured["gain"] >= _GAIN else "32", gain), True


def _measure(executor: Executor, work: str, trial: Trial, timeout: float) -> dict[str, Any] | str:
    """Return what a trial found, or why the backbone could not be tried."""
    needs = Needs(gpus=int(trial.device.kind == "cuda"))
    try:
        measured: dict[str, Any] = answer(executor, work, trial, timeout, needs)
    except NoAnswer as error:
        return str(error)
    return measured


def try_precisions(trial: Trial, send: Send) -> None:
    """Child's side: step in both precisions by turns; send what bf16 gains, and how far it is off."""
    from quadzoo.grid.precision_steps import Steps, errors_of

    take(trial.device)
    steps = Steps(trial)

    def seconds(bf16: bool) -> float:
        clock = time.perf_counter()
        steps.take(bf16)
        return time.perf_counter() - clock

    steps.module.eval()  # before any step in training mode, which changes statistics
    errors = errors_of(steps.take(True), steps.take(False))

    taken: dict[bool, list[float]] = {False: [], True: []}
    steps.module.train()
    while len(taken[True]) < _WARM_UP + 2 or sum(map(sum, taken.values())) < _SECONDS:
        for bf16, times in taken.items():
            times.append(seconds(bf16))
    fastest = {bf16: min(times[_WARM_UP:]) for bf16, times in taken.items()}

    send({"gain": fastest[False] / fastest[True], **errors})
