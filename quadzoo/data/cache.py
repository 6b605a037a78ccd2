"""Decode every picture once, to one uint8 file that all runs map."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from filelock import FileLock
from numpy.lib.format import open_memmap
from PIL import Image
from pydantic import TypeAdapter

from quadzoo.data.sources import Source, cache_folder
from quadzoo.errors import ConfigError, DataError

# What OpenCV has to say of a broken picture stands in our own error, with its row. Version 4 has the
# function elsewhere than version 5; level 0 is silence.
_set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
_set_log_level(0)

_VERSION = 1  # of what this module makes of a picture; a change makes every cached file anew
_LONGEST_SIDE = 224  # of `auto`
_MULTIPLE = 8
_SMALLEST_SIDE = 32
_LEAST_ENLARGEMENT = 1.25  # below it resampling blurs more than it shows

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Geometry:
    """What was done to every picture; all numbers in pixels.

    ``crop`` (top, left, bottom, right) was cut out, where every picture has the size and a constant border;
    it was scaled by one factor for both sides, by at most ``max_scale``, and centred on a canvas of ``size``
    (H, W) filled with ``fill``. ``channels`` is 1 where all pictures are grey, else 3 (RGB).
    """

    size: tuple[int, int]
    channels: int
    crop: tuple[int, int, int, int] | None
    max_scale: float | None
    fill: tuple[int, int, int]


_GEOMETRY = TypeAdapter(Geometry)


@dataclass(frozen=True)
class Pictures:
    """N decoded pictures: a ``.npy`` file of uint8 (N, H, W, C), and what is known of them.

    ``pixels`` (N,) gives pictures that are identical pixel for pixel, as decoded, one number. ``hash``
    stands for all pixels and targets, wherever the files lie.
    """

    file: Path
    geometry: Geometry
    pixels: np.ndarray = field(repr=False)
    hash: str

    @property
    def duplicates(self) -> int:
        """How many pictures have an identical one before them."""
        return len(self.pixels) - len(np.unique(self.pixels))


@dataclass(frozen=True)
class _Seen:
    """What one look at a decoded picture tells."""

    shape: tuple[int, int]
    grey: bool
    digest: str
    corner: tuple[int, int, int]
    ink: tuple[int, int, int, int] | None


def parse_image_size(text: str) -> tuple[int, int] | None:
    """Return (H, W) of ``HxW`` or ``N``, and None for ``auto``. Raises ConfigError for anything else."""
    if text == "auto":
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 8 <= int(side) <= 4096 for side in sides):
        raise ConfigError(
            f"--image-size {text!r}: say auto, one side (224) or height x width (32x200), 8 to 4096 pixels"
        )
    return int(sides[0]), int(sides[-1])


def prepare(source: Source, image_size: str, advance: Callable[[int], None] = lambda _: None) -> Pictures:
    """Return the source's pictures at one size, from the cache where their bytes are known.

    ``image_size`` is ``auto``, ``HxW`` or ``N``. ``advance`` is told the number of pictures as they are
    decoded. Raises DataError, naming table and row, for a picture that cannot be read.
    """
    wanted = parse_image_size(image_size)
    files = hashlib.sha256(f"{_VERSION} {wanted}".encode())
    for digest in _parallel(partial(_file_digest, source), range(len(source))):
        files.update(digest)
    folder = cache_folder() / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    key = files.hexdigest()[:24]
    array_file, facts_file = folder / f"{key}.npy", folder / f"{key}.json"
    # The lock's file stays: to delete it could let two processes in.
    with FileLock(folder / f"{key}.lock"):
        if not (array_file.exists() and facts_file.exists()):
            _decode_all(source, wanted, array_file, facts_file, advance)
    facts = json.loads(facts_file.read_text())
    _, pixels = np.unique(np.array(facts["digests"]), return_inverse=True)
    geometry = _GEOMETRY.validate_python(facts["geometry"])
    return Pictures(array_file, geometry, pixels, _data_hash(source, facts["digests"]))


def _decode_all(
    source: Source, wanted: tuple[int, int] | None, array_file: Path, facts_file: Path,
    advance: Callable[[int], None],
) -> None:  # fmt: skip
    def look(index: int) -> _Seen:
        return _look(_decode(source, index, strict=True))

    seen = []
    for one in _parallel(look, range(len(source))):
        seen.append(one)
        advance(1)
    geometry = _geometry(seen, wanted)
    partial_file = array_file.with_suffix(f".{os.getpid()}.partial")
    try:
        shape = (len(source), *geometry.size, geometry.channels)
        array = open_memmap(partial_file, mode="w+", dtype=np.uint8, shape=shape)

        def fill(index: int) -> None:
            array[index] = _fit(_decode(source, index, strict=False), geometry)

        for _ in _parallel(fill, range(len(source))):
            pass
        array.flush()
        os.replace(partial_file, array_file)
    finally:
        partial_file.unlink(missing_ok=True)
    facts = {"geometry": asdict(geometry), "digests": [one.digest for one in seen]}
    partial_facts = facts_file.with_suffix(f".{os.getpid()}.partial")
    partial_facts.write_text(json.dumps(facts))
    os.replace(partial_facts, facts_file)


def _parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterable[Result]:
    """Map in threads (OpenCV and hashlib release the interpreter's lock); the first error ends it."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _file_digest(source: Source, index: int) -> bytes:
    try:
        return hashlib.sha256(source.paths[index].read_bytes()).digest()
    except OSError as error:
        raise _unreadable(source, index, str(error)) from error


def _unreadable(source: Source, index: int, why: str) -> DataError:
    return DataError(
        f"{source.table}: row {source.rows[index]}: picture {source.paths[index]} is unreadable ({why})"
    )


def _decode(source: Source, index: int, *, strict: bool) -> np.ndarray:
    """Return uint8 RGB (H, W, 3) or grey (H, W); transparent parts show white."""
    content = source.paths[index].read_bytes()
    if strict:
        try:
            _check_whole(content)
        except (OSError, SyntaxError) as error:  # Pillow calls a broken PNG a syntax error
            raise _unreadable(source, index, str(error)) from error
    buffer = np.frombuffer(content, np.uint8)
    # Only IMREAD_COLOR heeds the rotation that a camera notes in a JPEG.
    flags = cv2.IMREAD_COLOR if content.startswith(_JPEG) else cv2.IMREAD_UNCHANGED
    try:
        picture = cv2.imdecode(buffer, flags) if len(buffer) else None
    except cv2.error as error:
        raise _unreadable(source, index, error.err) from error
    if picture is None:
        raise _unreadable(source, index, "not a picture that OpenCV can decode")
    if picture.dtype != np.uint8:
        scale = 255 / 65535 if picture.dtype == np.uint16 else 255.0  # float pictures reach from 0 to 1
        picture = np.clip(np.rint(picture * scale), 0, 255).astype(np.uint8)
    if picture.ndim == 3 and picture.shape[2] == 4:
        alpha = picture[:, :, 3:].astype(np.float32) / 255
        picture = np.rint(picture[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    if picture.ndim == 3:
        picture = picture[:, :, 0] if picture.shape[2] < 3 else picture[:, :, ::-1]
        if picture.ndim == 3 and (picture == picture[:, :, :1]).all():
            picture = picture[:, :, 0]
    return np.ascontiguousarray(picture)


def _check_whole(content: bytes) -> None:
    """Raise OSError or SyntaxError for a cut-off JPEG or PNG.

    OpenCV turns the missing part of a JPEG grey without a word; its libpng mutters on stderr.
    """
    if content.startswith(_JPEG):
        Image.open(io.BytesIO(content)).load()
    elif content.startswith(_PNG):
        Image.open(io.BytesIO(content)).verify()


def _look(picture: np.ndarray) -> _Seen:
    grey = picture.ndim == 2
    corner = picture[0, 0]
    differs = picture != corner if grey else (picture != corner).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    return _Seen(
        shape=(picture.shape[0], picture.shape[1]),
        grey=grey,
        digest=hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest(),
        corner=(int(corner),) * 3 if grey else (int(corner[0]), int(corner[1]), int(corner[2])),
        ink=(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1) if len(rows) else None,
    )


def _geometry(seen: Sequence[_Seen], wanted: tuple[int, int] | None) -> Geometry:
    """Find the constant border that all pictures share, without labels, and the canvas to put them on."""
    one_colour = len({one.corner for one in seen}) == 1
    one_shape = len({one.shape for one in seen}) == 1
    height, width = (max(one.shape[axis] for one in seen) for axis in (0, 1))
    boxes = [one.ink for one in seen if one.ink]
    crop = None
    if one_colour and one_shape and boxes:
        top, left = (min(box[side] for box in boxes) for side in (0, 1))
        bottom, right = (max(box[side] for box in boxes) for side in (2, 3))
        crop = (top, left, bottom, right)
    box_height, box_width = (crop[2] - crop[0], crop[3] - crop[1]) if crop else (height, width)
    if wanted:
        size = wanted
        scale = min(size[0] / box_height, size[1] / box_width)
        max_scale = 1.0 if one_shape and 1 <= scale < _LEAST_ENLARGEMENT else None
    else:
        scale = min(1.0, _LONGEST_SIDE / max(box_height, box_width))
        size = (_rounded(box_height * scale), _rounded(box_width * scale))
        max_scale = 1.0
    if crop and max_scale == 1.0 and size[0] >= box_height and size[1] >= box_width:
        # Room to spare shows more of the picture rather than fill.
        top, bottom = _widen(crop[0], crop[2], size[0], height)
        left, right = _widen(crop[1], crop[3], size[1], width)
        crop = (top, left, bottom, right)
    fill = seen[0].corner if one_colour else (0, 0, 0)
    return Geometry(size, 1 if all(one.grey for one in seen) else 3, crop, max_scale, fill)


def _rounded(side: float) -> int:
    return max(_SMALLEST_SIDE, math.ceil(round(side, 6) / _MULTIPLE) * _MULTIPLE)


def _widen(low: int, high: int, length: int, limit: int) -> tuple[int, int]:
    length = min(length, limit)
    start = min(max(0, low - (length - (high - low)) // 2), limit - length)
    return start, start + length


def _fit(picture: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return uint8 (H, W, C): cropped, scaled with its aspect kept, centred on the canvas."""
    if geometry.channels == 3 and picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    if geometry.crop:
        top, left, bottom, right = geometry.crop
        picture = picture[top:bottom, left:right]
    height, width = picture.shape[:2]
    scale = min(geometry.size[0] / height, geometry.size[1] / width)
    scale = min(scale, geometry.max_scale or scale)
    if scale != 1:
        scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, scaled, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        height, width = picture.shape[:2]
    canvas = np.empty((*geometry.size, geometry.channels), np.uint8)
    canvas[:] = geometry.fill[: geometry.channels]
    top, left = (geometry.size[0] - height) // 2, (geometry.size[1] - width) // 2
    canvas[top : top + height, left : left + width] = picture.reshape(height, width, -1)
    return canvas


def _data_hash(source: Source, digests: list[str]) -> str:
    content = hashlib.sha256(json.dumps([source.target_names, source.low, source.high]).encode())
    content.update("".join(digests).encode())
    content.update(np.ascontiguousarray(source.targets, "<f8").tobytes())
    return content.hexdigest()


def describe(geometry: Geometry) -> dict[str, Any]:
    """Return the geometry as plain data, for the record."""
    return asdict(geometry)
