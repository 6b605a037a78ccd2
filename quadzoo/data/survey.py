"""What is known of a set of images once each has been decoded: sizes, bands, values, what they share."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from quadzoo.data.decoding import Decoded
from quadzoo.data.nodata import End, Ends, declared_end, ends_of, ends_of_bytes

Box = tuple[int, int, int, int]
"""Top, left, bottom, right; the last two are exclusive."""
Depth = Literal["8-bit", "integer", "floating-point"]

_HALF = 32767  # of 16 bits
_BRIGHT, _SEVERAL = 0.001, 0.1  # of the values of an image, and of the images of 16 bits
_SAMPLE = 4096  # values of an image
_MIDDLE = (0.01, 0.99)  # quantiles of an image's values, and of those over all images


@dataclass(frozen=True)
class ImageFacts:
    """What the survey needs to know of one decoded image.

    ``digest`` is the SHA-256 of shape and pixels, ``corner`` the values of the top left pixel, of grey three
    times; ``foreground`` the smallest box around all pixels that differ from it (None where none does);
    ``kind`` the file's format and mode; ``low`` and ``high`` the smallest and the largest value. ``middle``
    is where 98 % of the values of a deep image lie, ``clipped`` the share of values beyond the range that was
    asked for. ``levels`` says which values there are, bool (256,) or (65536,), or how many; None where that
    was not asked for. ``bright`` says that an image of 16 bits uses the upper half of its range, ``ends``
    what the lowest and the highest value of a deep image are, ``declared`` what its file calls no data.
    """

    shape: tuple[int, int]
    bands: int
    dtype: str
    digest: bytes
    corner: tuple[int | float, ...]
    foreground: Box | None
    kind: str
    low: float
    high: float
    middle: tuple[float, float] | None
    clipped: float
    frames: int
    transparent: bool
    levels: np.ndarray | int | None = None
    bright: bool = False
    ends: tuple[End, End] | None = None
    declared: End | None = None

    @property
    def depth(self) -> Depth:
        """What values it has: different sorts have no common unit."""
        return "8-bit" if self.dtype == "uint8" else "floating-point" if self.dtype[0] == "f" else "integer"


def describe(
    decoded: Decoded, value_range: tuple[float, float] | None = None, *, closely: bool = False
) -> ImageFacts:
    """Return what the survey needs to know of a decoded image, ``closely`` with its levels."""
    pixels = decoded.pixels
    grey, first, deep = pixels.ndim == 2, pixels[0, 0], pixels.dtype != np.uint8
    differs = pixels != first if grey else (pixels != first).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    corner = (first.item(),) * 3 if grey else tuple(first.tolist())
    low, high, middle = float(pixels.min()), float(pixels.max()), _middle(pixels) if deep else None
    ends = ends_of(pixels, low, high, middle) if middle else None
    if not deep and decoded.nodata is not None:
        ends = ends_of_bytes(pixels)
    head = repr(pixels.shape) + (str(pixels.dtype) if deep else "")
    return ImageFacts(
        shape=(pixels.shape[0], pixels.shape[1]),
        bands=1 if grey else pixels.shape[2],
        dtype=str(pixels.dtype),
        digest=hashlib.sha256(head.encode() + pixels.tobytes()).digest(),
        corner=tuple(map(float, corner)) if deep else corner,
        foreground=(
            (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1) if len(rows) else None
        ),
        kind=f"{decoded.format} {decoded.mode}",
        low=low,
        high=high,
        middle=middle,
        clipped=float(((pixels < value_range[0]) | (pixels > value_range[1])).mean()) if value_range else 0.0,
        frames=decoded.frames,
        transparent=decoded.transparent,
        levels=_levels(pixels) if closely else None,
        bright=pixels.dtype == np.uint16 and high > _HALF and _is_bright(pixels),
        ends=ends,
        declared=declared_end(pixels, decoded.nodata),
    )


def _middle(pixels: np.ndarray) -> tuple[float, float]:
    flat = pixels.reshape(-1)
    low, high = np.quantile(flat[:: len(flat) // _SAMPLE + 1].astype(np.float64), _MIDDLE)
    return float(low), float(high)


def _is_bright(pixels: np.ndarray) -> bool:
    return bool(np.count_nonzero(pixels > _HALF) >= _BRIGHT * pixels.size)


def _levels(pixels: np.ndarray) -> np.ndarray | int:
    if pixels.dtype.kind not in "ui" or pixels.itemsize > 2:
        return len(np.unique(pixels))
    there = np.zeros(256**pixels.itemsize, bool)
    there[np.ascontiguousarray(pixels).view(f"u{pixels.itemsize}")] = True
    return there


@dataclass(frozen=True)
class Originals:
    """The smallest and the largest height and width of images as decoded, and how many bands they have."""

    height: tuple[int, int]
    width: tuple[int, int]
    bands: tuple[int, ...]


@dataclass
class Survey:
    """What N images have in common. Of each it keeps 48 bytes: its digest, uint8 (32,), and two float64.

    ``foreground`` is the smallest box around those of all images, ``blank`` the positions of images of one
    colour, ``corner`` the first image's; ``one_corner`` says whether all have that. ``first`` gives the
    position of the first image of each size, number of bands and depth; ``stacked`` the positions of images
    with further pages or frames, and how many they have.
    """

    digests: bytearray = field(default_factory=bytearray)
    shapes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    bands: Counter[int] = field(default_factory=Counter)
    dtypes: Counter[str] = field(default_factory=Counter)
    depths: Counter[Depth] = field(default_factory=Counter)
    first: dict[object, int] = field(default_factory=dict)
    corner: tuple[int | float, ...] | None = None
    one_corner: bool = True
    foreground: Box | None = None
    blank: list[int] = field(default_factory=list)
    stacked: dict[int, int] = field(default_factory=dict)
    transparent: int = 0
    low: float = np.inf
    high: float = -np.inf
    clipped: float = 0.0
    bright: int = 0
    ends: Ends = field(default_factory=Ends)
    _middles: array[float] = field(default_factory=lambda: array("d"))
    _levels: dict[str, np.ndarray] = field(default_factory=dict)
    _most_levels: int = 0

    def __len__(self) -> int:
        return self.shapes.total()

    def add(self, image: ImageFacts) -> None:
        """Take in one more image."""
        position, box = len(self), image.foreground
        if box is None:
            self.blank.append(position)
        else:
            old = self.foreground or box
            top, left = (min(old[side], box[side]) for side in (0, 1))
            bottom, right = (max(old[side], box[side]) for side in (2, 3))
            self.foreground = (top, left, bottom, right)
        self.corner = self.corner or image.corner
        self.one_corner &= image.corner == self.corner
        self.digests += image.digest
        for key in (image.shape, image.bands, image.depth):
            self.first.setdefault(key, position)
        self.shapes[image.shape] += 1
        self.kinds[image.kind] += 1
        self.bands[image.bands] += 1
        self.dtypes[image.dtype] += 1
        self.depths[image.depth] += 1
        if image.frames > 1:
            self.stacked[position] = image.frames
        self.transparent += image.transparent
        self.low, self.high = min(self.low, image.low), max(self.high, image.high)
        self.clipped += (image.clipped - self.clipped) / (position + 1)
        self.bright += image.bright
        if image.ends:
            self.ends.add(image.ends, image.declared, position)
        if image.middle:
            self._middles.extend(image.middle)
        if isinstance(image.levels, np.ndarray):
            known = self._levels.setdefault(image.dtype, np.zeros_like(image.levels))
            known |= image.levels
        elif image.levels:
            self._most_levels = max(self._most_levels, image.levels)

    @property
    def levels(self) -> int:
        """How many different values there are; of wide numbers, in the image that has most."""
        return sum(int(known.sum()) for known in self._levels.values()) or self._most_levels

    @property
    def middle(self) -> tuple[float, float] | None:
        """Where the values of nearly all deep images nearly all lie; None where no image is deep."""
        if not self._middles:
            return None
        lows, highs = np.array(self._middles).reshape(-1, 2).T
        return float(np.quantile(lows, _MIDDLE[0])), float(np.quantile(highs, _MIDDLE[1]))

    @property
    def originals(self) -> Originals:
        """What the images are before anything is done to them; there must be one."""
        heights, widths = zip(*self.shapes, strict=True)
        height, width = (min(heights), max(heights)), (min(widths), max(widths))
        return Originals(height, width, tuple(sorted(self.bands)))

    @property
    def content_ids(self) -> np.ndarray:
        """Numbers, int64 (N,): the same for images that are identical pixel for pixel."""
        digests = np.frombuffer(self.digests, np.uint8).reshape(-1, 32)
        return content_ids_of(digests, by_position=not self.plain)

    @property
    def full_scale(self) -> bool:
        """Whether images of 8 and of 16 bits are mixed, and of those of 16 a tenth use their upper half.

        Then white is 255 in some and 65535 in others. A few hot pixels do not make it so.
        """
        mixed = set(self.dtypes) == {"uint8", "uint16"}
        return mixed and self.bright >= max(1, _SEVERAL * self.dtypes["uint16"])

    @property
    def plain(self) -> bool:
        """Whether all are grey or RGB of 8 bits, which have always been numbered by their digests."""
        return set(self.depths) <= {"8-bit"} and set(self.bands) <= {1, 3}


def content_ids_of(digests: np.ndarray, *, by_position: bool = False) -> np.ndarray:
    """Number the different rows of uint8 (N, 32), in ascending order of their bytes; int64 (N,).

    The numbers depend on which digests there are, not on their order; ``by_position`` on the first row of
    each alone, so that the same scenes, saved with other values, have the same numbers.
    """
    _, first, numbers = np.unique(
        np.ascontiguousarray(digests).view("S32")[:, 0], return_index=True, return_inverse=True
    )
    return np.asarray(np.argsort(np.argsort(first))[numbers] if by_position else numbers)
