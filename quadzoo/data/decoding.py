"""From the bytes of an image file to uint8, the same for every format and every kind of pixel."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

_DEEP_GREY = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})


class Undecodable(Exception):
    """Why some bytes are no image."""


@dataclass(frozen=True)
class Decoded:
    """An image: uint8, grey (H, W) or RGB (H, W, 3); the format and mode of its file in Pillow's words."""

    pixels: np.ndarray
    format: str
    mode: str


def decode(content: bytes) -> Decoded:
    """Decode a whole image, upright, on white where it is transparent; RGB with equal channels is grey.

    16-bit pixels are scaled from 0…65535, floating-point ones from 0…1. Raises Undecodable, for a cut-off
    file too: OpenCV would fill what is missing of a JPEG with grey and say nothing.
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
    except Exception as error:  # decoders meet broken bytes in many ways: OSError, SyntaxError, struct.error
        raise Undecodable(str(error) or type(error).__name__) from error


def _eight_bits(image: Image.Image) -> np.ndarray:
    if image.mode in _DEEP_GREY:
        return _rounded(np.clip(np.asarray(image), 0, 65535) * (255 / 65535))
    if image.mode == "F":
        pixels = np.asarray(image)
        if not (pixels.min() >= 0 and pixels.max() <= 1):
            raise Undecodable("its floating-point pixels do not lie between 0 and 1")
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
