"""predictions.csv: what a run predicted for its val and test images. Written and read here alone."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic_core import from_json

from quadzoo.data.fold import Fold
from quadzoo.errors import DataError
from quadzoo.storage import read_regular

_MOST_BYTES = 2 << 30
MOST = 1e30  # of a number: squares of larger ones are no scores
_OLDER_NAMES = {"picture_group": "image_group", "picture_kind": "image_kind"}
RESERVED = ("id", "split", "image_group", "group_value", "image_kind", *_OLDER_NAMES)
_MINUS_NOTHING = re.compile(r"-0\s*[],]")  # to JSON an integer, without a sign
_OF_READERS = ("error",)  # columns that readers add to the table
KnownColumns = dict[str, tuple[list[str], np.ndarray]]  # cells and their numbers, float64 (M,), by name


def columns_of(targets: Sequence[str], taken: Sequence[str] = (*RESERVED, *_OF_READERS)) -> dict[str, str]:
    """Return the column of each target in the table that `read_predictions` returns: mostly its name.

    A prediction is in the column with ``_pred`` behind that. A target whose columns would be another's, or
    one of ``taken``, has " (target)" behind its name.
    """
    columns: dict[str, str] = {}
    used = {*taken}
    for target in targets:
        column = target
        while {column, f"{column}_pred"} & used:
            column += " (target)"
        columns[target] = column
        used |= {column, f"{column}_pred"}
    return columns


def _spread_columns(columns: Mapping[str, str]) -> list[str]:
    """Return the column of the spread of each target's predictions; ``columns`` are those of `columns_of`."""
    used = {name for column in columns.values() for name in (column, f"{column}_pred")}
    names = []
    for column in columns.values():
        name = f"{column}_spread"
        while name in used:
            name += " (spread)"
        names.append(name)
        used.add(name)
    return names


def to_csv(
    sides: Sequence[str],
    ids: Sequence[str],
    truth: np.ndarray,
    prediction: np.ndarray,
    *,
    targets: Sequence[str],
    groups: Sequence[str],
    group_values: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    spread: np.ndarray | None = None,
) -> bytes:
    """Return the table of M predictions as UTF-8 CSV.

    ``sides`` are val or test, image by image; ``truth`` and ``prediction`` are float64 (M, T), in original
    units; a truth that is NaN is an empty cell; ``groups`` names the first image of each image's group;
    ``group_values`` are the cells of the group column; ``kinds`` says what sort each image is. ``spread`` are
    the standard deviations that the model gives its own predictions, float64 (M, T).
    """
    columns: dict[str, object] = {"id": list(ids), "split": list(sides)}
    written = columns_of(targets, RESERVED)
    for index, name in enumerate(written.values()):
        values = truth[:, index]
        known = values[~np.isnan(values)]
        whole = bool((known == np.rint(known)).all()) and bool((np.abs(known) < 2**53).all())
        # Int64 has empty cells.
        kind = np.dtype("int64") if len(known) == len(values) else pd.Int64Dtype()
        columns[name] = pd.Series(values).astype(kind) if whole else values
        columns[f"{name}_pred"] = prediction[:, index]
    if spread is not None:
        columns |= dict(zip(_spread_columns(written), spread.T, strict=True))
    columns["image_group"] = list(groups)
    if group_values is not None:
        columns["group_value"] = list(group_values)
    if kinds is not None:
        columns["image_kind"] = list(kinds)
    return pd.DataFrame(columns).to_csv(index=False).encode()


def of_fold(
    fold: Fold,
    targets: Sequence[str],
    val: np.ndarray,
    test: np.ndarray,
    spread: tuple[np.ndarray, np.ndarray] | None = None,
) -> bytes:
    """Return the table of predictions float64 (n_val, T) and (n_test, T), in original units, for a fold.

    ``spread`` has the shapes of both.
    """
    rows = np.concatenate([fold.split.val, fold.split.test])
    _, first, group = np.unique(fold.groups, return_index=True, return_inverse=True)
    return to_csv(
        ["val"] * len(val) + ["test"] * len(test),
        [fold.ids[row] for row in rows],
        fold.targets[rows],
        np.concatenate([val, test]),
        targets=targets,
        groups=[fold.ids[first[group[row]]] for row in rows],
        group_values=None if fold.group_values is None else [fold.group_values[row] for row in rows],
        kinds=None if fold.kinds is None else [fold.kinds[row] for row in rows],
        spread=None if spread is None else np.concatenate(spread),
    )


def nameless(table: pd.DataFrame, targets: Sequence[str]) -> bytes:
    """Return the val part of a table that `read_predictions` returned, as CSV without the images' names.

    Images have numbers for ids, in the order of their ids, so that several runs with the same val images
    number them alike. The group of an image is the number of its first one; cells of the
    group column and kinds are left out.
    """
    val = table[table["split"] == "val"].sort_values("id", kind="stable")
    digits = len(str(len(val)))  # of all numbers, so that they are in order as texts
    numbers = [f"{number:0{digits}}" for number in range(1, len(val) + 1)]
    first = dict(zip(reversed(val["image_group"].tolist()), reversed(numbers), strict=True))
    truth, prediction = of_targets(val, targets)
    return to_csv(
        ["val"] * len(val), numbers, truth, prediction, targets=targets,
        groups=[first[name] for name in val["image_group"]], spread=spread_of(val, targets),
    )  # fmt: skip


class Parsed(NamedTuple):
    """predictions.csv of M images: its texts by column, and float64 (M, C) for the columns of ``names``.

    Texts are ``id``, ``split``, ``image_group`` and, where the file has them, ``group_value`` and
    ``image_kind``; other columns are left out. A truth that is missing is NaN; the spread of the predictions
    is there where the file has it. ``sha256`` is that of the file, in hexadecimal.
    """

    texts: dict[str, list[str]]
    names: list[str]
    numbers: np.ndarray
    sha256: str


def read_predictions(path: Path, targets: Sequence[str]) -> pd.DataFrame:
    """Return predictions.csv: its names, groups and kinds as text, the targets as float64.

    `columns_of` says which columns hold the targets; an empty truth is NaN. `spread_of` returns the spread of
    the predictions. The group of an image is its own where the file says none. Raises DataError for another
    table.
    """
    texts, names, numbers, _ = parsed_predictions(path, targets)
    return pd.concat([pd.DataFrame(texts), pd.DataFrame(numbers, columns=names)], axis=1)


def parsed_predictions(path: Path, targets: Sequence[str], known: KnownColumns | None = None) -> Parsed:
    """Return what `read_predictions` does, without a table made of it: that takes longer than reading.

    ``known`` are the columns of truth of the file that was read last: mostly they are the same, and are not
    read again. Raises DataError for another table.
    """
    known = {} if known is None else known
    written, here = columns_of(targets, RESERVED), columns_of(targets)
    columns = [name for column in written.values() for name in (column, f"{column}_pred")]
    names = [name for column in here.values() for name in (column, f"{column}_pred")]
    try:
        content = read_regular(path, _MOST_BYTES)
        texts = _plain_cells(content) or _cells(content, path)
        missing = [name for name in ("id", "split", *columns) if name not in texts]
        if missing:
            raise DataError(f"{path}: no column {missing[0]!r}")
        if {*_spread_columns(written)} <= {*texts}:
            columns += _spread_columns(written)
            names += _spread_columns(here)
        truths = {*written.values()}
        numbers = np.empty((len(columns), len(texts["id"]))).T
        for place, name in enumerate(columns):
            cells = texts.pop(name)
            if name not in truths:
                numbers[:, place] = _numbers(cells)
                continue
            if name not in known or known[name][0] != cells:
                known[name] = cells, _numbers([cell or "NaN" for cell in cells])
            numbers[:, place] = known[name][1]
        _check_scorable(path, numbers[:, : 2 * len(targets)])
        spread = numbers[:, 2 * len(targets) :]
        if not (np.isfinite(spread) & (spread > 0)).all():
            raise DataError(f"{path}: a spread is not a positive number")
    except (ValueError, csv.Error) as error:  # pandas' own are among them
        raise DataError(f"{path}: not a table of predictions ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    for old, new in _OLDER_NAMES.items():
        if old in texts and new not in texts:
            texts[new] = texts.pop(old)
    texts.setdefault("image_group", texts["id"])
    texts = {name: texts[name] for name in RESERVED if name in texts}
    return Parsed(texts, names, numbers, hashlib.sha256(content).hexdigest())


def _plain_cells(content: bytes) -> dict[str, list[str]] | None:
    """Return the cells of a table by column; None unless it is as plain as `to_csv` mostly writes it.

    Nothing is quoted, no line is empty, all have as many cells as the header, and no two columns one name.
    """
    n_lines = content.count(b"\n")
    if content[:3] == b"\xef\xbb\xbf" or any(sign in content for sign in b'"\r\0') or n_lines < 2:
        return None
    # Faster than line by line: the end of each line becomes a cell, and all are equally far apart.
    cells = content.decode().replace("\n", ",\n,").split(",")
    header = cells[: cells.index("\n")]
    step = len(header) + 1
    if cells.pop() or len(cells) != n_lines * step or cells[step - 1 :: step].count("\n") != n_lines:
        return None
    if len(header) < 2 or len({*header}) < len(header) or not all(header):
        return None
    return {name: cells[place + step :: step] for place, name in enumerate(header)}


def _cells(content: bytes, path: Path) -> dict[str, list[str]]:
    """Return the cells of any table by column. Raises DataError or ValueError for what is none."""
    # As text: not every pandas reads a number to its last digit.
    table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    if not isinstance(table.index, pd.RangeIndex):  # pandas has shifted the columns
        raise DataError(f"{path}: its first row has more cells than the header")
    header = next(csv.reader([content.partition(b"\n")[0].decode()]), [])
    if len({*header}) < len(header):
        raise DataError(f"{path}: it has two columns of one name")
    return {str(name): cells.tolist() for name, cells in table.items()}


def _numbers(cells: list[str]) -> np.ndarray:
    """Return the number in each cell, float64 (n,), as `float` reads it. Raises ValueError where none is."""
    text = f"[{','.join(cells)}]"
    # Most cells are JSON, too; as that they are read in a quarter of the time, and to the last digit.
    with suppress(ValueError, OverflowError):
        numbers = from_json(text)
        plain = len(numbers) == len(cells) and {*map(type, numbers)} <= {float, int}
        if plain and not _MINUS_NOTHING.search(text):
            return np.array(numbers, dtype=np.float64)
    return np.array(list(map(float, cells)))


def _check_scorable(path: Path, numbers: np.ndarray) -> None:
    """Raise DataError for a truth or a prediction, by turns the columns, that no score could be made of."""
    truth, prediction = np.abs(numbers[:, ::2]), np.abs(numbers[:, 1::2])
    if not (prediction <= MOST).all() or not (np.isnan(truth) | (truth <= MOST)).all():
        raise DataError(f"{path}: a target or prediction is not a finite number, or beyond {MOST:g}")


def of_targets(table: pd.DataFrame, targets: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction, float64 (M, T) each, in original units."""
    columns = columns_of(targets).values()
    truth, prediction = (
        np.array([table[f"{column}{end}"].to_numpy() for column in columns]).T for end in ("", "_pred")
    )
    return truth, prediction


def spread_of(table: pd.DataFrame, targets: Sequence[str]) -> np.ndarray | None:
    """Return the standard deviations that the model gives its predictions, float64 (M, T) in original units.

    None where the table has none.
    """
    columns = _spread_columns(columns_of(targets))
    return table[columns].to_numpy() if {*columns} <= {*table} else None
