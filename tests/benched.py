"""What a bench and a check make of a table, without any training."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from quadzoo.cli.options import with_flags
from quadzoo.data.audit import audit
from quadzoo.data.findings import Audit, Finding
from quadzoo.data.sources import DataRequest, Source
from quadzoo.data.splits import Split
from quadzoo.errors import QuadzooError
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.inputs import read_inputs
from quadzoo.grid.observer import Silent
from quadzoo.grid.plan import bench_data


class Benched(NamedTuple):
    """What a bench has before it trains: its data, its splits, what it told."""

    source: Source
    splits: list[Split]
    told: list[str]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Images of train, val and test, of the first fold."""
        return len(self.splits[0].train), len(self.splits[0].val), len(self.splits[0].test)

    def warned(self, *words: str) -> bool:
        """Whether one line holds all these words."""
        return any(all(word in line for word in words) for line in self.told)


def benched(data: Path, **config: Any) -> Benched:
    """Do what a bench does before its first run. Raises what it refuses with."""
    source, images, splits, notes = read_inputs(BenchConfig(data=str(data), **config), Silent(), None)
    bench_data(source, images, splits)
    assert all(len(line) <= 300 and "\n" not in line for line in notes)
    return Benched(source, splits, [with_flags(line) for line in notes])


def refused(data: Path, **config: Any) -> str:
    """Return the one line that a bench is refused with."""
    try:
        benched(data, **config)
    except QuadzooError as error:
        line = with_flags(str(error))
        assert "\n" not in line
        assert len(line.replace(str(data.parent), "")) <= 300
        return line
    raise AssertionError("it was not refused")


def checked(data: Path, split: str = "grouped", **request: Any) -> Audit:
    """Return what `quadzoo data check` finds."""
    return audit(DataRequest(str(data), **request), split, lambda *_: lambda _: None)


def finding(found: Audit, code: str) -> Finding:
    """Return the one finding with a code."""
    (one,) = [one for one in found.findings if one.code == code]
    return one


def codes(found: Audit) -> set[str]:
    """Return the codes of all findings."""
    return {one.code for one in found.findings}


def photos(folder: Path, n: int, name: str = "p{:02d}.png") -> list[str]:
    """Write n different images; return their names."""
    names = [name.format(index) for index in range(n)]
    for index, one in enumerate(names):
        (folder / one).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 255, (8, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / one)
    return names


def table(
    path: Path, rows: Iterable[Sequence[object]], header: Sequence[str] = ("id", "y"), **kind: Any
) -> Path:
    """Write a CSV; return its path."""
    encoding = kind.pop("encoding", "utf-8")
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, **kind)
        writer.writerow(header)
        writer.writerows(rows)
    return path
