"""The key of a run: a hash of all that can change a score, and of nothing else.

A field that is added later is left out of the hash at its neutral value, the value that does what was done
before the field existed. So old keys stay. The neutral values are frozen for ever, whatever a default
becomes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from quadzoo.model.recipe import Recipe
from quadzoo.model.weights import LoadedWeights

# The fields that came after the first release, each with the value that changes nothing.
NEUTRAL_RECIPE: Mapping[str, Any] = {
    "average": None,
    "unit": "range",
    "freeze": False,
    "batch_norm": "running",
    "ridge": "none",
    "frozen_features": "raw",
    "tune": None,
    "freeze_to": None,
}
NEUTRAL_IMAGE: Mapping[str, Any] = {"dtype": "uint8", "value_range": None, "bands": None}


_Length = Annotated[int, Field(ge=1, le=4096)]  # of a side of what networks see, as a bench allows
_Offset = Annotated[int, Field(ge=0, lt=2**31)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class ImageFacts(BaseModel):
    """What was done to every image; `quadzoo.data.geometry.Geometry` says what each field means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: tuple[_Length, _Length]
    channels: Annotated[int, Field(ge=1, le=16)]
    crop: tuple[_Offset, _Offset, _Offset, _Offset] | None
    max_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    fill: Annotated[tuple[int | _Finite, ...], Field(min_length=1)]
    resize: Literal["letterbox", "stretch"]
    dtype: Literal["uint8", "uint16", "float32"] = "uint8"
    value_range: tuple[_Finite, _Finite] | None = None
    bands: tuple[Annotated[int, Field(ge=1)], ...] | None = None

    @property
    def ingredients(self) -> dict[str, Any]:
        """What stands for it in a key."""
        return _without(NEUTRAL_IMAGE, self)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.crop and not (self.crop[0] < self.crop[2] and self.crop[1] < self.crop[3]):
            raise ValueError(f"crop {self.crop} is empty")
        if self.value_range and not self.value_range[0] < self.value_range[1]:
            raise ValueError(f"value_range {self.value_range} is empty")
        read = self.channels if self.bands is None else len(self.bands)
        if self.bands and len({*self.bands}) < read:
            raise ValueError(f"bands {self.bands} names one twice")
        if read != self.channels and not {read, self.channels} <= {1, 3}:  # grey for colour, or the reverse
            raise ValueError(f"bands {self.bands} are not {self.channels} channels")
        return self


class Originals(BaseModel):
    """What the images of a data set were before anything was done to them, smallest and largest side.

    ``bands`` are the numbers of bands that there are, 1 for grey. It is no part of a key: the images are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    height: tuple[int, int]
    width: tuple[int, int]
    bands: tuple[int, ...]

    @property
    def size_text(self) -> str:
        """Height and width for people: 32x200, or 30 to 40x200."""
        sides = (f"{low}" if low == high else f"{low} to {high}" for low, high in (self.height, self.width))
        return "x".join(sides)


class Provenance(BaseModel):
    """The code of a backbone or head: its name, and the distribution that registered it.

    ``revision`` is what a spec says of itself, and is raised when scores may change; ``source`` is a SHA-256
    of the source files of an editable installation that says no revision, or of a plugin that is one file.
    Such a file has ``./`` and its name as ``distribution``, which is a path and no part of a key. A spec that
    was given as an object has ``python:`` and its name, and ``source`` is a SHA-256 of its source.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    distribution: str
    version: str
    revision: str = ""
    source: str = ""

    @property
    def is_given(self) -> bool:
        """Whether it was given as an object, by a program."""
        return self.distribution.startswith("python:")

    @property
    def ingredients(self) -> dict[str, str]:
        """What stands for the code in a key: the revision, else the source, else the version."""
        return {
            "name": self.name,
            "distribution": "" if self.distribution.startswith("./") else self.distribution,
            "version": self.revision or self.source or self.version,
        }


@dataclass(frozen=True)
class Identity:
    """All that can change the score of a run.

    ``data`` and ``split`` are hashes; ``weights`` says what training started from: none, pretrained
    (``loaded`` then says which, where it is known), or a trained model, whose weights have the SHA-256
    ``initial`` and whose outputs have the ``unit`` (low, high and integer of each target).
    """

    data: str
    image: ImageFacts
    split: str
    fold: int
    backbone: Provenance
    head: Provenance
    weights: str
    loaded: LoadedWeights | None
    initial: str | None
    unit: Mapping[str, Any] | None
    precision: Literal["32", "bf16"]
    recipe: Recipe
    seed: int

    @cached_property
    def key(self) -> str:
        """The key: 16 hexadecimal digits."""
        seed = self.seed if self.recipe.epochs else 0  # where nothing is trained, nothing is drawn
        return hash_of({**self._shared, "precision": self.precision, "seed": seed, "fold": self.fold})

    @property
    def combination(self) -> str:
        """What all seeds and folds of a combination share, in whatever precision they ran."""
        return hash_of(self._shared)

    @property
    def _shared(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "image": self.image.ingredients,
            "split": self.split,
            "plugins": {"backbone": self.backbone.ingredients, "head": self.head.ingredients},
            "weights": self._weights,
            "recipe": _without(NEUTRAL_RECIPE, self.recipe) if self.recipe.epochs else {"epochs": 0},
        }

    @property
    def _weights(self) -> Any:
        if self.initial:
            return {"sha256": self.initial, "unit": self.unit}
        if self.loaded:
            return {"tag": self.loaded.tag, "sha256": self.loaded.sha256}
        return self.weights


def hash_of(ingredients: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that stand for JSON-like data, whatever the order of its names."""
    text = json.dumps(ingredients, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without(neutral: Mapping[str, Any], fields: BaseModel) -> dict[str, Any]:
    """Return the fields as JSON-like data, without those that are at their neutral values."""
    given = fields.model_dump(mode="json")
    return {name: value for name, value in given.items() if name not in neutral or value != neutral[name]}
