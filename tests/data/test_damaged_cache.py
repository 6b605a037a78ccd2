"""What is damaged in the cache is made anew, and what others may have put there is not followed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from quadzoo.data import reading
from quadzoo.data.cache import ImageSet, computed, contents, prepare
from quadzoo.data.sources import DataRequest, Source, open_source
from quadzoo.errors import DataError

N = 3


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """Three images, and a cache that no other test uses."""
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path / "cache"))
    for index in range(N):
        noise = np.random.default_rng(index).integers(0, 255, (32, 32), dtype=np.uint8)
        assert cv2.imwrite(str(tmp_path / f"{index}.bmp"), noise)
    (tmp_path / "t.csv").write_text("id,y\n0,0\n1,1\n2,2\n")
    return open_source(DataRequest(str(tmp_path / "t.csv"), tmp_path, ("y",)))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def changed(**changes: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


SPOILED = {
    "json": [cut, empty, pipe, link, changed(digests="zz"), changed(digests="ab" * 32),
             changed(left_out=[99]), changed(left_out=[-1]), changed(remarks=[["a", 99, "b"]]),
             changed(geometry=3)],
    "npy": [cut, empty, pipe, link],
    "hint": [cut, empty, pipe, link],
}  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "spoil"), [(suffix, spoil) for suffix, some in SPOILED.items() for spoil in some]
)
def test_what_is_damaged_is_made_anew(suffix: str, spoil: Callable[[Path], None], source: Source) -> None:
    first = prepare(source, "32")
    pixels = np.load(first.file)
    (path,) = first.file.parent.glob(f"*.{suffix}")
    spoil(path)
    contents()  # it does not hang, or fail
    again = prepare(source, "32")
    assert (again.hash, again.file) == (first.hash, first.file)
    assert np.array_equal(np.load(again.file), pixels)
    assert len(contents()) == 1


def test_a_folder_in_the_place_of_a_file_is_told(source: Source) -> None:
    first = prepare(source, "32")
    folder(first.file.with_suffix(".json"))
    with pytest.raises(DataError, match="set QUADZOO_CACHE_DIR to another one"):
        prepare(source, "32")


def test_what_was_computed_and_is_cut_off_is_computed_anew(source: Source) -> None:
    images, calls = prepare(source, "32").file, []

    def blocks() -> list[np.ndarray]:
        calls.append(1)
        return [np.ones((N, 4), np.float32)]

    path = computed(images, N, "features", blocks)
    assert (computed(images, N, "features", blocks), len(calls)) == (path, 1)
    cut(path)
    assert computed(images, N, "features", blocks) == path
    assert (np.load(path).shape, len(calls)) == ((N, 4), 2)


def swapped(source: Source, monkeypatch: pytest.MonkeyPatch, file: str, at: int) -> ImageSet:
    """Prepare images of which one is replaced after it has been read ``at`` times."""
    read, reads = reading.read_image, []

    def replacing(path: Path) -> bytes:
        content = read(path)
        if path.name == file:
            reads.append(path)
            if len(reads) == at:
                assert cv2.imwrite(str(path), np.full((32, 32), 7, np.uint8))
        return content

    monkeypatch.setattr(reading, "read_image", replacing)
    return prepare(source, "32")


def test_an_image_that_is_swapped_is_hashed_and_decoded_from_the_same_bytes(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cv2.imread(str(source.path(1)), cv2.IMREAD_GRAYSCALE)
    images = swapped(source, monkeypatch, "1.bmp", 1)
    assert np.array_equal(np.load(images.file)[1, :, :, 0], before)
    later = prepare(source, "32")
    assert later.file != images.file
    assert (np.load(later.file)[1] == 7).all()


def test_an_image_that_is_swapped_between_two_readings_is_refused(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_SPOOL_BYTES", 0)  # so that each image is read again
    with pytest.raises(DataError, match="changed while the data was being read; run this again"):
        swapped(source, monkeypatch, "1.bmp", 1)
    assert not list((Path(os.environ["QUADZOO_CACHE_DIR"]) / "images").glob("*.json"))
