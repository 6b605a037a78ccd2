"""Choose between float32 and bf16, once for each results folder and backbone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from quadzoo.data.cache import ImageSet
from quadzoo.data.sources import precision_folder
from quadzoo.errors import DataError
from quadzoo.executors.base import Executor, Needs, NoAnswer, answer, side_by_side
from quadzoo.grid.agreement import ON_GPU, judge_on_gpu
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.intensity import ON_CPU, TRIED, is_worth_a_trial, judge_on_cpu
from quadzoo.grid.models import Model
from quadzoo.grid.plan import PrecisionChoice
from quadzoo.model.kernels import is_few
from quadzoo.records.keys import Provenance, hash_of
from quadzoo.registry.catalogue import Catalogue
from quadzoo.storage import lock, read_regular, write_atomically
from quadzoo.training.task import Device

CHOICES = "precision.json"  # in the results folder
_LONG = 1800.0
_AT_ONCE = {"cpu": 2, "mps": 1, "cuda": 4}  # trials
_MOST_BYTES = 1 << 20  # of precision.json
_CHOICE = TypeAdapter(PrecisionChoice)
_CHOICES = TypeAdapter(dict[str, PrecisionChoice])


@dataclass(frozen=True)
class Trial:
    """What a child needs to know: the first batch, and on what it is tried.

    ``pixels`` are about those of the training images, epochs together: kernels follow from them.
    """

    backbone: str
    images: Path
    channels: int
    size: tuple[int, int]
    batch_size: int
    device: Device
    pixels: int


class _Answer(NamedTuple):
    """A choice; whether it holds for the results folder, and whether for others on this machine, too.

    That of a trial that broke off holds nowhere.
    """

    choice: PrecisionChoice
    holds: bool = True
    anywhere: bool = True


@dataclass(frozen=True)
class PrecisionChooser:
    """Decides in which precision backbones run.

    With `precision` auto it is bf16 where the device multiplies it natively, features and gradient of the
    backbone on the first batch are within 5 % of float32's, by their norms, and, on a CPU, its operators gain
    by it; see `quadzoo.grid.intensity`. No stop-watch decides. The choice is kept in the results folder, so
    that later runs of the backbone there are made alike on any machine, and in the cache folder, so that new
    results folders on this machine begin alike. A trained ``model`` that is only tested keeps its own
    precision. With ``keep`` false nothing is tried, and nothing is written to the results folder.
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
        # Another bench may be choosing here.
        with lock(self.config.out / f".{CHOICES}.lock") if self.keep else nullcontext():
            choices = self._kept()
            known = {name: choices[code] for name in backbones if (code := self._code(name)) in choices}
            advance(len(known))
            for name, found in self._trials([name for name in backbones if name not in known], advance):
                known[name] = found.choice
                if found.holds and self.keep:
                    choices[self._code(name)] = found.choice
                    write_atomically(self.config.out / CHOICES, _CHOICES.dump_json(choices, indent=1))
                advance(1)
        return {name: known[name] for name in backbones}

    def _trials(self, backbones: list[str], advance: Callable[[int], None]) -> Iterator[tuple[str, _Answer]]:
        """Yield each backbone with what a trial found; several at once, since they take long to begin.

        One that then found no answer, for want of memory perhaps, is made again alone.
        """
        trial = partial(self._tried, advance=advance)
        at_once = min(_AT_ONCE[self.device.kind], len(backbones))
        found = side_by_side(trial, backbones, at_once) if at_once > 1 else map(trial, backbones)
        unsure = []
        for name, what in zip(backbones, found, strict=True):
            if what.holds or at_once == 1 or not self.keep:
                yield name, what
            else:
                unsure.append(name)
        for name in unsure:
            yield name, trial(name)

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

    def _tried(self, backbone: str, advance: Callable[[int], None]) -> _Answer:
        """Try both, or return the answer of an earlier trial in the same circumstances."""
        if not self.device.bf16:
            return _Answer(PrecisionChoice("32", "bf16 is not native here"))
        geometry, recipe, on_gpu = self.images.geometry, self.config.recipe, self.device.kind == "cuda"
        batch_size = recipe.batch_size if on_gpu else min(TRIED, recipe.batch_size)
        device, pixels = replace(self.device, memory=None), self._images * math.prod(geometry.size)
        trial = Trial(
            backbone, self.images.file, geometry.channels, geometry.size, batch_size, device, pixels
        )
        circumstances = asdict(trial) | {
            "backbone": self._code(backbone),  # it may answer to two names
            "images": None,
            "device": {name: getattr(self.device, name) for name in ("kind", "name", "bf16")},
            "torch": version("torch"),
            # On a CPU it once was by a stop-watch.
            **({"few": is_few(pixels)} if on_gpu else {"by": "operators"}),
        }
        del circumstances["pixels"]
        path = precision_folder() / f"{hash_of(circumstances)}.json"
        try:
            return _Answer(_CHOICE.validate_json(read_regular(path, _MOST_BYTES)))
        except (OSError, ValidationError):
            advance(0)
            found = self._on_gpu(trial) if on_gpu else self._on_cpu(trial)
            if found.anywhere:
                write_atomically(path, _CHOICE.dump_json(found.choice))
        return found

    def _on_gpu(self, trial: Trial) -> _Answer:
        if not self.keep:
            plan = PrecisionChoice("bf16", "to be tried on the first batch before training")
            return _Answer(plan, holds=False, anywhere=False)
        choice, certain = judge_on_gpu(self._measured(ON_GPU, trial))
        return _Answer(choice, holds=certain, anywhere=certain)

    def _on_cpu(self, trial: Trial) -> _Answer:
        may_try = self.keep and is_worth_a_trial(self._images)
        measured = self._measured(ON_CPU, (trial, may_try))
        choice, anywhere = judge_on_cpu(measured, dry=not self.keep)
        return _Answer(choice, holds=not isinstance(measured, str), anywhere=anywhere)

    @property
    def _images(self) -> int:
        """How many images are trained on, epochs together, or a few more."""
        n = len(self.images.content_ids) // 2
        return n * self.config.recipe.epochs_for(n)

    def _measured(self, work: str, question: Any) -> dict[str, Any] | str:
        """Return what a trial found, or why the backbone could not be tried."""
        needs = Needs(gpus=int(self.device.kind == "cuda"))
        try:
            found: dict[str, Any] = answer(self.executor, work, question, self.config.timeout or _LONG, needs)
        except NoAnswer as error:
            return str(error)
        return found
