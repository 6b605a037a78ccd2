"""Where pictures and targets come from: drawn equations, the published folder, or any CSV."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import platformdirs

from quadzoo.data import equations
from quadzoo.errors import ConfigError, DataError

QUADRATIC = "quadratic"
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
N_DRAWN = 2000
_GENERATOR_SEED = 42


@dataclass(frozen=True)
class DataRequest:
    """Which data: ``quadratic``, a folder or a CSV, and what goes with it."""

    data: str
    images: Path | None = None
    targets: tuple[str, ...] | None = None
    id_column: str | None = None
    group_column: str | None = None


@dataclass(frozen=True)
class Source:
    """N pictures with T targets each, checked but not yet decoded.

    ``targets`` is float64 (N, T); ``low`` and ``high`` are set where the scaling ranges are known
    beforehand; ``group_values`` holds the ``--group-column`` texts; ``table`` and ``rows`` (numbers of
    lines in it) serve error messages.
    """

    name: str
    table: Path
    rows: list[int] = field(repr=False)
    ids: list[str] = field(repr=False)
    paths: list[Path] = field(repr=False)
    target_names: tuple[str, ...]
    targets: np.ndarray = field(repr=False)
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    group_values: list[str] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)


def cache_folder() -> Path:
    """Return the folder for what can be made again; the variable QUADZOO_CACHE_DIR moves it.

    Raises DataError when it cannot be made.
    """
    folder = Path(os.environ.get("QUADZOO_CACHE_DIR") or platformdirs.user_cache_dir("quadzoo"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cache folder {folder}: {error}; set QUADZOO_CACHE_DIR to another one") from error
    return folder


def open_source(request: DataRequest, advance: Callable[[int], None] = lambda _: None) -> Source:
    """Return the pictures and targets that were asked for; equations are drawn when first asked for.

    ``advance`` is told the number of pictures as they are drawn. Raises ConfigError when the flags do not
    fit together and DataError, naming file and row, when the table cannot be used.
    """
    data, path = request.data, Path(request.data)
    if data == QUADRATIC:
        path = cache_folder() / "equations" / f"v1-n{N_DRAWN}-seed{_GENERATOR_SEED}"
        if not path.exists():
            equations.write_folder(path, N_DRAWN, _GENERATOR_SEED, advance)
    elif not path.exists():
        raise DataError(f"--data {data}: no such folder or file (and not {QUADRATIC!r}, which is drawn)")
    if path.is_dir():
        return _published_folder(path, request)
    if request.images is None or not request.targets:
        raise ConfigError(f"--data {data} is a table: say --images FOLDER and --targets NAME,NAME too")
    return _read(path, path.stem, request)


def _published_folder(folder: Path, request: DataRequest) -> Source:
    table = folder / equations.DETAILS_CSV
    if not table.is_file():
        raise DataError(
            f"--data {folder}: a folder must hold {equations.DETAILS_CSV!r}; "
            "for any other data give the CSV itself with --images and --targets"
        )
    targets = request.targets or equations.TARGETS
    images = request.images or folder / equations.PICTURES
    name = QUADRATIC if request.data == QUADRATIC else folder.resolve().name
    source = _read(table, name, replace(request, images=images, targets=targets))
    ranges = {
        target: (low, high)
        for target, low, high in zip(equations.TARGETS, equations.LOW, equations.HIGH, strict=True)
    }
    if not ranges.keys() >= set(targets):
        return source
    low, high = zip(*(ranges[target] for target in targets), strict=True)
    return replace(source, low=low, high=high)


def _read(table: Path, name: str, request: DataRequest) -> Source:
    images, targets, group_column = request.images, request.targets, request.group_column
    assert images is not None
    assert targets
    _check_names(targets)
    header, rows = _rows(table)
    id_index = _column(table, header, request.id_column or "id", "--id-column")
    target_indices = [_column(table, header, target, "--targets") for target in targets]
    group_index = _column(table, header, group_column, "--group-column") if group_column else None
    if not rows:
        raise DataError(f"{table}: no rows under the header")
    finder = _PictureFinder(images)
    seen: dict[str, int] = {}
    paths: list[Path] = []
    values = np.empty((len(rows), len(targets)))
    for position, (line, cells) in enumerate(rows):
        identity = cells[id_index].strip()
        if identity in seen:
            raise DataError(
                f"{table}: row {line}: id {identity!r} stands in row {seen[identity]} too; ids must differ"
            )
        seen[identity] = line
        for column, index in enumerate(target_indices):
            values[position, column] = _number(table, line, targets[column], cells[index])
        paths.append(finder.find(table, line, identity))
    return Source(
        name=name,
        table=table,
        rows=[line for line, _ in rows],
        ids=list(seen),
        paths=paths,
        target_names=targets,
        targets=values,
        group_values=None if group_index is None else [cells[group_index] for _, cells in rows],
    )


def _check_names(targets: tuple[str, ...]) -> None:
    taken = {"id", "split", *(f"{target}_pred" for target in targets)}
    clash = sorted(taken & set(targets))
    if clash:
        raise ConfigError(
            f"--targets {', '.join(clash)}: predictions.csv has columns of that name; rename it in the table"
        )


def _rows(table: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table}: cannot be read as UTF-8 text ({error})") from error
    # The csv module, not pandas: an id must stay the text that was written (001, 1e5, NA), and a row
    # with a cell too many must be an error, not a shift of the columns.
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    header: list[str] = []
    rows: list[tuple[int, list[str]]] = []
    for cells in reader:
        if not any(cells):
            continue
        if not header:
            header = [cell.strip() for cell in cells]
        elif len(cells) != len(header):
            raise DataError(
                f"{table}: row {reader.line_num} has {len(cells)} cells where the header has {len(header)}"
            )
        else:
            rows.append((reader.line_num, cells))
    if not header:
        raise DataError(f"{table}: the file is empty")
    return header, rows


def _column(table: Path, header: list[str], name: str, flag: str) -> int:
    if header.count(name) != 1:
        problem = "no" if name not in header else "more than one"
        raise DataError(f"{table}: {problem} column {name!r} ({flag}); it has {', '.join(header)}")
    return header.index(name)


def _number(table: Path, line: int, target: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(f"{table}: row {line}: target {target!r} is {text!r}, not a finite number")
    return value


class _PictureFinder:
    """Finds the picture of an id, written with or without its suffix, inside one folder only."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"--images {folder}: no such folder")
        self.folder = folder
        self._resolved = folder.resolve()

    def find(self, table: Path, line: int, identity: str) -> Path:
        if not identity:
            raise DataError(f"{table}: row {line}: the id is empty")
        named = self.folder / identity
        if not named.resolve().is_relative_to(self._resolved):
            raise DataError(f"{table}: row {line}: id {identity!r} leads out of {self.folder}")
        if named.is_file():
            return named
        found = [path for suffix in _SUFFIXES if (path := self.folder / f"{identity}{suffix}").is_file()]
        if not found:
            raise DataError(f"{table}: row {line}: no picture for id {identity!r} in {self.folder}")
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            raise DataError(f"{table}: row {line}: id {identity!r} could be {names}; write the suffix")
        return found[0]
