"""The parameters of `quadzoo.bench`, typed: those of its command, and what only a program can give."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from quadzoo.errors import ConfigError, QuadzooError
from quadzoo.registry.given import GivenSpec, given
from quadzoo.registry.specs import BackboneSpec, HeadSpec
from quadzoo.scratch import scratch_folder

if TYPE_CHECKING:
    import pandas as pd

    from quadzoo.model.recipe import Recipe

AnyPath = str | PathLike[str]
_TABLES = ("data", "test_data", "split")  # which may be DataFrames
_KINDS: Mapping[str, type[BackboneSpec] | type[HeadSpec]] = {"backbones": BackboneSpec, "heads": HeadSpec}


class DataParameters(TypedDict, total=False):
    """Which images, and how they are read and divided."""

    data: AnyPath | pd.DataFrame
    images: AnyPath | None
    targets: Sequence[str] | None
    id_column: str | None
    group_column: str | None
    test_data: AnyPath | pd.DataFrame | None
    missing_targets: Literal["error", "mask"]
    split: AnyPath | pd.DataFrame
    folds: int
    train_share: Sequence[float]
    image_size: str | int
    resize: Literal["letterbox", "stretch"]
    bands: Sequence[int] | None
    value_range: tuple[float, float] | None
    damaged: Literal["error", "skip"]


class RunParameters(TypedDict, total=False):
    """How runs are trained, where, and where their results go."""

    recipe: str | Mapping[str, Any] | Recipe
    epochs: int | Literal["auto"] | None
    batch_size: int | None
    lr: float | None
    tune: str | None
    augment: Literal["none", "shift", "photo"] | None
    freeze: bool | None
    freeze_to: Literal["stem", "layer1"] | None
    weights: AnyPath
    init: AnyPath | None
    plugin: Sequence[AnyPath]
    logger: Sequence[Literal["csv", "tensorboard", "mlflow", "wandb"]]
    precision: Literal["auto", "32", "bf16"]
    device: str
    out: AnyPath
    jobs: int | Literal["auto"]
    executor: Literal["local", "ray"]
    ray_address: str | None
    retries: int
    threads: int | None
    compile: bool
    deterministic: bool
    timeout: float | None
    checkpoint_minutes: float
    halving: bool
    force: bool


class BenchParameters(DataParameters, RunParameters, total=False):
    """All that `quadzoo.bench` takes besides backbones, heads and seeds."""


class SuiteParameters(BenchParameters, total=False):
    """All that `quadzoo.suite` takes besides its file; what makes a set, such as ``data``, is refused."""

    backbones: Sequence[str | BackboneSpec]
    heads: Sequence[str | HeadSpec]
    seeds: Sequence[int]


@contextmanager
def as_files(parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield parameters in which DataFrames are files, for as long as they are needed, and paths are text.

    Where the images of ``data`` are absolute paths, their folder becomes ``images``. Raises ConfigError and
    DataError for a DataFrame that can be no table.
    """
    found = {name: value for name, value in parameters.items() if value is not None}
    for name in (*_TABLES, "weights", "init"):
        if isinstance(found.get(name), PathLike):
            found[name] = str(found[name])
    pandas = sys.modules.get("pandas")  # without it there is no DataFrame
    frames = {
        name: found[name] for name in _TABLES if pandas and isinstance(found.get(name), pandas.DataFrame)
    }
    if not frames:
        yield found
        return
    from quadzoo.data.frames import images_of_frame, write_frame

    with scratch_folder() as folder:
        for name, frame in frames.items():
            path = folder / name / "DataFrame.csv"
            path.parent.mkdir()
            write_frame(frame, path, name)
            found[name] = path if name == "test_data" else str(path)
        if "data" in frames and "images" not in found:
            if located := images_of_frame(frames["data"], found.get("id_column")):
                found["images"], found["id_column"] = located
            else:
                raise ConfigError(
                    "`data`: no column of the DataFrame has absolute paths of images; name their folder with "
                    "`images`"
                )
        try:
            yield found
        except QuadzooError as error:  # nobody knows these files
            text = str(error)
            for name in frames:
                text = text.replace(str(folder / name / "DataFrame.csv"), f"the DataFrame `{name}`")
            error.args = (text, *error.args[1:])
            raise


def check_lists(parameters: Mapping[str, Any]) -> None:
    """Raise ConfigError for a parameter that is one value where a list is needed."""
    for name, value in parameters.items():
        if isinstance(value, BackboneSpec | HeadSpec):
            raise ConfigError(f"`{name}` {value.name}: a list is needed, such as [{value.name}]")
        if isinstance(value, str | int | float | PathLike):
            shown = str(value) if isinstance(value, PathLike) else value
            raise ConfigError(f"`{name}` {shown}: a list is needed, such as [{shown!r}]")


def without_specs(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters in which backbones and heads are names; the specs among them are ``specs``.

    Raises ConfigError for a spec that is of the other kind, or that no other process can have.
    """
    found = dict(parameters)
    specs: list[GivenSpec] = []
    for parameter, kind in _KINDS.items():
        asked = found.get(parameter)
        if not isinstance(asked, list | tuple):
            continue
        for one in asked:
            if isinstance(one, BackboneSpec | HeadSpec) and not isinstance(one, kind):
                other = "heads" if parameter == "backbones" else "backbones"
                raise ConfigError(
                    f"`{parameter}` {one.name}: it is a {type(one).__name__}; give it in `{other}`"
                )
        specs += [given(one) for one in asked if isinstance(one, kind)]
        found[parameter] = [one.name if isinstance(one, kind) else one for one in asked]
    return {**found, "specs": specs} if specs else found
