"""The images to predict: files, folders, patterns, tables and arrays. None is decoded here."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from quadzoo.data.finder import ImageFinder, NotFound, images_under, is_image
from quadzoo.data.guess import complete
from quadzoo.data.tables import column, names_image, no_header, open_table
from quadzoo.data.texts import key, listed, printable, where
from quadzoo.errors import ConfigError, DataError

IMAGE_COLUMNS = ("image", "path", "file", "id")  # of a DataFrame: the first that there is

_NAME = "name images, folders of them, or a pattern"

Given = Any
"""Paths, arrays or a DataFrame, as `images_of` takes them."""


@dataclass(frozen=True)
class Image:
    """An image to predict: its id, and its file, or its pixels (H, W) or (H, W, C), uint8 or other numbers.

    Where there is neither, ``fault`` says why.
    """

    id: Any
    source: Path | np.ndarray | None = field(repr=False)
    fault: str = ""


def images_of(given: Given) -> list[Image]:
    """Return the images of what a program gives.

    That is a path, a pattern such as ``photos/*.jpg``, or an array (H, W), (H, W, C) or (N, H, W, C) of
    uint8, uint16 or floating point; a sequence of paths and arrays, each in its place, however often; or
    a DataFrame whose images, paths or arrays, are in the first of the columns image, path, file and id.
    The id of an image is its path, of an array its position; of a DataFrame it is the column id, where
    there is one. Raises DataError for anything else, and for paths that lead to no image.
    """
    if isinstance(given, pd.DataFrame):
        return _of_frame(given)
    if isinstance(given, np.ndarray) and given.dtype.kind not in "OUT":  # of objects or texts
        return list(_of_array(given))
    if isinstance(given, str | os.PathLike):
        return files_of([given])
    if not isinstance(given, Iterable):
        raise DataError(f"images: expected paths, arrays or a DataFrame, got {type(given).__name__}")
    some = list(given)
    if all(isinstance(one, str | os.PathLike) for one in some):
        return _led_to(some)
    return [_image(position, one) for position, one in enumerate(some)]


def files_of(arguments: Sequence[str | os.PathLike[str]]) -> list[Image]:
    """Return the images that paths lead to, each file once: files, folders with all in them, and patterns.

    A pattern may lead to folders, too. Of folders and patterns, files are taken whose suffix is that of an
    image, also of a kind that cannot be read, in the order of their paths. A path that leads to none is an
    image with a fault. Raises DataError where all are such.
    """
    return list({image.source or image.id: image for image in _led_to(arguments)}.values())


def refuse_faults(images: Sequence[Image]) -> None:
    """Refuse images of which one is none. Raises DataError, which names the first."""
    for image in images:
        if image.fault:
            raise DataError(f"{where(Path(image.id))}: {image.fault}; {_NAME}")


def _led_to(arguments: Iterable[str | os.PathLike[str]]) -> list[Image]:
    """Return the images that each path leads to, however often. Raises DataError where there is none."""
    images = []
    for argument in arguments:
        found = [Image(printable(str(path)), path) for path in _files(Path(argument))]
        images += found or [Image(printable(str(argument)), None, _nothing(argument))]
    if images and all(image.source is None for image in images):
        refuse_faults(images)
    return images


def _nothing(argument: str | os.PathLike[str]) -> str:
    return "no image in this folder" if os.path.isdir(argument) else "no such file or folder"


def _files(path: Path) -> Iterator[Path]:
    if os.path.isdir(path):
        yield from (path / name for name in sorted(images_under(path, readable=False)))
    elif os.path.lexists(path):
        yield path
    elif glob.has_magic(str(path)):
        for found in _matches(path):
            folder, name = os.path.split(found)
            if os.path.isdir(found):
                yield from (Path(found) / one for one in sorted(images_under(Path(found), readable=False)))
            elif os.path.isfile(found) and is_image(name, readable=False):
                yield Path(folder) / name


def _matches(path: Path) -> list[str]:
    """Return what a pattern matches, in order; a folder that is there means itself: `odd [1]/*`."""
    folder = next((parent for parent in path.parents if os.path.isdir(parent)), Path())
    pattern = Path(glob.escape(str(folder)), path.relative_to(folder))
    try:
        return sorted(glob.glob(str(pattern), recursive=True))
    except ValueError:  # characters that no file name can have
        return []


def images_in_table(table: Path, images: Path | None = None, id_column: str | None = None) -> list[Image]:
    """Return the images that a table's rows name, as `quadzoo bench` finds them.

    ``images`` is their folder, ``id_column`` the column that names them; what is None is found where there
    is no doubt. A row without an image has a fault. Raises ConfigError where there is a doubt, and DataError
    for a table that cannot be read.
    """
    known = complete(table, images, id_column and key(id_column), (), None)
    if known.doubts:
        raise ConfigError(f"`csv_in` {where(table)}: {known.doubts[0]}")
    finder = ImageFinder(known.images or table.parent)
    with open_table(table) as (header, rows):
        at = header.index(str(known.id_column))
        if finder.finds(header[at]) and (is_image(header[at]) or no_header(header)):
            raise DataError(f"{where(table)}: row 1: {names_image(header, at)}")
        found = [_of_row(line, cells, at, finder) for line, cells in rows]
    if not found:
        raise DataError(f"{where(table)}: no rows under the header")
    return found


def groups_in_table(table: Path, name: str) -> list[str]:
    """Return the cell of a column in each row of a table, as groups are compared; none is an empty text.

    Raises DataError for a table that cannot be read and for a column that is not there.
    """
    with open_table(table) as (header, rows):
        at = column(table, header, key(name), "interval_by")
        return [key(cells[at]) if at < len(cells) else "" for _, cells in rows]


def groups_in_frame(frame: pd.DataFrame, name: str) -> list[str]:
    """Return the cell of a column in each row of a DataFrame, as groups are compared; none is an empty text.

    Raises DataError for a column that is not there.
    """
    names = [key(str(one)) for one in frame.columns]
    at = column(Path("the DataFrame"), names, key(name), "interval_by")
    return ["" if pd.isna(cell) else key(str(cell)) for cell in frame.iloc[:, at]]


def _of_row(line: int, cells: Sequence[str], at: int, finder: ImageFinder) -> Image:
    identity = key(cells[at]) if at < len(cells) else ""
    try:
        return Image(identity, finder.folder / finder.find(identity))
    except NotFound as error:
        return (
            Image(identity, None, f"row {line}: {error}")
            if identity
            else Image(f"row {line}", None, f"{error}")
        )


def _of_frame(frame: pd.DataFrame) -> list[Image]:
    found = next((name for name in IMAGE_COLUMNS if name in frame), None)
    if found is None:
        raise DataError(
            f"the DataFrame has no column {', '.join(IMAGE_COLUMNS[:-1])} or {IMAGE_COLUMNS[-1]}; put the "
            f"images, paths or arrays, in one of these; it has {listed([str(name) for name in frame])}"
        )
    for name in dict.fromkeys((found, "id")):
        if list(frame.columns).count(name) > 1:
            raise DataError(f"the DataFrame has more than one column {name}; rename all but one")
    ids = frame["id"] if "id" in frame else frame[found]
    images = [_image(position, one, identity) for position, (identity, one) in
              enumerate(zip(ids, frame[found], strict=True))]  # fmt: skip
    files = [one.source for one in images if isinstance(one.source, Path)]
    if images and len(files) == len(images) and not any(map(os.path.lexists, files)):
        raise DataError(
            f"{where(files[0])}: no such file, nor any other that the column {found} names; paths begin at "
            "the current folder"
        )
    return images


def _image(position: int, one: object, identity: object = None) -> Image:
    """Return one image of a sequence; an array that names itself has its position for an id."""
    if isinstance(one, str | os.PathLike):
        return Image(printable(str(one)) if identity is None else identity, Path(one))
    if isinstance(one, np.ndarray):
        named = identity is not None and not isinstance(identity, np.ndarray)
        return Image(identity if named else position, one)
    raise DataError(f"images: image {position} is a {type(one).__name__}; give a path or an array")


def _of_array(array: np.ndarray) -> Iterator[Image]:
    if array.ndim == 4:
        yield from (Image(position, one) for position, one in enumerate(array))
    elif array.ndim in (2, 3):
        yield Image(0, array)
    else:
        raise DataError(f"images: an array {array.shape}; needed is (H, W), (H, W, C) or (N, H, W, C)")
