"""Choose the size at which models see the images, from all images and without labels; bring them to it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from quadzoo.data.survey import Box, Survey
from quadzoo.data.texts import quoted
from quadzoo.errors import ConfigError, DataError

Resize = Literal["letterbox", "stretch"]
Dtype = Literal["uint8", "uint16", "float32"]

_LONGEST_SIDE = 224  # of `auto`
_TINY = 64  # pixels of the longest side: `auto` enlarges smaller images, for networks that halve them 5 times
_MULTIPLE = 8
_SMALLEST_SIDE = 32
_LEAST_ENLARGEMENT = 1.25  # below it resampling costs more sharpness than it gains size
# An image is odd where a side is longer than so many times that which this share of the images stays within.
_MOST = 0.9, 1.5
_FEW, _MANY = (0.75, 2.0), 10  # images
_UINT16 = 65535
_PER_CALL = 4  # bands: OpenCV scales no more at once


@dataclass(frozen=True)
class Geometry:
    """What is done to every image; all numbers in pixels.

    ``crop`` is cut out first, where all images have one size and a constant border. ``letterbox`` then
    scales it by one factor for both sides, by at most ``max_scale``, and centres it on a canvas of ``size``
    (H, W) filled with ``fill``; ``stretch`` scales each side by its own factor. ``channels`` is 1 where all
    images are grey, else 3 (RGB), or the number of bands.

    Pixels of 8 bits stay what they are. Of others, ``value_range`` (low, high) becomes 0 to 1, and what is
    beyond it 0 or 1; ``dtype`` is then ``uint16``, whose 65535 is 1, or ``float32``, whose 255 is 1. Where
    both 8 and 16 bits are used in full, each keeps its own white: ``value_range`` is None. ``fill`` is in the
    images' own values. ``bands`` are those that were asked for, numbered from 1.
    """

    size: tuple[int, int]
    channels: int
    crop: Box | None
    max_scale: float | None
    fill: tuple[int | float, ...]
    resize: Resize = "letterbox"
    dtype: Dtype = "uint8"
    value_range: tuple[float, float] | None = None
    bands: tuple[int, ...] | None = None


def parse_image_size(text: str) -> tuple[int, int] | None:
    """Return (H, W) of ``HxW`` or ``N``, and None for ``auto``. Raises ConfigError for anything else."""
    if text == "auto":
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(
        side.isdecimal() and len(side) <= 4 and 8 <= int(side) <= 4096 for side in sides
    ):
        raise ConfigError(
            f"`image_size` {quoted(text)}: say auto, one side (224) or height x width (32x200), "
            "8 to 4096 pixels"
        )
    return int(sides[0]), int(sides[-1])


def choose_geometry(
    survey: Survey,
    wanted: tuple[int, int] | None,
    resize: Resize,
    value_range: tuple[float, float] | None = None,
    like: Geometry | None = None,
) -> Geometry:
    """Find the constant border that all images share, the canvas to put them on, and the range of values.

    ``wanted`` is the canvas's (H, W); None chooses it: large enough for the largest image that is no odd one
    out, which is enlarged to a longest side of 64 pixels where that is a quarter more or above, at most 224
    pixels long, sides in multiples of 8. ``value_range`` is None for the smallest and the largest value of
    all images, unless these have 8 bits.

    ``like`` is the geometry of a model that is to see the images. Then ``wanted`` and ``resize`` count for
    nothing: all is the model's, but for a crop that would cut off more than border, and for values where
    another ``value_range`` is given. Raises DataError for bands or values that the model cannot take.
    """
    channels = _channels(survey, like)
    if like:
        size, resize, max_scale, crop = like.size, like.resize, like.max_scale, _crop_like(survey, like)
    else:
        crop = _shared_border(survey)
        size, max_scale = _canvas(survey, crop, wanted)
        if resize == "stretch":
            max_scale = None
        elif crop and max_scale == 1.0:
            crop = _widened(crop, size, ordinary_size(survey))
    if like and value_range in (None, like.value_range):
        _check_values(survey, like)
        dtype, values, fill = like.dtype, like.value_range, like.fill
    else:
        dtype, values = _range_of(survey, value_range)
        fill = _fill(survey, channels, dtype, values)
    return Geometry(size, channels, crop, max_scale, fill, resize, dtype, values)


def _channels(survey: Survey, like: Geometry | None) -> int:
    has = max(survey.bands)
    if like and like.channels != has and not {like.channels, has} <= {1, 3}:
        raise DataError(f"images of {has} bands for a model of {like.channels}; choose as many with `bands`")
    return like.channels if like else has


def _shared_border(survey: Survey) -> Box | None:
    """Return the box within the border that all images share, None where they share none."""
    alike = survey.one_corner and len(survey.shapes) == 1 and not survey.full_scale
    return survey.foreground if alike else None


def _crop_like(survey: Survey, like: Geometry) -> Box | None:
    """Return the model's crop where images lose nothing by it but border, else what is within their own."""
    if like.crop is None:
        return None
    if len(survey.shapes) == 1:
        (whole,) = survey.shapes
        if _lies_in(like.crop, (0, 0, *whole)) and _lies_in(survey.foreground or like.crop, like.crop):
            return like.crop
    crop = _shared_border(survey)
    if crop and like.max_scale:
        room = int(like.size[0] / like.max_scale), int(like.size[1] / like.max_scale)
        crop = _widened(crop, room, ordinary_size(survey))
    return crop


def _lies_in(inner: Box, outer: Box) -> bool:
    starts = inner[0] >= outer[0] and inner[1] >= outer[1]
    return starts and inner[2] <= outer[2] and inner[3] <= outer[3]


def _canvas(
    survey: Survey, crop: Box | None, wanted: tuple[int, int] | None
) -> tuple[tuple[int, int], float | None]:
    """Return the canvas's (H, W), and by how much an image is enlarged on it at most."""
    height, width = (crop[2] - crop[0], crop[3] - crop[1]) if crop else ordinary_size(survey)
    if wanted:
        scale = min(wanted[0] / height, wanted[1] / width)
        return wanted, 1.0 if len(survey.shapes) == 1 and 1 <= scale < _LEAST_ENLARGEMENT else None
    longest = max(height, width)
    scale = _TINY / longest if _TINY / longest >= _LEAST_ENLARGEMENT else min(1.0, _LONGEST_SIDE / longest)
    return (_rounded(height * scale), _rounded(width * scale)), max(1.0, scale)


def _widened(crop: Box, room: tuple[int, int], whole: tuple[int, int]) -> Box:
    """Return a crop that shows more of the image where there is room for it, not the fill colour."""
    if room[0] < crop[2] - crop[0] or room[1] < crop[3] - crop[1]:
        return crop
    top, bottom = _widen(crop[0], crop[2], room[0], whole[0])
    left, right = _widen(crop[1], crop[3], room[1], whole[1])
    return top, left, bottom, right


def _check_values(survey: Survey, like: Geometry) -> None:
    known = {"uint8"} if like.dtype == "uint8" else {"uint8", "uint16"}
    if like.value_range is None and (others := sorted({*survey.dtypes} - known)):
        depth = "8 bits" if len(known) == 1 else "8 and 16 bits"
        raise DataError(
            f"images of {', '.join(others)} values for a model of {depth}; convert them to uint8, or say "
            "with `value_range` which values become black and white"
        )


def _fill(
    survey: Survey, channels: int, dtype: Dtype, values: tuple[float, float] | None
) -> tuple[int | float, ...]:
    """Return the colour that all images have in the corner, else the darkest one."""
    ground = (0,) * max(3, channels) if values is None else (values[0],) * max(3, channels)
    alike = survey.one_corner and not (survey.full_scale and values is None)
    fill = survey.corner if alike and survey.corner else ground
    if channels == 1 and len(set(fill)) > 1:
        red, green, blue = fill[:3]
        kind = np.uint8 if dtype == "uint8" else np.float32
        shade = cv2.cvtColor(np.array([[[red, green, blue]]], kind), cv2.COLOR_RGB2GRAY)[0, 0].item()
        fill = (shade,) * 3
    return fill


def ordinary_size(survey: Survey) -> tuple[int, int]:
    """Return the height and the width that hold all images but those that are much larger than the others."""
    sides: tuple[Counter[int], Counter[int]] = Counter(), Counter()
    for shape, n in survey.shapes.items():
        for side, of_all in zip(shape, sides, strict=True):
            of_all[side] += n
    return _ordinary(sides[0]), _ordinary(sides[1])


def _ordinary(sides: Counter[int]) -> int:
    """Return the longest of the sides that is not much longer than nearly all of them are."""
    n, position = sides.total(), 0
    share, factor = _FEW if n < _MANY else _MOST
    for side in sorted(sides):
        position += sides[side]
        if position >= share * n:
            return max(other for other in sides if other <= factor * side)
    raise ValueError("no images")


def _range_of(survey: Survey, wanted: tuple[float, float] | None) -> tuple[Dtype, tuple[float, float] | None]:
    """Return in what images are kept, and the values that become 0 and 1; None for 8 bits as they are."""
    if wanted is None and (survey.full_scale or set(survey.depths) == {"8-bit"}):
        return ("uint16" if survey.full_scale else "uint8"), None
    low, high = wanted or (survey.low, survey.high)
    low, high = (low, high) if low < high else (low, low + 1)
    fits = survey.depths["floating-point"] == 0 and high - low <= _UINT16
    return "uint16" if fits else "float32", (low, high)


def _rounded(side: float) -> int:
    return max(_SMALLEST_SIDE, math.ceil(round(side, 6) / _MULTIPLE) * _MULTIPLE)


def _widen(low: int, high: int, length: int, limit: int) -> tuple[int, int]:
    length = min(length, limit)
    start = min(max(0, low - (length - (high - low)) // 2), limit - length)
    return start, start + length


def cut(pixels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return an image, uint8 or deeper (H, W) or (H, W, C), without the border that all images share."""
    if not geometry.crop:
        return pixels
    top, left, bottom, right = geometry.crop
    return pixels[top:bottom, left:right]


def fit(pixels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return an image, uint8 or deeper (H, W) or (H, W, C), cut, scaled and centred on the canvas.

    That is (H, W, C), of the geometry's dtype: uint8, uint16 or float32.
    """
    deep = geometry.dtype != "uint8"
    pixels = _unit(pixels, geometry) if deep else pixels
    if geometry.channels == 3 and pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    elif geometry.channels == 1 and pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    pixels = cut(pixels, geometry)
    scaled = _scaled(pixels.shape[0], pixels.shape[1], geometry)
    if scaled != pixels.shape[:2]:
        pixels = _resized(pixels, scaled)
    canvas = np.empty((*geometry.size, geometry.channels), pixels.dtype)
    canvas[:] = filling(geometry)
    height, width = scaled
    top, left = (geometry.size[0] - height) // 2, (geometry.size[1] - width) // 2
    canvas[top : top + height, left : left + width] = pixels.reshape(height, width, -1)
    if not deep:
        return canvas
    canvas = np.clip(canvas, 0, 1)  # cubic interpolation goes beyond
    return (
        np.rint(canvas * _UINT16).astype(np.uint16)
        if geometry.dtype == "uint16"
        else canvas * np.float32(255)
    )


def filling(geometry: Geometry) -> np.ndarray:
    """Return what the canvas is filled with: float32 (C,), 0 to 1, or for 8 bits whole numbers to 255."""
    fill = np.array(geometry.fill[: geometry.channels])
    return fill if geometry.dtype == "uint8" else _unit(fill, geometry)


def _unit(values: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Map the range of values to 0 to 1, float32 of the same shape; the differences are taken in float64."""
    low, high = geometry.value_range or (0.0, 255.0 if values.dtype == np.uint8 else 65535.0)
    return np.clip((values.astype(np.float64) - low) / (high - low), 0, 1).astype(np.float32)


def _resized(pixels: np.ndarray, scaled: tuple[int, int]) -> np.ndarray:
    if scaled[0] * scaled[1] < pixels.shape[0] * pixels.shape[1]:
        return shrunk(pixels, scaled)
    return _scaled_bands(pixels, scaled, cv2.INTER_CUBIC)


def shrunk(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an image, uint8, uint16 or float32 (H, W) or (H, W, C), at a smaller size (h, w).

    Each pixel is the mean of an area.
    """
    return _scaled_bands(pixels, size, cv2.INTER_AREA)


def unenlarged(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an enlarged image, uint8, uint16 or float32 (H, W) or (H, W, C), at its own size (h, w).

    Each pixel is taken at its centre, where an interpolation has the value that it had.
    """
    return _scaled_bands(pixels, size, cv2.INTER_LINEAR)


def _scaled_bands(pixels: np.ndarray, size: tuple[int, int], way: int) -> np.ndarray:
    if pixels.ndim == 2 or pixels.shape[2] <= _PER_CALL:
        return cv2.resize(pixels, size[::-1], interpolation=way)
    bands = [np.ascontiguousarray(pixels[:, :, band]) for band in range(pixels.shape[2])]
    return np.stack([cv2.resize(band, size[::-1], interpolation=way) for band in bands], axis=2)


def viewable(pixels: np.ndarray, geometry: Geometry | None = None) -> np.ndarray:
    """Return an image, (H, W) or (H, W, C), for people: uint8 (H, W), or (H, W, 3) of its first three bands.

    Without a geometry its values are already those that a network sees, 0 to 255.
    """
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        pixels = pixels[:, :, :3] if pixels.shape[2] > 3 else pixels[:, :, 0]
    if geometry and geometry.dtype != "uint8":
        pixels = _unit(pixels, geometry) * 255
    return np.ascontiguousarray(pixels if pixels.dtype == np.uint8 else np.rint(pixels).astype(np.uint8))


def _scaled(height: int, width: int, geometry: Geometry) -> tuple[int, int]:
    if geometry.resize == "stretch":
        return geometry.size
    scale = min(geometry.size[0] / height, geometry.size[1] / width)
    scale = min(scale, geometry.max_scale or scale)
    return max(1, round(height * scale)), max(1, round(width * scale))
