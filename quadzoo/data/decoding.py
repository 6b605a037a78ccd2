"""Decode the bytes of an image file to uint8, the same for every format and every kind of pixel."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

_DEEP_GREY = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})
_LONGEST = 100  # characters of a decoder's message


class Undecodable(Exception):
    """Bytes that are no image; the text is the reason."""


@dataclass(frozen=True)
class Decoded:
    """An image, uint8 grey (H, W) or RGB (H, W, 3), with Pillow's names for its file's format and mode."""

    pixels: np.ndarray
    format: str
    mode: str


def decode(content: bytes) -> Decoded:
    """Decode an image: upright, on white where it is transparent, and grey where the channels are equal.

    16-bit pixels are scaled from 0…65535, floating-point ones from 0…1. Raises Undecodable for bytes that
    are no image or not all of one: OpenCV would silently fill the rest of a cut-off JPEG with grey.
    """
    if not content:
        raise Undecodable("the file is empty")
    try:
        with Image.open(io.BytesIO(content)) as image:
            kind = image.format or "", image.mode
            image.load()
            return Decoded(_eight_bits(ImageOps.exif_transpose(image)), *kind)
    except UnidentifiedImageError as error:
        raise Undecodable("not an image of a known format") from error
    except Exception as error:  # of broken bytes: OSError, SyntaxError, struct.error and others
        raise Undecodable(str(error)[:_LONGEST] or type(error).__name__) from error


def _eight_bits(image: Image.Image) -> np.ndarray:
    if image.mode in _DEEP_GREY:
        return _rounded(np.clip(np.asarray(image), 0, 65535) * (255 / 65535))
    if image.mode == "F":
        pixels = np.asarray(image)
        if not (pixels.min() >= 0 and pixels.max() <= 1):
            raise Undecodable("its floating-point pixels are not between 0 and 1")
        return _rounded(pixels * 255)
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    pixels = np.asarray(image.convert("RGB"))
    grey = pixels[:, :, 0]
    coloured = (grey != pixels[:, :, 1]).any() or (grey != pixels[:, :, 2]).any()
    return pixels if coloured else np.ascontiguousarray(grey)


def _rounded(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(pixels)).astype(np.uint8)
