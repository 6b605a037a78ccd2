"""seen_images.npy: which images a model was trained and selected on, by the digests of their pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy

from quadzoo.errors import DataError
from quadzoo.records.record import SEEN, sha256_of
from quadzoo.records.trained import read_record_in

_DIGEST = 16  # bytes that are kept of each image's SHA-256
_TRAIN, _VAL = 0, 1  # the byte before them


class Overlap(NamedTuple):
    """How many test images a model was trained or selected on, and how many val images it was trained on."""

    test: int
    val: int


def of_run(
    digests: np.ndarray, train: np.ndarray, val: np.ndarray, initial: Path | None, epochs: int
) -> bytes | None:
    """Return the file of a run: what it was trained and selected on, and what the model it started from was.

    ``digests`` uint8 (N, 32) are SHA-256 of all images' pixels, ``train`` and ``val`` int64 rows of them;
    ``initial`` is the folder of the model that the run started from. None where that does not say what it has
    seen. Raises DataError where its file is damaged.
    """
    sides = []
    if epochs:
        sides = [(_TRAIN, digests[train]), (_VAL, digests[val])]
    rows = [
        np.concatenate([np.full((len(some), 1), side, np.uint8), some[:, :_DIGEST]], axis=1)
        for side, some in sides
    ]
    if initial is not None:
        before = read(initial)
        if before is None:
            return None
        rows.append(before)
    table = np.unique(np.concatenate(rows), axis=0) if rows else np.zeros((0, 1 + _DIGEST), np.uint8)
    file = io.BytesIO()
    np.save(file, table)
    return file.getvalue()


def read(folder: Path) -> np.ndarray | None:
    """Return what the model in a run's folder has seen, uint8 (M, 17): a byte for the side, and a digest.

    None where the run did not keep it. Raises DataError for a file that is not the one its record names.
    """
    expected = read_record_in(folder).files.get(SEEN)
    if expected is None:
        return None
    try:
        if sha256_of(folder / SEEN) != expected:
            raise DataError(f"{folder / SEEN}: not the file that the record names; it was changed or cut off")
        # Mapped, not read: the file may say that it holds more than there is memory.
        table = npy.open_memmap(folder / SEEN, mode="r")
    except DataError:
        raise
    except Exception as error:  # of a broken header numpy raises what Python's parser does
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{folder / SEEN}: cannot be read ({reason})") from error
    if table.dtype != np.uint8 or table.ndim != 2 or table.shape[1] != 1 + _DIGEST:
        raise DataError(f"{folder / SEEN}: not a table of digests")
    return np.array(table)


def overlap(table: np.ndarray, digests: np.ndarray, val: np.ndarray, test: np.ndarray) -> Overlap:
    """Count the images that a model has seen.

    ``table`` is what `read` returns, ``digests`` uint8 (N, 32) are of the images it is evaluated on, ``val``
    and ``test`` int64 rows of them.
    """
    trained = {row.tobytes() for row in table[table[:, 0] == _TRAIN, 1:]}
    known = {row.tobytes() for row in table[:, 1:]}
    return Overlap(
        test=sum(row.tobytes() in known for row in digests[test, :_DIGEST]),
        val=sum(row.tobytes() in trained for row in digests[val, :_DIGEST]),
    )
