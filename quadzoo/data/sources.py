"""Find images and targets: drawn equations, a folder in the published layout, or any CSV."""

from __future__ import annotations

import math
import os
import re
import shutil
import unicodedata
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock

from quadzoo.data import equations
from quadzoo.data.tables import column, listed, number, open_table, quoted
from quadzoo.errors import ConfigError, DataError
from quadzoo.storage import cache_errors, cache_folder, lock

QUADRATIC = "quadratic"
N_DRAWN = 2000
_GENERATOR_SEED = 42
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})


@dataclass(frozen=True)
class DataRequest:
    """The data that are asked for: ``quadratic``, a folder or a CSV, and what is needed to read it."""

    data: str
    images: Path | None = None
    targets: tuple[str, ...] | None = None
    id_column: str | None = None
    group_column: str | None = None


@dataclass(frozen=True)
class Source:
    """N images with T targets each, checked but not yet decoded.

    The rows are in ascending order of ``ids``. ``files`` are the images' paths under ``folder``;
    ``targets`` is float64 (N, T) in original units; ``low`` and ``high`` are set where the scaling ranges
    are known beforehand; ``group_values`` are the cells of the group column; ``kinds`` the sorts of image,
    where they are known: the forms of equations. ``table`` and ``rows`` (line numbers in it) are for
    messages.
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

    def unreadable(self, index: int, why: str) -> str:
        """Return the message for an image that cannot be read: table, row, path and cause."""
        return f"{self.table}: row {self.rows[index]}: image {self.path(index)} is unreadable ({why})"

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
        )


Kind = Literal["row", "id", "missing target", "target", "image"]


@dataclass(frozen=True)
class Fault:
    """A row that cannot be used, and its image where it has one; ``text`` is the message."""

    kind: Kind
    row: int
    text: str
    file: str | None = None


def drawn_folder() -> Path:
    """Return the folder in the cache of the equations that the data ``quadratic`` are."""
    return cache_folder() / "equations" / f"v1-n{N_DRAWN}-seed{_GENERATOR_SEED}"


def precision_folder() -> Path:
    """Return the folder in the cache of the precisions that were chosen on this machine."""
    return cache_folder() / "precision"


def open_source(request: DataRequest, advance: Callable[[int], None] = lambda _: None) -> Source:
    """Return the requested images and targets; equations are drawn at the first request.

    ``advance`` is given the number of images as they are drawn. Raises ConfigError for parameters that do
    not fit together, and DataError, naming file and row, for a table that cannot be used.
    """
    source, faults = scan(request, advance)
    if faults:
        more = len(faults) - 1
        others = f" (and {more:,} more fault{'s' * (more > 1)}: quadzoo data check lists them)"
        raise DataError(faults[0].text + others * (len(faults) > 1))
    return source


def scan(request: DataRequest, advance: Callable[[int], None] = lambda _: None) -> tuple[Source, list[Fault]]:
    """Return the usable rows, and what is wrong with the others.

    ``advance`` as for ``open_source``. Raises ConfigError for parameters that do not fit together, and
    DataError for a table that cannot be read.
    """
    table, request = resolve(request, advance)
    if request.images is None or not request.targets:
        raise ConfigError(
            f"`data` {request.data} is a table: name the folder of its images with `images` and its columns "
            "with `targets`"
        )
    source, faults = _scan(table, request, request.images, request.targets)
    return _with_ranges(source) if is_equations(table) else source, faults


def resolve(
    request: DataRequest, advance: Callable[[int], None] = lambda _: None
) -> tuple[Path, DataRequest]:
    """Return the path of the table, and the request completed where it is a folder in the published layout.

    Equations are drawn at the first request; ``advance`` is given the number of images as they are drawn.
    Raises DataError where there is no such table, or the cache cannot be written.
    """
    path = Path(request.data)
    if request.data == QUADRATIC:
        path = drawn_folder()
        if not path.exists():
            _draw(path, advance)
    elif not path.exists():
        raise DataError(f"`data` {path}: no such folder or file (and not {QUADRATIC!r}, which is drawn)")
    if not path.is_dir():
        return path, request
    table = path / equations.DETAILS_CSV
    if not table.is_file():
        raise DataError(
            f"`data` {path}: a folder must hold {equations.DETAILS_CSV!r}; "
            "for any other data name the CSV itself, with `images` and `targets`"
        )
    images = request.images or path / equations.IMAGES
    return table, replace(request, images=images, targets=request.targets or equations.TARGETS)


def _draw(folder: Path, advance: Callable[[int], None]) -> None:
    with cache_errors(), drawing_lock(folder):
        if not folder.exists():  # another process may have drawn them
            remove_drawings(folder)
            equations.write_folder(folder, N_DRAWN, _GENERATOR_SEED, advance=advance)


def drawing_lock(folder: Path, *, blocking: bool = True) -> FileLock:
    """Return the lock to hold while equations are drawn into a folder, or deleted."""
    return lock(folder.with_name(f"{folder.name}.lock"), blocking=blocking)


def remove_drawings(folder: Path) -> None:
    """Delete drawn equations, and what killed processes have left; hold the folder's lock meanwhile."""
    for path in (folder, *equations.unfinished(folder)):
        shutil.rmtree(path, ignore_errors=True)


def is_equations(table: Path) -> bool:
    """Say whether a table is that of a folder in the published layout."""
    return table.name == equations.DETAILS_CSV


def _with_ranges(source: Source) -> Source:
    ranges = dict(zip(equations.TARGETS, zip(equations.LOW, equations.HIGH, strict=True), strict=True))
    if not ranges.keys() >= set(source.target_names):
        return source
    low, high = zip(*(ranges[target] for target in source.target_names), strict=True)
    return replace(source, low=low, high=high)


def _scan(
    table: Path, request: DataRequest, images: Path, targets: tuple[str, ...]
) -> tuple[Source, list[Fault]]:
    _check_names(targets)
    finder = _ImageFinder(images)
    faults: list[Fault] = []
    line_of: dict[str, int] = {}
    files: list[str] = []
    groups: list[str] = []
    kinds: list[str] = []
    lines, values = array("q"), array("d")
    with open_table(table) as (header, rows):
        id_index = column(table, header, request.id_column or "id", "id_column")
        targets_at = {target: column(table, header, target, "targets") for target in targets}
        grouped = request.group_column
        group_index = column(table, header, grouped, "group_column") if grouped else None
        text_index = header.index("equation") if is_equations(table) and "equation" in header else None
        for line, cells in rows:
            file = None
            try:
                if len(cells) != len(header):
                    raise _Unusable("row", f"{len(cells)} cells where the header has {len(header)}")
                identity = cells[id_index].strip()
                if identity in line_of:
                    raise _Unusable(
                        "id", f"id {quoted(identity)} is also in row {line_of[identity]}; ids must differ"
                    )
                file = finder.find(identity)
                numbers = [_number(target, cells[index]) for target, index in targets_at.items()]
            except _Unusable as error:
                faults.append(Fault(error.kind, line, f"{table}: row {line}: {error}", file))
                continue
            line_of[identity] = line
            files.append(file)
            lines.append(line)
            values.extend(numbers)
            if group_index is not None:
                groups.append(cells[group_index])
            if text_index is not None:
                kinds.append(equations.form(cells[text_index]))
    if not line_of and not faults:
        raise DataError(f"{table}: no rows under the header")
    name = table.parent.resolve().name if is_equations(table) else table.stem
    ids = list(line_of)
    source = Source(
        name=QUADRATIC if request.data == QUADRATIC else name,
        table=table,
        rows=lines,
        ids=ids,
        folder=images,
        files=files,
        target_names=targets,
        targets=np.array(values).reshape(-1, len(targets)),
        group_values=groups if grouped else None,
        kinds=kinds or None,
    )
    by_name = sorted(range(len(ids)), key=source.names.__getitem__)
    return source if by_name == list(range(len(ids))) else source.subset(by_name), faults


class _Unusable(Exception):
    """Why a row cannot be used."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def _check_names(targets: tuple[str, ...]) -> None:
    taken = {"id", "split", "image_group", "image_kind", *(f"{target}_pred" for target in targets)}
    clash = sorted(taken & set(targets))
    if clash:
        raise ConfigError(
            f"`targets` {listed(clash)}: predictions.csv has columns of that name; rename it in the table"
        )


_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")


def _number(target: str, text: str) -> float:
    value = number(text)
    if not math.isnan(value):
        return value
    hint = "; write decimals with a point" if _DECIMAL_COMMA.fullmatch(text) else ""
    kind: Kind = "target" if text.strip() else "missing target"
    raise _Unusable(kind, f"target {quoted(target)} is {quoted(text)}, not a finite number{hint}")


def images_under(folder: Path) -> Iterator[str]:
    """Yield the paths, relative to the folder, of all files whose suffix is that of an image."""
    for where, _, names in os.walk(folder):
        inside = os.path.relpath(where, folder)
        for name in names:
            if os.path.splitext(name)[1].lower() in _SUFFIXES:
                yield os.path.normpath(os.path.join(inside, name))


class _ImageFinder:
    """Finds the image of an id, written with or without its suffix, inside one folder only.

    An id may name a sub-folder, but not leave the folder by ``..`` or an absolute path. Links inside the
    folder are followed: its owner has put them there. Names are compared in Unicode's normal form C, since
    some systems write ü as u and two dots.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"`images` {folder}: no such folder")
        self.folder = folder
        self._listed = cache(self._list)

    def find(self, identity: str) -> str:
        """Return the image's path under the folder. Raises _Unusable."""
        if not identity:
            raise _Unusable("id", "the id is empty")
        inside = os.path.relpath(identity, self.folder.absolute()) if os.path.isabs(identity) else identity
        where, name = os.path.split(os.path.normpath(inside))
        if where.split(os.sep)[0] == ".." or name == "..":
            raise _Unusable("id", f"id {quoted(identity)} leads out of {self.folder}")
        names, stems = self._listed(where)
        key = unicodedata.normalize("NFC", name)
        found = [names[key]] if key in names else stems.get(key, [])
        if not found:
            raise _Unusable("image", f"no image for id {quoted(identity)} in {self.folder}")
        if len(found) > 1:
            raise _Unusable(
                "image", f"id {quoted(identity)} could be {listed(sorted(found))}; add the suffix"
            )
        return os.path.join(where, found[0])

    def _list(self, where: str) -> tuple[dict[str, str], dict[str, list[str]]]:
        """Return a sub-folder's files by name, and its images by name without suffix."""
        names: dict[str, str] = {}
        stems: dict[str, list[str]] = defaultdict(list)
        folder = self.folder / where
        for entry in os.scandir(folder) if folder.is_dir() else ():
            if entry.is_file():
                stem, suffix = os.path.splitext(entry.name)
                names[unicodedata.normalize("NFC", entry.name)] = entry.name
                if suffix.lower() in _SUFFIXES:
                    stems[unicodedata.normalize("NFC", stem)].append(entry.name)
        return names, stems
