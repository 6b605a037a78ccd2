"""Tables of a program, pandas.DataFrames, as the files that the one reader of tables reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from quadzoo.data.finder import is_image
from quadzoo.data.texts import listed
from quadzoo.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

_AMBIGUOUS = ";\t|"  # in a name of a column, they could be what separates cells


def write_frame(frame: pd.DataFrame, path: Path, parameter: str) -> None:
    """Write a DataFrame as a CSV: what ``frame.to_csv`` writes, without an index that has no name.

    Row N of the file, which messages name, is row N - 2 of the DataFrame. Raises ConfigError, beginning with
    the ``parameter``, for one with several levels of columns, and DataError for text that is no UTF-8.
    """
    if frame.columns.nlevels > 1:
        raise ConfigError(f"`{parameter}`: the DataFrame has {frame.columns.nlevels} rows of names; keep one")
    named = any(name is not None for name in frame.index.names)
    header = [*frame.index.names, *frame.columns] if named else [*frame.columns]
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            if any(sign in str(name) for name in header for sign in _AMBIGUOUS):
                file.write("sep=,\n")
            frame.to_csv(file, index=named)
    except UnicodeEncodeError as error:
        bad = repr(error.object[max(0, error.start - 10) : error.end + 10])
        raise DataError(f"`{parameter}`: the DataFrame holds text that is no Unicode: {bad}") from error


def images_of_frame(frame: pd.DataFrame, id_column: str | None) -> tuple[Path, str] | None:
    """Return the folder of a DataFrame's images, and the column that has their absolute paths.

    None where no column has absolute paths. Raises ConfigError where several have.
    """
    table = frame.reset_index() if any(name is not None for name in frame.index.names) else frame
    names = [name for name in table.columns if id_column in (None, name)]
    found = [name for name in names if _are_paths(list(table[name]))] if table.columns.is_unique else []
    if not found:
        return None
    if len(found) > 1:
        raise ConfigError(
            f"`data`: columns {listed([str(name) for name in found])} of the DataFrame are paths of images; "
            "say which with `id_column`"
        )
    folders = {os.path.dirname(os.path.normpath(os.fspath(cell))) for cell in table[found[0]]}
    return Path(os.path.commonpath(folders)), str(found[0])


def _are_paths(cells: list[object]) -> bool:
    """Say whether all cells are absolute paths of images."""
    return bool(cells) and all(
        isinstance(cell, str | os.PathLike) and os.path.isabs(cell) and is_image(os.fspath(cell))
        for cell in cells
    )
