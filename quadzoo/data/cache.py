"""Decode every image once, to one uint8 file that all runs read."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from pydantic import BaseModel, ValidationError

from quadzoo.data.decoding import Decoded, Undecodable, decode
from quadzoo.data.geometry import (
    Geometry,
    Look,
    Resize,
    Survey,
    choose_geometry,
    content_ids_of,
    fit,
    look,
    parse_image_size,
)
from quadzoo.data.parallel import parallel
from quadzoo.data.sources import Source, drawn_folder, precision_folder
from quadzoo.errors import DataError
from quadzoo.storage import cache_folder

_VERSION = 2  # of what is made of an image; a change makes every cached file anew

Advance = Callable[[int], None]


@dataclass(frozen=True)
class ImageSet:
    """N decoded images: a ``.npy`` file of uint8 (N, H, W, C), and what is known of them.

    ``digests`` is uint8 (N, 32): the SHA-256 of each image's shape and pixels as decoded, in row order.
    ``hash`` identifies all pixels and targets together, wherever the files are.
    """

    file: Path
    geometry: Geometry
    digests: np.ndarray = field(repr=False)
    hash: str

    @cached_property
    def content_ids(self) -> np.ndarray:
        """Numbers, int64 (N,): the same for images that are identical pixel for pixel."""
        return content_ids_of(self.digests)

    @property
    def duplicates(self) -> int:
        """How many images are identical to one in an earlier row."""
        return len(self.digests) - len(np.unique(self.content_ids))


class _Facts(BaseModel):
    """What stands beside a cached file."""

    name: str
    geometry: Geometry
    digests: str  # 64 hexadecimal digits an image


def prepare(
    source: Source,
    image_size: str,
    resize: Resize = "letterbox",
    advance: Advance = lambda _: None,
    *,
    channels: int | None = None,
) -> ImageSet:
    """Return the source's images at one size, from the cache where their bytes are known.

    ``image_size`` is ``auto``, ``HxW`` or ``N``; ``channels`` 1, 3, or None for what the images have.
    ``advance`` is told the number of images as they are decoded, each twice: to find the size, and to fit
    it. Raises DataError, naming table and row, for an image that cannot be read.
    """
    wanted = parse_image_size(image_size)
    choose = partial(choose_geometry, wanted=wanted, resize=resize, channels=channels)
    content = hashlib.sha256(f"{_VERSION} {wanted} {resize} {channels or ''}".strip().encode())
    for digest in parallel(partial(_file_digest, source), range(len(source))):
        content.update(digest)
    folder = cache_folder() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    array_file = folder / f"{content.hexdigest()[:24]}.npy"
    if not _facts_file(array_file).exists():
        with _locked(array_file, fcntl.LOCK_EX):
            if not _facts_file(array_file).exists():  # another process may have been at it
                _make(source, choose, array_file, advance)
    facts = _Facts.model_validate_json(_facts_file(array_file).read_bytes())
    os.utime(_facts_file(array_file))  # tells when it was last used
    digests = np.frombuffer(bytes.fromhex(facts.digests), np.uint8).reshape(-1, 32)
    return ImageSet(array_file, facts.geometry, digests, _data_hash(source, facts.digests))


def survey_images(
    source: Source, advance: Advance, on_unreadable: Callable[[int, str], None] | None = None
) -> Survey:
    """Look at every image.

    An unreadable one is told to ``on_unreadable`` by its position and left out; without that function it
    raises DataError.
    """

    def one(index: int) -> Look | str:
        try:
            return look(_decode(source, index))
        except DataError as error:
            if on_unreadable is None:
                raise
            return str(error)

    survey = Survey()
    for index, seen in enumerate(parallel(one, range(len(source)))):
        if isinstance(seen, Look):
            survey.add(seen)
        elif on_unreadable:
            on_unreadable(index, seen)
        advance(1)
    return survey


def _make(source: Source, choose: Callable[[Survey], Geometry], array_file: Path, advance: Advance) -> None:
    survey = survey_images(source, advance)
    geometry = choose(survey)

    def fitted(index: int) -> bytes:
        return fit(_decode(source, index).pixels, geometry).tobytes()

    # Written, not mapped: the pages of a map count as this process's memory.
    with _whole(array_file) as file:
        shape = (len(source), *geometry.size, geometry.channels)
        npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for content in parallel(fitted, range(len(source))):
            file.write(content)
            advance(1)
    facts = _Facts(name=source.name, geometry=geometry, digests=survey.digests.hex())
    with _whole(_facts_file(array_file)) as file:
        file.write(facts.model_dump_json().encode())


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """Write a file that is there whole or not at all. Raises DataError where it cannot be written."""
    partial_file = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial_file.open("wb") as file:
            yield file
        os.replace(partial_file, path)
    except OSError as error:
        raise DataError(f"cache folder {path.parent}: {error}; QUADZOO_CACHE_DIR moves it") from error
    finally:
        partial_file.unlink(missing_ok=True)


def computed(images: Path, n: int, name: str, blocks: Callable[[], Iterable[np.ndarray]]) -> Path:
    """Return the ``.npy`` file of what ``blocks()`` computes from the images, from the cache where it is.

    ``blocks`` yields arrays (n, ...) of one dtype and shape, in the images' order, N rows in all; ``name``
    stands for what is computed. Processes that ask at once compute it once; it is cleared with the images.
    """
    path = images.with_suffix(f".{name}.npy")
    if not path.exists():
        with _locked(path, fcntl.LOCK_EX):
            if not path.exists():
                with _whole(path) as file:
                    for position, block in enumerate(blocks()):
                        if position == 0:
                            header = {
                                "descr": npy.dtype_to_descr(block.dtype),
                                "fortran_order": False,
                                "shape": (n, *block.shape[1:]),
                            }
                            npy.write_array_header_1_0(file, header)
                        file.write(np.ascontiguousarray(block).data)
    return path


def _file_digest(source: Source, index: int) -> bytes:
    try:
        return hashlib.sha256(source.path(index).read_bytes()).digest()
    except OSError as error:
        raise DataError(source.unreadable(index, str(error))) from error


def _decode(source: Source, index: int) -> Decoded:
    try:
        return decode(source.path(index).read_bytes())
    except (OSError, Undecodable) as error:
        raise DataError(source.unreadable(index, str(error))) from error


def _data_hash(source: Source, digests: str) -> str:
    content = hashlib.sha256(json.dumps([source.target_names, source.low, source.high]).encode())
    content.update(digests.encode())
    content.update(np.ascontiguousarray(source.targets, "<f8").tobytes())
    return content.hexdigest()


def _facts_file(array_file: Path) -> Path:
    return array_file.with_suffix(".json")


@contextmanager
def _locked(array_file: Path, kind: int) -> Iterator[None]:
    """Hold a lock beside a cached file. It ends with the process; its file stays, or two could hold it."""
    with array_file.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, kind)
        yield


@contextmanager
def in_use(images: ImageSet) -> Iterator[None]:
    """Keep ``clear`` away, in any number of processes at once. Raises DataError if it was first."""
    with _locked(images.file, fcntl.LOCK_SH):
        if not images.file.exists():
            raise DataError(
                f"{images.file}: the cache was cleared meanwhile; the same command makes it again"
            )
        yield


@dataclass(frozen=True)
class Cached:
    """One thing in the cache; ``size`` is the (H, W, C) of its images, empty for what is not decoded."""

    path: Path
    name: str
    images: int
    size: tuple[int, ...]
    bytes: int
    last_used: datetime


def contents() -> list[Cached]:
    """Return what the cache holds, the latest used first."""
    found = []
    for facts_file in (cache_folder() / "images").glob("*.json"):
        # Another process may clear, another version may have written it.
        with suppress(FileNotFoundError, ValidationError):
            facts = _Facts.model_validate_json(facts_file.read_bytes())
            array_file = facts_file.with_suffix(".npy")
            size = (*facts.geometry.size, facts.geometry.channels)
            files = [
                path for path in array_file.parent.glob(f"{array_file.stem}.*") if path.suffix != ".lock"
            ]
            found.append(_cached(array_file, facts.name, len(facts.digests) // 64, size, files))
    drawn = drawn_folder()
    if drawn.exists():
        files = [path for path in drawn.rglob("*") if path.is_file()]
        n = sum(path.suffix == ".png" for path in files)
        found.append(_cached(drawn, "quadratic, as drawn", n, (), files))
    return sorted(found, key=lambda one: one.last_used, reverse=True)


def _cached(path: Path, name: str, n: int, size: tuple[int, ...], files: list[Path]) -> Cached:
    facts = [file.stat() for file in files]
    last_used = datetime.fromtimestamp(max(one.st_mtime for one in facts), UTC)
    return Cached(path, name, n, size, sum(one.st_size for one in facts), last_used)


def clear() -> int:
    """Delete all that no bench is using; return how many sets of images are in use and stay."""
    folder = cache_folder() / "images"
    kept = 0
    for key in sorted({path.name.split(".")[0] for path in folder.glob("*") if path.suffix != ".lock"}):
        try:
            with _locked(folder / f"{key}.npy", fcntl.LOCK_EX | fcntl.LOCK_NB):
                # Also what a killed process left half made; facts first, since they vouch for the rest.
                for path in sorted(folder.glob(f"{key}.*"), key=lambda one: one.suffix != ".json"):
                    if path.suffix != ".lock":
                        path.unlink()
        except BlockingIOError:
            kept += 1
    for made_again in (drawn_folder(), precision_folder()):
        shutil.rmtree(made_again, ignore_errors=True)
    return kept
