"""Choose the size at which models see the images, from all images and without labels; bring them to it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from quadzoo.data.decoding import Decoded
from quadzoo.data.texts import quoted
from quadzoo.errors import ConfigError

Resize = Literal["letterbox", "stretch"]
Box = tuple[int, int, int, int]
"""Top, left, bottom, right; the last two are exclusive."""

_LONGEST_SIDE = 224  # of `auto`
_TINY = 64  # pixels of the longest side: `auto` enlarges smaller images, for networks that halve them 5 times
_MULTIPLE = 8
_SMALLEST_SIDE = 32
_LEAST_ENLARGEMENT = 1.25  # below it resampling costs more sharpness than it gains size


@dataclass(frozen=True)
class Geometry:
    """What is done to every image; all numbers in pixels.

    ``crop`` is cut out first, where all images have one size and a constant border. ``letterbox`` then
    scales it by one factor for both sides, by at most ``max_scale``, and centres it on a canvas of ``size``
    (H, W) filled with ``fill``; ``stretch`` scales each side by its own factor. ``channels`` is 1 where all
    images are grey, else 3 (RGB).
    """

    size: tuple[int, int]
    channels: int
    crop: Box | None
    max_scale: float | None
    fill: tuple[int, int, int]
    resize: Resize = "letterbox"


@dataclass(frozen=True)
class ImageFacts:
    """What the survey needs to know of one decoded image.

    ``digest`` is the SHA-256 of shape and pixels, ``corner`` the RGB of the top left pixel, ``foreground``
    the smallest box around all pixels that differ from it (None where none does), ``kind`` the file's
    format and mode.
    """

    shape: tuple[int, int]
    grey: bool
    digest: bytes
    corner: tuple[int, int, int]
    foreground: Box | None
    kind: str


def describe(decoded: Decoded) -> ImageFacts:
    """Return what the survey needs to know of a decoded image."""
    pixels = decoded.pixels
    grey, corner = pixels.ndim == 2, pixels[0, 0]
    differs = pixels != corner if grey else (pixels != corner).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    return ImageFacts(
        shape=(pixels.shape[0], pixels.shape[1]),
        grey=grey,
        digest=hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest(),
        corner=(int(corner),) * 3 if grey else (int(corner[0]), int(corner[1]), int(corner[2])),
        foreground=(
            (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1) if len(rows) else None
        ),
        kind=f"{decoded.format} {decoded.mode}",
    )


@dataclass
class Survey:
    """What the images have in common. Of each image it keeps 32 bytes, the digest.

    ``foreground`` is the smallest box around those of all images, ``blank`` the positions of images of one
    colour, ``corner`` the first image's; ``one_corner`` says whether all have that.
    """

    digests: bytearray = field(default_factory=bytearray)
    shapes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    corner: tuple[int, int, int] | None = None
    one_corner: bool = True
    all_grey: bool = True
    foreground: Box | None = None
    blank: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return self.shapes.total()

    def add(self, image: ImageFacts) -> None:
        """Take in one more image."""
        box = image.foreground
        if box is None:
            self.blank.append(len(self))
        else:
            old = self.foreground or box
            top, left = (min(old[side], box[side]) for side in (0, 1))
            bottom, right = (max(old[side], box[side]) for side in (2, 3))
            self.foreground = (top, left, bottom, right)
        self.corner = self.corner or image.corner
        self.one_corner &= image.corner == self.corner
        self.all_grey &= image.grey
        self.digests += image.digest
        self.shapes[image.shape] += 1
        self.kinds[image.kind] += 1

    @property
    def content_ids(self) -> np.ndarray:
        """Numbers, int64 (N,): the same for images that are identical pixel for pixel."""
        return content_ids_of(np.frombuffer(self.digests, np.uint8).reshape(-1, 32))


def content_ids_of(digests: np.ndarray) -> np.ndarray:
    """Number the different rows of uint8 (N, 32), in ascending order of their bytes; int64 (N,).

    The numbers depend on which digests there are, not on their order.
    """
    _, numbers = np.unique(np.ascontiguousarray(digests).view("S32")[:, 0], return_inverse=True)
    return np.asarray(numbers)


def parse_image_size(text: str) -> tuple[int, int] | None:
    """Return (H, W) of ``HxW`` or ``N``, and None for ``auto``. Raises ConfigError for anything else."""
    if text == "auto":
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 8 <= int(side) <= 4096 for side in sides):
        raise ConfigError(
            f"`image_size` {quoted(text)}: say auto, one side (224) or height x width (32x200), "
            "8 to 4096 pixels"
        )
    return int(sides[0]), int(sides[-1])


def choose_geometry(
    survey: Survey, wanted: tuple[int, int] | None, resize: Resize, channels: int | None = None
) -> Geometry:
    """Find the constant border that all images share, and the canvas to put them on.

    ``wanted`` is the canvas's (H, W); None chooses it: large enough for the largest image, which is enlarged
    to a longest side of 64 pixels where that is a quarter more or above, at most 224 pixels long, sides in
    multiples of 8. ``channels`` is 1, 3, or None for what the images have.
    """
    one_shape = len(survey.shapes) == 1
    height, width = (max(shape[axis] for shape in survey.shapes) for axis in (0, 1))
    crop = survey.foreground if survey.one_corner and one_shape else None
    box_height, box_width = (crop[2] - crop[0], crop[3] - crop[1]) if crop else (height, width)
    max_scale: float | None
    if wanted:
        size = wanted
        scale = min(size[0] / box_height, size[1] / box_width)
        max_scale = 1.0 if one_shape and 1 <= scale < _LEAST_ENLARGEMENT else None
    else:
        longest = max(box_height, box_width)
        scale = (
            _TINY / longest if _TINY / longest >= _LEAST_ENLARGEMENT else min(1.0, _LONGEST_SIDE / longest)
        )
        size = (_rounded(box_height * scale), _rounded(box_width * scale))
        max_scale = max(1.0, scale)
    if resize == "stretch":
        max_scale = None
    elif crop and max_scale == 1.0 and size[0] >= box_height and size[1] >= box_width:
        # The canvas has room to spare: show more of the image there, not the fill colour.
        top, bottom = _widen(crop[0], crop[2], size[0], height)
        left, right = _widen(crop[1], crop[3], size[1], width)
        crop = (top, left, bottom, right)
    fill = survey.corner if survey.one_corner and survey.corner else (0, 0, 0)
    channels = channels or (1 if survey.all_grey else 3)
    if channels == 1:
        grey = cv2.cvtColor(np.array([[fill]], np.uint8), cv2.COLOR_RGB2GRAY)
        fill = (int(grey[0, 0]),) * 3
    return Geometry(size, channels, crop, max_scale, fill, resize)


def _rounded(side: float) -> int:
    return max(_SMALLEST_SIDE, math.ceil(round(side, 6) / _MULTIPLE) * _MULTIPLE)


def _widen(low: int, high: int, length: int, limit: int) -> tuple[int, int]:
    length = min(length, limit)
    start = min(max(0, low - (length - (high - low)) // 2), limit - length)
    return start, start + length


def cut(pixels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return an image, uint8 (H, W) or (H, W, 3), without the border that all images share."""
    if not geometry.crop:
        return pixels
    top, left, bottom, right = geometry.crop
    return pixels[top:bottom, left:right]


def fit(pixels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return an image, uint8 (H, W) or (H, W, 3), cut, scaled and centred on the canvas, uint8 (H, W, C)."""
    if geometry.channels == 3 and pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    elif geometry.channels == 1 and pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    pixels = cut(pixels, geometry)
    scaled = _scaled(pixels.shape[0], pixels.shape[1], geometry)
    if scaled != pixels.shape[:2]:
        shrinks = scaled[0] * scaled[1] < pixels.shape[0] * pixels.shape[1]
        way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        pixels = cv2.resize(pixels, scaled[::-1], interpolation=way)
    canvas = np.empty((*geometry.size, geometry.channels), np.uint8)
    canvas[:] = geometry.fill[: geometry.channels]
    height, width = scaled
    top, left = (geometry.size[0] - height) // 2, (geometry.size[1] - width) // 2
    canvas[top : top + height, left : left + width] = pixels.reshape(height, width, -1)
    return canvas


def _scaled(height: int, width: int, geometry: Geometry) -> tuple[int, int]:
    if geometry.resize == "stretch":
        return geometry.size
    scale = min(geometry.size[0] / height, geometry.size[1] / width)
    scale = min(scale, geometry.max_scale or scale)
    return max(1, round(height * scale)), max(1, round(width * scale))
