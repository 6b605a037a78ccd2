"""The images that tables of predictions name: what is made of them once for all runs of a bench."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from quadzoo.records.facts import Side

SIDES: tuple[Side, ...] = ("val", "test")


class NamedImages:
    """The images of tables that name the same ones, as the runs of a bench do: what is made of them once."""

    def __init__(self, texts: Mapping[str, list[str]]) -> None:
        sides = np.array(texts["split"], dtype=object)
        self.rows = {side: np.flatnonzero(sides == side) for side in SIDES}
        table = pd.DataFrame({name: cells for name, cells in texts.items() if name != "id"}, dtype=object)
        table.index = pd.Index(texts["id"], dtype=object, name="id")
        self.of_side = {side: table.iloc[rows] for side, rows in self.rows.items()}
        self.is_unique = {side: bool(part.index.is_unique) for side, part in self.of_side.items()}
        self.groups = self.of_side["val"]["image_group"]
        self.test_groups = self.of_side["test"]["image_group"].to_numpy()
        self._columns: dict[tuple[str, ...], pd.Index] = {}

    def columns(self, names: Sequence[str]) -> pd.Index:
        """Return the index of columns with these names."""
        if (key := tuple(names)) not in self._columns:
            self._columns[key] = pd.Index(names)
        return self._columns[key]

    @cached_property
    def _order(self) -> np.ndarray:
        """The rows in the order of side and id, int64 (n,)."""
        parts = [self.rows[side][np.argsort(self.of_side[side].index.to_numpy())] for side in SIDES]
        return np.concatenate(parts)

    @cached_property
    def _named(self) -> bytes:
        told = [
            f"{side}\0{identity}\0{group}\n"
            for side in SIDES
            for identity, group in sorted(self.of_side[side]["image_group"].items())
        ]
        return hashlib.sha256("".join(told).encode(errors="surrogateescape")).digest()

    def digest(self, truth: np.ndarray) -> str:
        """Return a hash of the images of each side, their groups and their truth, float64 (n, T) by row."""
        known = np.ascontiguousarray(truth[self._order])
        return hashlib.sha256(self._named + known.tobytes()).hexdigest()
