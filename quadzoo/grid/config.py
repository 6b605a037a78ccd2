"""What was asked for: the parameters of a bench, checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationInfo,
    field_validator,
    model_validator,
)

from quadzoo.data.geometry import Resize
from quadzoo.data.reading import Reading, reading_of
from quadzoo.data.sources import DataRequest, MissingTargets
from quadzoo.errors import ConfigError
from quadzoo.executors.choice import ExecutorName
from quadzoo.model.recipe import RECIPES, Recipe
from quadzoo.records.recipes import besides
from quadzoo.registry.given import GivenSpec
from quadzoo.threads import MOST_AT_ONCE

LONGEST_TIMEOUT = 2_000_000
"""Seconds, 23 days; a system waits for at most 2**31 ms."""
_WEIGHTS = ("auto", "pretrained", "none")
_WEIGHT_FILES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
_DIGITS = 4  # of a GPU's number
_RECIPE_FLAGS = ("epochs", "batch_size", "lr", "tune", "augment", "freeze", "freeze_to")


def _as_text(size: Any) -> Any:
    """Return a side as the flag has it."""
    return str(size) if type(size) is int else size


class BenchConfig(BaseModel):
    """One bench: every backbone × head × seed (× fold) on one data set.

    ``specs`` are those that were given as objects; backbones and heads name them.
    Raises pydantic's ValidationError, with all faults at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbones: tuple[str, ...] = Field(default=("resnet50",), min_length=1)
    heads: tuple[str, ...] = Field(default=("mlp",), min_length=1)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    data: str = "quadratic"
    images: Path | None = None
    targets: tuple[str, ...] | None = None
    id_column: str | None = None
    test_data: Path | None = None
    missing_targets: MissingTargets = "error"
    split: str = "grouped"
    folds: int = Field(default=1, ge=1)
    group_column: str | None = None
    train_share: tuple[float, ...] = Field(default=(1.0,), min_length=1)
    image_size: Annotated[str, BeforeValidator(_as_text)] = "auto"
    resize: Resize = "letterbox"
    bands: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None
    damaged: Literal["error", "skip"] = "error"
    recipe: Recipe = Recipe()
    weights: str = "auto"
    plugin: tuple[Path, ...] = ()
    specs: tuple[InstanceOf[GivenSpec], ...] = ()
    logger: tuple[Literal["csv", "tensorboard", "mlflow", "wandb"], ...] = ()
    init: str | None = None
    precision: Literal["auto", "32", "bf16"] = "auto"
    device: str = "auto"
    out: Path = Path("results")
    jobs: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    executor: ExecutorName = "local"
    ray_address: str | None = None
    retries: int = Field(default=1, ge=0)
    threads: int | None = Field(default=None, ge=1)
    compile: bool = False
    deterministic: bool = False
    timeout: float | None = Field(default=None, gt=0, le=LONGEST_TIMEOUT, allow_inf_nan=False)
    checkpoint_minutes: float = Field(default=10, ge=0, allow_inf_nan=False)
    halving: bool = False
    force: bool = False

    @property
    def weights_file(self) -> Path | None:
        """The file whose weights backbones start from."""
        return None if self.weights in _WEIGHTS else Path(self.weights)

    @property
    def request(self) -> DataRequest:
        """The flags that say which data."""
        return DataRequest(
            self.data, self.images, self.targets, self.id_column, self.group_column, self.test_data,
            self.missing_targets,
        )  # fmt: skip

    @property
    def reading(self) -> Reading:
        """The flags that say how images are read."""
        return Reading(self.bands, self.value_range, self.damaged)

    @property
    def flags(self) -> dict[str, str]:
        """The flags that repeat data, split and recipe, other than the defaults; of paths the last part."""
        chosen: dict[str, object] = {
            name: getattr(self, name)
            for name in ("data", "images", "targets", "id_column", "test_data", "missing_targets", "split",
                         "folds",
                         "group_column", "image_size", "resize", "bands", "value_range", "damaged")
            if getattr(self, name) != type(self).model_fields[name].default
        }  # fmt: skip
        for name, known in RECIPES.items():
            others = besides(dict(self.recipe), known)
            if {*others} <= {*_RECIPE_FLAGS}:
                chosen |= others if name == "default" else {"recipe": name, **others}
                break
        return {flag_of(name): written(name, value) for name, value in chosen.items()}

    @field_validator("weights")
    @classmethod
    def _of_a_file(cls, weights: str) -> str:
        if weights in _WEIGHTS or (Path(weights).suffix in _WEIGHT_FILES and os.path.isfile(weights)):
            return weights
        if Path(weights).suffix in _WEIGHT_FILES:
            raise ValueError("there is no such file")
        raise ValueError(f"say {', '.join(_WEIGHTS)}, or a file of weights ({', '.join(_WEIGHT_FILES)})")

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if device in ("auto", "cpu", "cuda", "mps"):
            return device
        numbers = device.removeprefix("cuda:").split(",")
        if not (device.startswith("cuda:") and all(_is_small_number(number) for number in numbers)):
            raise ValueError("say auto, cpu, cuda, some GPUs such as cuda:0,1, or mps")
        if len({*map(int, numbers)}) < len(numbers):
            raise ValueError("it names a GPU twice")
        return device

    @field_validator("jobs", mode="before")
    @classmethod
    def _some_jobs(cls, jobs: Any) -> Any:
        if jobs != "auto" and not (isinstance(jobs, int) and jobs >= 1):
            raise ValueError("say auto, or a number of runs, 1 or more")
        if jobs != "auto" and jobs > MOST_AT_ONCE:
            raise ValueError(f"at most {MOST_AT_ONCE:,} runs at a time")
        return jobs

    @field_validator("threads")
    @classmethod
    def _not_too_many(cls, threads: int | None) -> int | None:
        if threads is not None and threads > MOST_AT_ONCE:
            raise ValueError(f"at most {MOST_AT_ONCE:,} threads")
        return threads

    @field_validator("bands", "value_range")
    @classmethod
    def _of_images(cls, value: Any, info: ValidationInfo) -> Any:
        try:
            reading_of(**{str(info.field_name): value})
        except ConfigError as error:
            raise ValueError(str(error).split(": ", 1)[1]) from None
        return value

    @property
    def jobs_of_a_node(self) -> int | None:
        """The runs at a time on a node of a cluster; None for one a GPU, or one."""
        if self.jobs == "auto":
            return 1 if self.device == "cpu" else None
        return self.jobs

    @model_validator(mode="after")
    def _of_executor(self) -> Self:
        if self.executor == "ray" and "mlflow" in self.logger:
            raise ValueError(
                "`logger` mlflow: its files name folders of the machine they are written on; with `executor` "
                "ray take csv, tensorboard or wandb"
            )
        if self.executor == "ray" and self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"`device` {self.device}: Ray gives out the GPUs; with `executor` ray say cuda")
        return self

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        for field in ("backbones", "heads", "seeds", "targets", "train_share", "logger"):
            values = getattr(self, field) or ()
            twice = sorted({str(value) for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"`{field}` names {', '.join(twice)} twice")
        for share in self.train_share:
            if not 0 < share <= 1:
                raise ValueError(f"`train_share` {share:g}: give shares above 0 and at most 1")
        if self.init and "weights" in self.model_fields_set:
            raise ValueError(f"`weights` {self.weights}: `init` brings the weights; leave `weights` out")
        if self.recipe.epochs == 0 and not self.init:
            raise ValueError("`epochs` 0 tests what `init` loads; say which model, or train for an epoch")
        if self.recipe.epochs == 0 and self.train_share != (1.0,):
            raise ValueError("`train_share`: `epochs` 0 trains on no image; leave one of the two out")
        frozen = [name for name in ("freeze", "freeze_to") if getattr(self.recipe, name)]
        if self.recipe.epochs == 0 and frozen:
            raise ValueError(f"`{frozen[0]}`: `epochs` 0 trains nothing anyway; leave one of the two out")
        if self.recipe.epochs == 0 and self.recipe.tune:
            raise ValueError(
                "`tune`: `epochs` 0 trains nothing, at no learning rate; leave one of the two out"
            )
        if self.recipe.freeze and self.compile:
            raise ValueError("`compile`: with `freeze` no backbone is trained; leave one of the two out")
        if self.recipe.epochs == 0 and len(self.seeds) > 1:
            raise ValueError("`epochs` 0 draws nothing at random, so one of `seeds` is enough")
        if any(not 0 <= seed < 2**32 for seed in self.seeds):
            raise ValueError(f"`seeds` are 0 to {2**32 - 1}")
        return self


def _is_small_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def flag_of(field: str) -> str:
    """Return the flag of a field."""
    return f"--{field.replace('_', '-')}"


def written(name: str, value: object) -> str:
    """Return a field's value as its flag takes it, nothing for a switch; of a path the last part."""
    if value is True:
        return ""
    if isinstance(value, tuple):
        return ",".join(f"{one:g}" if isinstance(one, float) else _quoted(str(one)) for one in value)
    is_path = name in ("data", "images", "test_data") or (name == "split" and value != "article")
    is_path = is_path or (name == "weights" and value not in _WEIGHTS)
    return f"./{Path(str(value)).name}" if is_path else str(value)


def _quoted(name: str) -> str:
    """Return a name as a list with commas takes it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"' if "," in name or '"' in name else name
