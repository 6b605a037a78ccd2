"""Find images and targets: drawn equations, a folder in the published layout, or any CSV."""

from __future__ import annotations

import os
import shutil
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from filelock import FileLock

from quadzoo.data import equations
from quadzoo.data.finder import ImageFinder
from quadzoo.data.findings import Finding
from quadzoo.data.guess import complete, stops_a_bench
from quadzoo.data.remarks import remarks
from quadzoo.data.rows import Columns, Fault, TableRows, read_rows, such_rows
from quadzoo.data.spreadsheets import sheets
from quadzoo.data.texts import key, listed, printable, where
from quadzoo.errors import ConfigError, DataError
from quadzoo.storage import cache_errors, cache_folder, lock

MissingTargets = Literal["error", "mask"]

QUADRATIC = "quadratic"
N_DRAWN = 2000
_LONGEST_NAME = 1000  # characters of a target's, as records have it
_GENERATOR_SEED = 42


@dataclass(frozen=True)
class DataRequest:
    """The data that are asked for: ``quadratic``, a folder or a CSV, and what is needed to read it.

    With ``missing_targets`` mask rows may lack some targets.
    """

    data: str
    images: Path | None = None
    targets: tuple[str, ...] | None = None
    id_column: str | None = None
    group_column: str | None = None
    test_data: Path | None = None
    missing_targets: MissingTargets = "error"


@dataclass(frozen=True)
class Source:
    """N images with T targets each, checked but not yet decoded.

    The rows are in ascending order of ``names``. ``files`` are the images' paths under ``folder``;
    ``targets`` is float64 (N, T) in original units, NaN where one is missing; ``low`` and ``high`` are set
    where the scaling ranges are known beforehand; ``group_values`` are the cells of the group column;
    ``kinds`` the sorts of image, where they are known: the forms of equations. ``table`` and ``rows`` (line
    numbers in it) are for messages. Where the test images have a table of their own, ``test_table``,
    ``tests`` bool (N,) says which they are. ``left_out`` names images, by id and by file, whose rows are not
    here, as they lack all targets or cannot be read. ``id_column`` is where the table names its images,
    ``group_column`` what must stay together.
    ``told`` says in sentences what was found without being asked for; ``remarks`` are findings about the
    table.
    """

    name: str
    table: Path
    rows: Sequence[int] = field(repr=False)
    ids: list[str] = field(repr=False)
    folder: Path
    files: list[str] = field(repr=False)
    target_names: tuple[str, ...]
    targets: np.ndarray = field(repr=False)
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    group_values: list[str] | None = field(default=None, repr=False)
    kinds: list[str] | None = field(default=None, repr=False)
    test_table: Path | None = None
    tests: np.ndarray | None = field(default=None, repr=False)
    left_out: frozenset[str] = field(default=frozenset(), repr=False)
    id_column: str | None = None
    group_column: str | None = None
    told: tuple[str, ...] = field(default=(), repr=False)
    remarks: tuple[Finding, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def names(self) -> list[str]:
        """The images' paths inside the folder, without suffix where that is enough to tell them apart.

        They are the same however the table writes its ids.
        """
        paths = [unicodedata.normalize("NFC", Path(file).as_posix()) for file in self.files]
        stems = [path.removesuffix(Path(path).suffix) for path in paths]
        often = Counter(stems)
        return [stem if often[stem] == 1 else path for path, stem in zip(paths, stems, strict=True)]

    def path(self, index: int) -> Path:
        """Return the path of an image."""
        return self.folder / self.files[index]

    def place(self, index: int) -> str:
        """Return the table and the row of an image, for messages."""
        table = self.test_table if self.tests is not None and self.tests[index] else self.table
        return f"{where(table or self.table)}: row {self.rows[index]}"

    def unreadable(self, index: int, why: str) -> str:
        """Return the message for an image that cannot be read: table, row, path and cause."""
        return f"{self.place(index)}: image {self.path(index)} is unreadable ({why})"

    def where(self, index: int) -> str:
        """Return the row and the id of an image, for people."""
        table = self.test_table if self.tests is not None and self.tests[index] else None
        return f"{f'{table.name} ' if table else ''}row {self.rows[index]} ({self.ids[index]})"

    def without(self, indices: Sequence[int]) -> Source:
        """Return the source without some of its rows."""
        left_out = set(indices)
        if not left_out:
            return self
        rest = self.subset([i for i in range(len(self)) if i not in left_out])
        names = {text for i in left_out for text in (self.ids[i], self.files[i])}
        return replace(rest, left_out=self.left_out | names)

    def subset(self, indices: Sequence[int]) -> Source:
        """Return the source with some of its rows, in the order given."""
        groups, kinds = self.group_values, self.kinds
        return replace(
            self,
            rows=array("q", (self.rows[i] for i in indices)),
            ids=[self.ids[i] for i in indices],
            files=[self.files[i] for i in indices],
            targets=self.targets[list(indices)],
            group_values=None if groups is None else [groups[i] for i in indices],
            kinds=None if kinds is None else [kinds[i] for i in indices],
            tests=None if self.tests is None else self.tests[list(indices)],
        )


def drawn_folder() -> Path:
    """Return the folder in the cache of the equations that the data ``quadratic`` are."""
    return cache_folder() / "equations" / f"v1-n{N_DRAWN}-seed{_GENERATOR_SEED}"


def precision_folder() -> Path:
    """Return the folder in the cache of the precisions that were chosen on this machine."""
    return cache_folder() / "precision"


def open_source(request: DataRequest, advance: Callable[[int], None] = lambda _: None) -> Source:
    """Return the requested images and targets; equations are drawn at the first request.

    What the request leaves out of a table is found where there is no doubt. ``advance`` is given the number
    of images as they are drawn. Raises ConfigError for parameters that do not fit together, or cannot do
    without one, and DataError, naming file and row, for a table that cannot be used.
    """
    source, faults, doubts = scan(request, advance)
    of_columns = [
        f"{one.examples[0]}: {one.text}; name the targets with `targets`"
        for one in source.remarks
        if stops_a_bench(one)
    ]
    if doubts := of_columns + doubts:
        raise ConfigError(f"`data` {where(source.table)}: {doubts[0]}")
    if faults:
        raise DataError(such_rows(faults))
    return source


class Scan(NamedTuple):
    """The usable rows of a table, what is wrong with the others, and what had to be guessed."""

    source: Source
    faults: list[Fault]
    doubts: list[str]


def scan(request: DataRequest, advance: Callable[[int], None] = lambda _: None) -> Scan:
    """Return the usable rows, what is wrong with the others, and doubts about what the request leaves out.

    ``advance`` as for ``open_source``. Raises ConfigError for parameters that do not fit together, and
    DataError for a table that cannot be read.
    """
    table, request = resolve(request, advance)
    known = complete(
        table, request.images, request.id_column, request.targets, request.group_column,
        masked=request.missing_targets == "mask",
    )  # fmt: skip
    of_equations = is_equations(table)
    wanted = Columns(
        id_column=known.id_column or "id",
        targets=known.targets or (),
        group_column=request.group_column,
        kind_column="equation" if of_equations else None,
        kind_of=equations.form,
        masked=request.missing_targets == "mask",
    )
    _check_names(wanted.targets)
    finder = ImageFinder(known.images or table.parent)
    read = [read_rows(table, finder, wanted)]
    if request.test_data:
        read.append(read_rows(request.test_data, finder, wanted))
    for one in read:
        if not one.ids and not one.faults:
            found = "no row has a target" if one.unlabelled else "no rows under the header"
            raise DataError("; ".join(filter(None, (f"{where(one.table)}: {found}", sheets(one.table)))))
    source = _source(request.data, read, finder.folder, wanted)
    source = replace(
        source, told=tuple(known.told), remarks=(*known.left_out, *remarks(read, wanted.group_column))
    )
    faults = [fault for one in read for fault in one.faults]
    return Scan(_with_ranges(source) if of_equations else source, faults, known.doubts)


def _source(data: str, read: Sequence[TableRows], folder: Path, wanted: Columns) -> Source:
    """Put the rows of one table, or of that of train and val and that of test, in order."""
    table, n = read[0].table, len(wanted.targets)
    rows = array("q", [line for one in read for line in one.lines])
    values = np.array([value for one in read for value in one.values], dtype=np.float64)
    name = table.parent.resolve().name if is_equations(table) else table.stem
    source = Source(
        name=QUADRATIC if data == QUADRATIC else printable(name),
        table=table,
        rows=rows,
        ids=[identity for one in read for identity in one.ids],
        folder=folder,
        files=[file for one in read for file in one.files],
        target_names=wanted.targets,
        targets=values.reshape(len(rows), n),
        group_values=[group for one in read for group in one.groups] if wanted.group_column else None,
        kinds=[kind for one in read for kind in one.kinds] or None,
        test_table=read[1].table if len(read) > 1 else None,
        tests=np.repeat([False, True], [len(one.ids) for one in read]) if len(read) > 1 else None,
        id_column=wanted.id_column,
        group_column=wanted.group_column,
        left_out=frozenset(text for one in read for row in one.unlabelled.values() for text in row),
    )
    by_name = sorted(range(len(rows)), key=source.names.__getitem__)
    return source if by_name == list(range(len(rows))) else source.subset(by_name)


def resolve(
    request: DataRequest, advance: Callable[[int], None] = lambda _: None
) -> tuple[Path, DataRequest]:
    """Return the path of the table, and the request completed where it is a folder in the published layout.

    Equations are drawn at the first request; ``advance`` is given the number of images as they are drawn.
    Names of columns are as keys are compared. Raises DataError where there is no such table, or the cache
    cannot be written.
    """
    path = Path(request.data)
    if request.data == QUADRATIC:
        path = drawn_folder()
        if not path.exists():
            _draw(path, advance)
    elif not os.path.exists(path):
        raise DataError(f"`data` {where(path)}: no such file or folder; name your table, such as my.csv")
    if request.test_data and not os.path.isfile(request.test_data):
        raise DataError(
            f"`test_data` {where(request.test_data)}: no such file; name the table of test images"
        )
    if request.targets == ():
        raise ConfigError("`targets` names no column; name some, or leave it out")
    request = replace(
        request,
        targets=None if request.targets is None else tuple(map(key, request.targets)),
        id_column=request.id_column and key(request.id_column),
        group_column=request.group_column and key(request.group_column),
    )
    if not os.path.isdir(path):
        return path, request
    table = path / equations.DETAILS_CSV
    if not os.path.isfile(table):
        raise DataError(
            f"`data` {where(path)}: name the table (CSV), not the folder of its images; a folder is for data "
            f"with a {equations.DETAILS_CSV!r}"
        )
    images = request.images or path / equations.IMAGES
    return table, replace(
        request,
        images=images,
        targets=request.targets or equations.TARGETS,
        id_column=request.id_column or "id",
    )


def _draw(folder: Path, advance: Callable[[int], None]) -> None:
    with cache_errors(), drawing_lock(folder):
        if not folder.exists():  # another process may have drawn them
            remove_drawings(folder)
            equations.write_folder(folder, N_DRAWN, _GENERATOR_SEED, advance=advance)


def drawing_lock(folder: Path, *, blocking: bool = True) -> FileLock:
    """Return the lock to hold while equations are drawn into a folder, or deleted."""
    return lock(folder.with_name(f"{folder.name}.lock"), blocking=blocking)


def remove_drawings(folder: Path) -> None:
    """Delete drawn equations; hold the folder's lock meanwhile."""
    shutil.rmtree(folder, ignore_errors=True)


def is_equations(table: Path) -> bool:
    """Say whether a table is that of a folder in the published layout."""
    return table.name == equations.DETAILS_CSV


def _with_ranges(source: Source) -> Source:
    ranges = dict(zip(equations.TARGETS, zip(equations.LOW, equations.HIGH, strict=True), strict=True))
    if not ranges.keys() >= set(source.target_names):
        return source
    low, high = zip(*(ranges[target] for target in source.target_names), strict=True)
    return replace(source, low=low, high=high)


def _check_names(targets: tuple[str, ...]) -> None:
    twice = sorted({target for target in targets if targets.count(target) > 1})
    if twice:
        raise ConfigError(f"`targets` names {listed(twice)} twice")
    if long := [target for target in targets if len(target) > _LONGEST_NAME]:
        raise ConfigError(
            f"`targets` {listed(long)}: a name of {len(long[0]):,} characters; rename the column, to at most "
            f"{_LONGEST_NAME:,}"
        )
