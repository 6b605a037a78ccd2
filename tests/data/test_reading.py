"""How often image files are read and decoded: once each, however they are asked for."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from quadzoo.data import reading
from quadzoo.data.audit import audit
from quadzoo.data.cache import ImageSet, clear, prepare
from quadzoo.data.decoding import Decoded
from quadzoo.data.reading import ImageReader
from quadzoo.data.sources import DataRequest, Source, open_source
from quadzoo.errors import DataError

N = 12


@dataclass
class Work:
    """How often each file was read, and how many decodes there were."""

    reads: Counter[str] = field(default_factory=Counter)
    decodes: int = 0

    def total(self) -> tuple[int, int]:
        """Return reads and decodes since the last call."""
        answer = self.reads.total(), self.decodes
        self.reads.clear()
        self.decodes = 0
        return answer


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Count reads and decodes, over an empty cache."""
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path_factory.mktemp("own")))
    work = Work()
    read_image, decode = reading.read_image, reading.decode

    def counted_read(path: Path) -> bytes:
        work.reads[path.name] += 1
        return read_image(path)

    def counted_decode(content: bytes, bands: tuple[int, ...] | None = None) -> Decoded:
        work.decodes += 1
        return decode(content, bands)

    monkeypatch.setattr(reading, "read_image", counted_read)
    monkeypatch.setattr(reading, "decode", counted_decode)
    return work


def noise(seed: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """t.csv and photos/ with twelve images; BMP, so that a changed image has the same size of file."""
    photos = tmp_path / "data" / "photos"
    photos.mkdir(parents=True)
    for index in range(N):
        assert cv2.imwrite(str(photos / f"{index:02d}.bmp"), noise(index))
    rows = "".join(f"{index:02d},{index}\n" for index in range(N))
    (photos.parent / "t.csv").write_text(f"id,y\n{rows}")
    return photos.parent


def source_of(folder: Path) -> Source:
    return open_source(DataRequest(str(folder / "t.csv"), folder / "photos", ("y",)))


def prepared(folder: Path, image_size: str = "32") -> ImageSet:
    return prepare(source_of(folder), image_size)


def change(folder: Path, name: str, *, later: bool = True) -> None:
    """Change an image; the size of its file stays, and unless ``later`` the time of its last change."""
    path = folder / "photos" / name
    facts = path.stat()
    assert cv2.imwrite(str(path), noise(1000))
    assert path.stat().st_size == facts.st_size
    time = facts.st_mtime_ns + later * 10**9
    os.utime(path, ns=(time, time))


def pixels_of(images: ImageSet) -> list[list[int]]:
    return np.load(images.file).reshape(N, -1).tolist()


def test_cold_once_warm_never(folder: Path, work: Work) -> None:
    first = prepared(folder)
    assert set(work.reads.values()) == {1}
    assert work.total() == (N, N)
    second = prepared(folder)
    assert set(work.reads.values()) == {1}
    assert work.total() == (N, 0)
    assert second.file == first.file
    prepared(folder, "64")  # another size is another set
    assert work.total() == (N, N)
    clear()
    prepared(folder)
    assert work.total() == (N, N)


def test_a_check_reads_and_decodes_once(folder: Path, work: Work) -> None:
    shutil.copy(folder / "photos" / "00.bmp", folder / "photos" / "01.bmp")
    (folder / "photos" / "02.bmp").write_bytes(b"no image")
    found = audit(
        DataRequest(str(folder / "t.csv"), folder / "photos"), "grouped", lambda what, n: lambda _: None
    )
    assert (found.usable, found.duplicates.images) == (N - 1, 1)
    assert set(work.reads.values()) == {1}
    assert work.total() == (N, N)


def test_a_changed_image_is_noticed_before_anything_is_read(folder: Path, work: Work) -> None:
    first = prepared(folder)
    work.total()
    change(folder, "11.bmp")
    changed = prepared(folder)
    assert work.total() == (N, N)
    assert changed.hash != first.hash
    assert prepared(folder).hash == changed.hash
    assert work.total() == (N, 0)


def test_a_moved_folder_is_not_decoded_again(folder: Path, work: Work, tmp_path: Path) -> None:
    first = prepared(folder)
    work.total()
    shutil.copytree(folder, tmp_path / "copy")
    for path in (tmp_path / "copy" / "photos").iterdir():
        os.utime(path)
    moved = prepared(tmp_path / "copy")
    assert work.total() == (N, 0)
    assert (moved.file, moved.hash) == (first.file, first.hash)
    prepared(folder)
    assert work.total() == (N, 0)


def test_the_bytes_decide_where_the_hint_is_wrong(folder: Path, work: Work) -> None:
    first = prepared(folder)
    work.total()
    change(folder, "05.bmp", later=False)  # as if nothing had happened
    changed = prepared(folder)
    assert work.total() == (2 * N, N)
    assert changed.hash != first.hash
    assert np.array_equal(np.load(changed.file)[5], cv2.imread(str(folder / "photos" / "05.bmp"))[:, :, ::-1])


@pytest.mark.parametrize("room", [0, 4 * (32 * 32 * 3 + 12), 10**9])
def test_images_without_room_are_decoded_a_second_time(
    folder: Path, work: Work, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    expected = pixels_of(prepared(folder))
    clear()
    work.total()
    monkeypatch.setattr(reading, "_SPOOL_BYTES", room)
    again = min(N, N - room // (32 * 32 * 3 + 12))
    assert pixels_of(prepared(folder)) == expected
    assert work.total() == (N + max(0, again), N + max(0, again))


def test_an_image_that_changes_while_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_SPOOL_BYTES", 0)
    with ImageReader(source_of(folder)) as reader:
        reader.survey(lambda _: None)
        change(folder, "03.bmp", later=False)
        assert np.array_equal(reader.pixels(2), noise(2)[:, :, ::-1])
        with pytest.raises(DataError, match=r"t\.csv: row 5: image .*03\.bmp changed while the data"):
            reader.pixels(3)


def test_grey_and_colour_come_back_as_they_were(folder: Path) -> None:
    grey = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
    assert cv2.imwrite(str(folder / "photos" / "00.bmp"), grey)
    with ImageReader(source_of(folder)) as reader:
        reader.survey(lambda _: None)
        assert np.array_equal(reader.pixels(0), grey)
        assert np.array_equal(reader.pixels(1), noise(1)[:, :, ::-1])
        first = (folder / "photos" / "00.bmp").read_bytes()
        assert reader.file_digests[:32] == hashlib.sha256(first).digest()


def test_progress_counts_each_image_twice(folder: Path, work: Work) -> None:
    ways: list[Callable[[], None]] = [
        lambda: None,  # cold
        lambda: None,  # warm
        lambda: change(folder, "05.bmp"),  # cold again
        lambda: change(folder, "06.bmp", later=False),  # the hint is wrong
    ]
    for before in ways:
        before()
        done: list[int] = []
        prepare(source_of(folder), "auto", advance=done.append)
        assert sum(done) == 2 * N


def test_nothing_is_left_of_the_spool(folder: Path, work: Work) -> None:
    prepared(folder)
    kept = {path.suffix for path in Path(os.environ["QUADZOO_CACHE_DIR"]).rglob("*") if path.is_file()}
    assert kept == {".npy", ".json", ".hint", ".lock"}
