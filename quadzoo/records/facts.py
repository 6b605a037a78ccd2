"""What a record says of its data: the images, the targets that they have, the division."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from quadzoo.errors import DataError

if TYPE_CHECKING:
    from quadzoo.data.splits import Split

Count = Annotated[int, Field(ge=0, lt=2**53, strict=True)]
# What names folders and files is not a record's to choose: a key is one plain word, and of files there are
# those that a run writes.
Key = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$")]
FileName = Annotated[
    str, Field(pattern=r"^(model\.safetensors|predictions\.csv|worst\.webp|seen_images\.npy)$")
]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=1000)]
Side = Literal["train", "val", "test"]
_FEWEST = 2  # images of train: fewer do not vary


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Known(_Facts):
    """How many images of each side have each target; ``complete`` counts the test images that have all."""

    train: dict[str, Count]
    val: dict[str, Count]
    test: dict[str, Count]
    complete: Count

    @classmethod
    def of(cls, names: Sequence[str], targets: np.ndarray, split: Split) -> Self | None:
        """Count the targets, float64 (N, T), that are not NaN; None where none is missing.

        Raises DataError for a target that too few images of a side have.
        """
        known = ~np.isnan(targets)
        if known.all():
            return None
        sides = {"train": split.train, "val": split.val, "test": split.test}
        counts = {
            side: dict(zip(names, known[rows].sum(axis=0).tolist(), strict=True))
            for side, rows in sides.items()
        }
        for name in names:
            if counts["train"][name] < _FEWEST or not (counts["val"][name] and counts["test"][name]):
                found = ", ".join(
                    f"{counts[side][name]:,} of {len(rows):,} {side}" for side, rows in sides.items()
                )
                raise DataError(
                    f"target {name!r} is known for {found} images; it takes {_FEWEST}, 1 and 1: "
                    "leave it out of `targets`, or divide the images with a file, `split`"
                )
        return cls(**counts, complete=int(known[split.test].all(axis=1).sum()))


class DataFacts(_Facts):
    """The images and targets: n images, of which ``duplicates`` repeat an earlier one pixel for pixel.

    ``damaged`` counts further ones that cannot be read and were left out.
    """

    name: Name
    hash: str
    n: Count
    duplicates: Count
    damaged: Count = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.duplicates > max(0, self.n - 1):
            raise ValueError(f"{self.duplicates} duplicates of {self.n} images")
        return self


class SplitFacts(_Facts):
    """The division; ``leaked`` counts test images that train or val have, too, or another of their group.

    Where ``train_share`` is below 1, train is about that share of train in the division with the hash
    ``whole_hash``, with the same val and test. ``known`` counts targets where some are missing.
    ``group_column`` is the column of the data whose values were kept together; null for none, and in records
    of earlier versions.
    """

    name: str
    hash: str
    fold: Count
    folds: Annotated[int, Field(ge=1)]
    n_train: Count
    n_val: Count
    n_test: Count
    leaked: Count
    leaky: bool
    train_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    whole_hash: str | None = None
    known: Known | None = None
    group_column: Name | None = None

    @property
    def also_in_training(self) -> str:
        """What is to be said of leaked images: they themselves are there, or others of their group."""
        by_group = f" or share {self.group_column} with images there" if self.group_column else ""
        return f"are also in train or val{by_group}"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds}, which count from 0")
        if self.leaked > self.n_test:
            raise ValueError(f"leaked is {self.leaked}, of {self.n_test} test images")
        return self

    def check(self, targets: Sequence[str], n: int) -> None:
        """Check the division of ``n`` images with these targets. Raises ValueError where it cannot be."""
        if self.folds > max(1, n):
            raise ValueError(f"split.folds is {self.folds}, of {n} images")
        for side, known in (("train", self.n_train), ("val", self.n_val), ("test", self.n_test)):
            if known > n and side != "train":  # reader-equations was trained on images that were drawn anew
                raise ValueError(f"split.n_{side} is {known}, of {n} images")
            of_targets = getattr(self.known, side, dict.fromkeys(targets, known))
            if {*of_targets} != {*targets} or max(of_targets.values()) > known:
                raise ValueError(f"split.known.{side} does not fit the targets, or its {known} images")

    def known_on(self, side: Side, targets: Sequence[str]) -> dict[str, int]:
        """Return how many images of a side have each of the targets."""
        if self.known is None:
            return dict.fromkeys(targets, getattr(self, f"n_{side}"))
        return {target: getattr(self.known, side).get(target, 0) for target in targets}

    @property
    def whole(self) -> str:
        """The hash of the division with all training images."""
        return self.whole_hash or self.hash


class Halved(_Facts):
    """Where `halving` stopped a combination, whose runs were not trained.

    Trained for ``epochs``, it came to ``val_mse`` (None where that failed), and was in ``place`` ``of`` so
    many, of which ``kept`` went on. ``trial`` is the key of that training in OUT/halving.
    """

    trial: Key
    epochs: Annotated[int, Field(ge=1)]
    val_mse: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    place: Annotated[int, Field(ge=1)]
    of: Annotated[int, Field(ge=1)]
    kept: Annotated[int, Field(ge=1)]

    @property
    def text(self) -> str:
        """What happened, for people."""
        score = "no val MSE" if self.val_mse is None else f"val MSE {self.val_mse:.3g}"
        epochs = f"{self.epochs} epoch{'s' * (self.epochs > 1)}"
        return f"{score} after {epochs}, place {self.place} of {self.of}; {self.kept} went on"
