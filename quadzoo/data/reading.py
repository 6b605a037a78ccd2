"""Read each image file of a source once, and decode it once."""

from __future__ import annotations

import hashlib
import io
import math
import shutil
import struct
import tempfile
import threading
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np

from quadzoo.data.decoding import MOST_BANDS, Decoded, Undecodable, allowed_pixels, decode, read_image
from quadzoo.data.parallel import parallel
from quadzoo.data.sources import Source
from quadzoo.data.survey import ImageFacts, Survey, describe
from quadzoo.data.texts import quoted
from quadzoo.errors import ConfigError, DataError
from quadzoo.storage import cache_errors, cache_folder

Advance = Callable[[int], None]
"""Is given the number of images done since its last call."""

_SPOOL_BYTES = 4 * 2**30  # and no more than half of the free disk space
_DIGEST = 32  # bytes
_UNREAD = bytes(_DIGEST)
_SHAPE = struct.Struct("<IIHH")  # of an image in the spool; 0 channels for grey; the dtype's number
_DTYPES = tuple(
    np.dtype(f"{kind}{size}") for kind in "uif" for size in (1, 2, 4, 8) if (kind, size) != ("f", 1)
)
_NOT_KEPT = -1


class UnreadableImage(DataError):
    """An image that cannot be decoded."""


@dataclass(frozen=True)
class Reading:
    """How images are read: which ``bands``, numbered from 1, in which order; which values become 0 and 1.

    None stands for all bands, and for the smallest and the largest value of all images. ``damaged`` says
    whether an image that cannot be decoded is an error, or is left out.
    """

    bands: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None
    damaged: Literal["error", "skip"] = "error"


def reading_of(
    bands: Sequence[int] | None = None,
    value_range: Sequence[float] | None = None,
    damaged: Literal["error", "skip"] = "error",
) -> Reading:
    """Return how images are read. Raises ConfigError for what makes no sense."""
    if bands is not None:
        shown = quoted(",".join(map(str, bands)))
        if not 1 <= len(bands) <= MOST_BANDS or min(bands) < 1:
            raise ConfigError(f"`bands` {shown}: name 1 to {MOST_BANDS} bands, numbered from 1")
        if len({*bands}) < len(bands):
            raise ConfigError(f"`bands` {shown}: names a band twice")
    if value_range is not None:
        low, high = value_range if len(value_range) == 2 else (0.0, 0.0)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            shown = quoted(",".join(map(str, value_range)))
            raise ConfigError(f"`value_range` {shown}: say two numbers, the lower one first, such as 0,4095")
        value_range = float(low), float(high)
    return Reading(None if bands is None else tuple(bands), value_range, damaged)


class ImageReader:
    """The images of a source. Each file is read once and decoded once, as long as the disk has room.

    The bytes that are hashed are the bytes that are decoded. Decoded pixels are kept in a temporary file in
    the cache folder, so that memory does not grow with them. An image that has no room there is read and
    decoded again when its pixels are asked for; a file that has changed by then is refused.
    """

    def __init__(self, source: Source, reading: Reading = Reading()) -> None:  # it is frozen
        allowed_pixels()  # raises before anything is read
        self._source = source
        self._reading = reading
        self._digests = bytearray(len(source) * _DIGEST)
        self._positions = array("q", [_NOT_KEPT]) * len(source)
        self._spool = _Spool(cache_folder())

    def __len__(self) -> int:
        return len(self._source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()

    @property
    def file_digests(self) -> bytes:
        """The SHA-256 of all files, 32 bytes each, in row order; zeros for a file that has not been read."""
        return bytes(self._digests)

    def hash_files(self, advance: Advance) -> None:
        """Read and hash every file; decode none. Raises DataError for one that cannot be read."""

        def hashed(index: int) -> None:
            with suppress(*(UnreadableImage,) * (self._reading.damaged == "skip")):
                self._read(index)

        for _ in parallel(hashed, range(len(self))):
            advance(1)

    def survey(
        self,
        advance: Advance,
        on_unreadable: Callable[[int, str], None] | None = None,
        *,
        closely: bool = False,
    ) -> Survey:
        """Read, hash and decode every image, and return what they have in common, ``closely`` with levels.

        ``on_unreadable`` is given the position of an image that cannot be decoded, and why; the survey
        leaves that image out. Without it such an image raises UnreadableImage, naming table and row.
        """

        def facts(index: int) -> ImageFacts | str:
            try:
                decoded = self._decode(index)
            except UnreadableImage as error:
                if on_unreadable is None:
                    raise
                return str(error)
            self._positions[index] = self._spool.add(decoded.pixels)
            return describe(decoded, self._reading.value_range, closely=closely)

        survey = Survey()
        for index, found in enumerate(parallel(facts, range(len(self._source)))):
            if isinstance(found, ImageFacts):
                survey.add(found)
            elif on_unreadable:
                on_unreadable(index, found)
            advance(1)
        return survey

    def pixels(self, index: int) -> np.ndarray:
        """Return a decoded image, (H, W) or (H, W, C), uint8 or of the deeper dtype that its file has.

        Raises DataError, naming table and row, where it has to be read again and that fails, or its file has
        changed since it was read first.
        """
        position = self._positions[index]
        return self._decode(index).pixels if position == _NOT_KEPT else self._spool.get(position)

    def _read(self, index: int) -> bytes:
        path, own = self._source.path(index), slice(index * _DIGEST, (index + 1) * _DIGEST)
        try:
            content = read_image(path)
        except OSError as error:
            raise UnreadableImage(self._source.unreadable(index, error.strerror or str(error))) from error
        digest = hashlib.sha256(content).digest()
        if self._digests[own] not in (digest, _UNREAD):
            where = self._source.place(index)
            raise DataError(f"{where}: image {path} changed while the data was being read; run this again")
        self._digests[own] = digest
        return content

    def _decode(self, index: int) -> Decoded:
        content = self._read(index)
        try:
            return decode(content, self._reading.bands)
        except Undecodable as error:
            raise UnreadableImage(self._source.unreadable(index, str(error))) from error


class _Spool:
    """A temporary file of decoded images, of bounded size. Any thread may add and get them.

    The file has no name where the system allows that, so that nothing is left of it when the process ends.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._end = 0
        with cache_errors():
            self._room = min(_SPOOL_BYTES, shutil.disk_usage(folder).free // 2)
            self._file: io.FileIO = tempfile.TemporaryFile(  # noqa: SIM115  # see close()
                dir=folder, buffering=0
            )

    def add(self, pixels: np.ndarray) -> int:
        """Keep (H, W) or (H, W, C); return its position, or _NOT_KEPT where there is no room."""
        height, width, channels = (*pixels.shape, 0)[:3]
        dtype = _DTYPES.index(pixels.dtype)
        with self._lock:
            start = self._end
            if _SHAPE.size + pixels.nbytes > self._room - start:
                return _NOT_KEPT
            self._file.seek(start)
            try:
                self._write(_SHAPE.pack(height, width, channels, dtype))
                self._write(np.ascontiguousarray(pixels).data.cast("B"))
            except OSError:  # the disk is full, or a quota is reached: nothing more is kept
                self._room = 0
                return _NOT_KEPT
            self._end = self._file.tell()
            return start

    def get(self, position: int) -> np.ndarray:
        """Return the image at a position."""
        with self._lock:
            self._file.seek(position)
            height, width, channels, dtype = _SHAPE.unpack(self._file.read(_SHAPE.size))
            shape = (height, width, channels) if channels else (height, width)
            pixels = np.empty(shape, _DTYPES[dtype])
            rest = pixels.data.cast("B")
            while rest:
                rest = rest[self._file.readinto(rest) :]
        return pixels

    def close(self) -> None:
        """Delete the file."""
        self._file.close()

    def _write(self, content: bytes | memoryview) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[self._file.write(rest) :]
