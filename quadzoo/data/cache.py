"""Decode every image once, to one file that all runs read."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

import numpy as np
from filelock import Timeout
from numpy.lib import format as npy
from pydantic import BaseModel, Field, ValidationError

from quadzoo.data.geometry import Geometry, Resize, choose_geometry, fit, parse_image_size
from quadzoo.data.hints import CacheHint
from quadzoo.data.image_checks import mixture, oddities
from quadzoo.data.parallel import parallel
from quadzoo.data.reading import Advance, ImageReader, Reading
from quadzoo.data.sources import Source, drawing_lock, drawn_folder, precision_folder, remove_drawings
from quadzoo.data.survey import Originals, content_ids_of
from quadzoo.errors import DataError
from quadzoo.storage import (
    cache_errors,
    cache_folder,
    has_users,
    lock,
    open_regular,
    read_regular,
    using,
    write_atomically,
    written_whole,
)

_DIGITS = 64  # hexadecimal, of a SHA-256
_MOST_BYTES = 2 << 30  # of what is known of a cached file
_VERSION = 4  # of what is made of an image: where it changes, every cached file is made anew


@dataclass(frozen=True)
class ImageSet:
    """N decoded images: a ``.npy`` file (N, H, W, C) of the geometry's dtype, and what is known of them.

    ``digests`` is uint8 (N, 32): the SHA-256 of each image's shape and pixels as decoded, in row order.
    ``hash`` identifies all pixels and targets together, wherever the files are. ``left_out`` are the
    positions in the source of images that could not be read, ``remarks`` what is odd about the others;
    ``plain`` says whether all are grey or RGB of 8 bits. ``originals`` says what they were before they were
    brought to one size; None where an earlier version decoded them.
    """

    file: Path
    geometry: Geometry
    digests: np.ndarray = field(repr=False)
    hash: str
    left_out: tuple[int, ...] = ()
    remarks: tuple[str, ...] = ()
    plain: bool = True
    originals: Originals | None = None

    @cached_property
    def content_ids(self) -> np.ndarray:
        """Numbers, int64 (N,): the same for images that are identical pixel for pixel."""
        return content_ids_of(self.digests, by_position=not self.plain)

    @property
    def duplicates(self) -> int:
        """How many images are identical to one in an earlier row."""
        return len(self.digests) - len(np.unique(self.content_ids))


class _Facts(BaseModel):
    """What is known of a cached file, in a JSON file beside it."""

    name: str
    geometry: Geometry
    digests: Annotated[str, Field(pattern=r"^([0-9a-f]{64})*$")]  # 64 hexadecimal digits an image
    left_out: tuple[int, ...] = ()
    plain: bool = True
    originals: Originals | None = None
    remarks: tuple[tuple[str, int, str], ...] = ()  # a text about images, the first of them, and about that


def prepare(
    source: Source,
    image_size: str,
    resize: Resize = "letterbox",
    advance: Advance = lambda _: None,
    *,
    like: Geometry | None = None,
    reading: Reading = Reading(),  # noqa: B008  # it is frozen
) -> ImageSet:
    """Return the source's images at one size, from the cache where their bytes are known.

    ``image_size`` is ``auto``, ``HxW`` or ``N``. ``like`` is the geometry of a model that is to see them; as
    for `choose_geometry` it stands in place of ``image_size`` and ``resize``. ``advance`` is given the number
    of images as they are read, and again as they are ready: 2N in all. With
    ``reading.damaged`` skip, images that cannot be read are left out. Raises ConfigError for an
    ``image_size`` that is none, and DataError, naming table and row, for an image that cannot be read or
    changes meanwhile, for images that do not belong together or that the model cannot take, or where the
    cache cannot be written.
    """
    wanted = parse_image_size(image_size)
    settings = f"{_VERSION} {wanted} {resize}" + (f" {like}" if like else "")
    settings += "" if reading == Reading() else f" {reading}"
    folder = _images_folder()
    hint = CacheHint(source, settings, folder)
    with ExitStack() as stack:
        if not hint.is_cached():
            # Of processes that ask at once, one decodes; the others find its hint when they have the lock.
            stack.enter_context(_locked(folder / hint.key))
        reader = stack.enter_context(ImageReader(source, reading))
        choose = partial(choose_geometry, wanted=wanted, resize=resize, like=like)
        read = partial(_surveyed, reader, source, reading, choose)
        found = None
        if hint.is_cached():
            reader.hash_files(advance)
        else:
            found = read(advance)
        content = hashlib.sha256(settings.encode() + reader.file_digests)
        array_file = folder / f"{content.hexdigest()[:24]}.npy"
        facts = _read_facts_of(source, array_file)
        if facts is None:
            stack.enter_context(_locked(array_file))
            facts = _read_facts_of(source, array_file)  # another process may have made it
        if facts is None:
            facts = found or read(lambda _: None)
            _make(reader, facts, array_file, advance)
        else:
            advance(len(source))
        hint.remember(array_file)
    with suppress(FileNotFoundError):  # cleared meanwhile: in_use() will raise
        os.utime(_facts_file(array_file))  # the time of its last use
    digests = np.frombuffer(bytes.fromhex(facts.digests), np.uint8).reshape(-1, 32)
    kept = source.without(facts.left_out)
    remarks = tuple(f"{text}: {kept.where(first)}: {detail}" for text, first, detail in facts.remarks)
    data_hash = _data_hash(kept, facts.digests)
    return ImageSet(
        array_file,
        facts.geometry,
        digests,
        data_hash,
        facts.left_out,
        remarks,
        facts.plain,
        facts.originals,
    )


def _surveyed(
    reader: ImageReader, source: Source, reading: Reading, choose: Callable[..., Geometry], advance: Advance
) -> _Facts:
    """Decode all images, and return what is known of them. Raises DataError as `prepare`."""
    bad: dict[int, str] = {}
    survey = reader.survey(advance, bad.__setitem__ if reading.damaged == "skip" else None)
    kept = source.without(tuple(bad))
    if not len(kept):
        raise DataError(f"{source.table}: no image can be read; the first: {next(iter(bad.values()))}")
    if mixed := mixture(survey, ranged=reading.value_range is not None):
        examples = "; ".join(f"{kept.where(index)} has {detail}" for index, detail in mixed.images.items())
        raise DataError(f"{source.table}: {mixed.text}: {examples}")
    geometry = replace(choose(survey, value_range=reading.value_range), bands=reading.bands)
    remarks = []
    for one in oddities(survey, geometry):
        first = min(one.images)
        count = f"{len(one.images):,} × " if len(one.images) > 1 else ""
        remarks.append((f"{one.severity}: {count}{one.text}", first, one.images[first]))
    return _Facts(
        name=source.name,
        geometry=geometry,
        digests=survey.digests.hex(),
        left_out=tuple(bad),
        plain=survey.plain,
        originals=survey.originals,
        remarks=tuple(remarks),
    )


def _make(reader: ImageReader, facts: _Facts, array_file: Path, advance: Advance) -> None:
    geometry, left_out = facts.geometry, set(facts.left_out)
    kept = [index for index in range(len(reader)) if index not in left_out]
    header = {
        "descr": npy.dtype_to_descr(np.dtype(geometry.dtype)),
        "fortran_order": False,
        "shape": (len(kept), *geometry.size, geometry.channels),
    }

    def fitted(index: int) -> bytes:
        return fit(reader.pixels(index), geometry).tobytes()

    with cache_errors():
        # Written, not mapped: the pages of a map count as this process's memory.
        with written_whole(array_file) as file:
            npy.write_array_header_1_0(file, header)
            for content in parallel(fitted, kept):
                file.write(content)
                advance(1)
        write_atomically(_facts_file(array_file), facts.model_dump_json().encode())
    advance(len(left_out))


def computed(images: Path, n: int, name: str, blocks: Callable[[], Iterable[np.ndarray]]) -> Path:
    """Return the ``.npy`` file of what ``blocks()`` computes from the images, from the cache where it is.

    ``blocks`` yields arrays (b, ...) of one dtype such as float32, in the images' order, n rows in all; they
    differ in b alone. ``name`` identifies what is computed. Processes that ask at once compute it once; it is
    cleared with the images. Raises DataError where the cache cannot be written.
    """
    path = images.with_suffix(f".{name}.npy")
    if is_whole(path):
        return path
    with _locked(path):
        if not is_whole(path):
            with cache_errors(), written_whole(path) as file:
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


def _data_hash(source: Source, digests: str) -> str:
    content = hashlib.sha256(json.dumps([source.target_names, source.low, source.high]).encode())
    content.update(digests.encode())
    content.update(np.ascontiguousarray(source.targets, "<f8").tobytes())
    return content.hexdigest()


def _images_folder() -> Path:
    folder = cache_folder() / "images"
    with cache_errors():
        folder.mkdir(exist_ok=True)
    return folder


def is_whole(path: Path) -> bool:
    """Say whether a ``.npy`` file is there and as long as it says; nothing is made of one that is cut off."""
    try:
        with open_regular(path) as file:
            npy.read_magic(file)
            shape, _, dtype = npy.read_array_header_1_0(file)
            return os.fstat(file.fileno()).st_size == file.tell() + math.prod(shape) * dtype.itemsize
    except Exception:  # of a broken header numpy raises what Python's parser does
        return False


def _facts_file(array_file: Path) -> Path:
    return array_file.with_suffix(".json")


def _read_facts(array_file: Path) -> _Facts | None:
    """Return what is known of a cached file; None where it is not there, damaged, or of another version."""
    with suppress(OSError, ValidationError):
        return _Facts.model_validate_json(read_regular(_facts_file(array_file), _MOST_BYTES))
    return None


def _read_facts_of(source: Source, array_file: Path) -> _Facts | None:
    """Return what is known of the cached file of a source; None where facts and file are not of one piece."""
    facts = _read_facts(array_file)
    if facts is None or not is_whole(array_file):
        return None
    n = len(facts.digests) // _DIGITS
    fits = n + len({*facts.left_out}) == len(source) and {*facts.left_out} <= {*range(len(source))}
    return facts if fits and {first for _, first, _ in facts.remarks} <= {*range(n)} else None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a cached file. Raises DataError where the cache cannot be written."""
    with ExitStack() as stack:
        with cache_errors():
            stack.enter_context(lock(path.with_suffix(".lock")))
        yield


@contextmanager
def in_use(images: ImageSet) -> Iterator[None]:
    """Keep ``clear`` from deleting the images, in any number of processes at once.

    Raises DataError where they have been deleted already.
    """
    with ExitStack() as stack:
        with _locked(images.file):
            if not images.file.exists():
                raise DataError(
                    f"{images.file}: the cache was cleared meanwhile; the same command makes it again"
                )
            has_users(images.file)  # deletes the marks of processes that were killed
            stack.enter_context(using(images.file))
        yield


@dataclass(frozen=True)
class Cached:
    """An entry of the cache; ``size`` is the (H, W, C) of its images, empty where they are not decoded."""

    path: Path
    name: str
    images: int
    size: tuple[int, ...]
    bytes: int
    last_used: datetime


def contents() -> list[Cached]:
    """Return the entries of the cache, the latest used first."""
    found = []
    for facts_file in (cache_folder() / "images").glob("*.json"):
        # Another process may clear the cache meanwhile; another version may have written the file.
        array_file = facts_file.with_suffix(".npy")
        facts = _read_facts(array_file)
        with suppress(FileNotFoundError):
            if facts is None:
                continue
            size = (*facts.geometry.size, facts.geometry.channels)
            beside = array_file.parent.glob(f"{array_file.stem}.*")
            files = [path for path in beside if path.suffix not in (".lock", ".user")]
            found.append(_cached(array_file, facts.name, len(facts.digests) // _DIGITS, size, files))
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
    """Delete what no bench is using; return how many sets of images are in use and stay.

    Raises DataError where the cache cannot be written.
    """
    folder = _images_folder()
    names = [path.name.lstrip(".") for path in folder.iterdir() if path.suffix != ".lock"]
    with cache_errors():
        kept = sum(not _cleared(folder / f"{key}.npy") for key in {name.split(".")[0] for name in names})
        drawn = drawn_folder()
        if drawn.parent.exists():
            with suppress(Timeout), drawing_lock(drawn, blocking=False):
                remove_drawings(drawn)
    shutil.rmtree(precision_folder(), ignore_errors=True)
    return kept


def _cleared(array_file: Path) -> bool:
    """Delete a cached file and what belongs to it, even of killed processes, unless it is in use."""
    folder, key = array_file.parent, array_file.stem
    try:
        with lock(array_file.with_suffix(".lock"), blocking=False):
            if has_users(array_file):
                return False
            _facts_file(array_file).unlink(missing_ok=True)  # first, since it vouches for the others
            for path in [*folder.glob(f"{key}.*"), *folder.glob(f".{key}.*")]:
                if path.suffix != ".lock":  # another process may be waiting for it
                    path.unlink(missing_ok=True)
    except Timeout:
        return False
    return True
