"""Which images a model was trained and selected on, from model to model."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from quadzoo.errors import DataError
from quadzoo.records import seen
from quadzoo.records.record import SEEN, run_folder, sha256_of, write_record

from ..report.records import record

DIGESTS = np.stack([np.frombuffer(hashlib.sha256(bytes([row])).digest(), np.uint8) for row in range(10)])

Keep = Callable[..., Path]


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Write a run's file, or none, and the record that names it; return the folder."""

    def write(content: bytes | None, key: str = "k") -> Path:
        folder, one = run_folder(tmp_path, key), record(key, 0.1)
        folder.mkdir(parents=True, exist_ok=True)
        if content is not None:
            (folder / SEEN).write_bytes(content)
            one.files = {SEEN: sha256_of(folder / SEEN)}
        write_record(tmp_path, one)
        return folder

    return write


def table_of(folder: Path) -> np.ndarray:
    table = seen.read(folder)
    assert table is not None
    return table


def test_what_a_run_was_trained_and_selected_on(keep: Keep) -> None:
    folder = keep(seen.of_run(DIGESTS, rows(0, 1, 2), rows(3, 4), None, epochs=5))
    table = table_of(folder)
    assert table.dtype == np.uint8
    assert table.shape == (5, 17)
    known = {(row[0], row[1:].tobytes()) for row in table}
    assert known == {(side, DIGESTS[row, :16].tobytes()) for side, row in
                     [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4)]}  # fmt: skip


def test_an_image_counts_once(keep: Keep) -> None:
    twice = np.concatenate([DIGESTS[:2], DIGESTS[:2]])
    assert len(table_of(keep(seen.of_run(twice, rows(0, 1, 2), rows(3), None, epochs=1)))) == 3


def test_without_training_nothing_is_seen(keep: Keep) -> None:
    folder = keep(seen.of_run(DIGESTS, rows(0, 1), rows(2), None, epochs=0))
    table = table_of(folder)
    assert len(table) == 0
    assert seen.overlap(table, DIGESTS, rows(0, 1), rows(2, 3)) == seen.Overlap(test=0, val=0)


def test_overlap(keep: Keep) -> None:
    table = table_of(keep(seen.of_run(DIGESTS, rows(0, 1, 2), rows(3, 4), None, epochs=1)))
    # Of test all that it has seen counts, of val what it was trained on alone.
    assert seen.overlap(table, DIGESTS, val=rows(2, 3, 5), test=rows(1, 4, 6)) == seen.Overlap(test=2, val=1)
    assert seen.overlap(table, DIGESTS, val=rows(3, 4), test=rows(5)) == seen.Overlap(test=0, val=0)
    # Each image counts, equal ones too.
    assert seen.overlap(table, DIGESTS, val=rows(2, 2), test=rows(0, 0, 0)) == seen.Overlap(test=3, val=2)
    assert seen.overlap(table, DIGESTS, val=rows(), test=rows()) == seen.Overlap(test=0, val=0)


def test_models_hand_on_what_they_have_seen(keep: Keep) -> None:
    first = keep(seen.of_run(DIGESTS, rows(0), rows(1), None, epochs=1), "first")
    second = keep(seen.of_run(DIGESTS, rows(2), rows(3), first, epochs=1), "second")
    third = keep(seen.of_run(DIGESTS, rows(4), rows(5), second, epochs=0), "third")
    table = table_of(third)
    assert seen.overlap(table, DIGESTS, val=rows(*range(10)), test=rows(*range(10))) == seen.Overlap(
        test=4, val=2
    )
    # Selected on by the first and trained on by the second: seen both ways.
    both = table_of(keep(seen.of_run(DIGESTS, rows(1), rows(0), first, epochs=1), "both"))
    assert len(both) == 4
    assert seen.overlap(both, DIGESTS, val=rows(0, 1), test=rows()) == seen.Overlap(test=0, val=2)


def test_what_started_from_an_unknown_model_is_unknown(keep: Keep) -> None:
    unknown = keep(None)
    assert seen.read(unknown) is None
    assert seen.of_run(DIGESTS, rows(0), rows(1), unknown, epochs=1) is None


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, table=np.zeros((3, 17), np.uint8))
    return file.getvalue()


GOOD = saved(np.zeros((3, 17), np.uint8))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read"),
        (b"no table", "cannot be read"),
        (archive(), "cannot be read"),
        (GOOD[:40], "cannot be read"),
        (GOOD[:-1], "cannot be read"),
        (GOOD.replace(b"(3, 17)", b"(3000000000000, 17)"), "cannot be read"),  # says that it holds 51 TB
        (saved(np.array([{}], object)), "cannot be read"),
        (saved(np.zeros((3, 16), np.uint8)), "not a table of digests"),
        (saved(np.zeros((3, 17))), "not a table of digests"),
        (saved(np.zeros(17, np.uint8)), "not a table of digests"),
    ],
)
def test_another_file_is_named(keep: Keep, content: bytes, reason: str) -> None:
    folder = keep(content)
    with pytest.raises(DataError, match=f"{SEEN}: {reason}"):
        seen.read(folder)
    with pytest.raises(DataError, match=f"{SEEN}: {reason}"):
        seen.of_run(DIGESTS, rows(0), rows(1), folder, epochs=1)


def test_a_file_that_the_record_does_not_name(keep: Keep) -> None:
    folder = keep(seen.of_run(DIGESTS, rows(0), rows(1), None, epochs=1))
    (folder / SEEN).write_bytes(GOOD)
    with pytest.raises(DataError, match="not the file that the record names; it was changed or cut off"):
        seen.read(folder)
    (folder / SEEN).unlink()
    with pytest.raises(DataError, match=r"cannot be read \(.*No such file"):
        seen.read(folder)
