"""Decode the bytes of an image file: the same for every format, and no value is lost."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from quadzoo.data.damage import (
    IHDR,
    IHDR_AT,
    Damaged,
    check_jpeg,
    check_png_palette,
    check_png_rows,
    check_webp,
    png_pixels,
    webp_size,
)
from quadzoo.data.samples import (
    Samples,
    Unreadable,
    check_tiff,
    npy_size,
    read_deep_png,
    read_npy,
    read_plain_png,
    read_tiff,
    tiff_facts,
)
from quadzoo.data.samples import of_array as array_samples
from quadzoo.errors import ConfigError
from quadzoo.storage import read_regular

MAX_PIXELS = "QUADZOO_MAX_PIXELS"  # the environment variable
MOST_BANDS = 16
_MOST_PIXELS = 180_000_000  # of one image
_BYTES_A_PIXEL = 4  # of the largest image: RGBA
_BESIDE = 64 << 20  # bytes of a file that are no pixels
_DIGITS = 15  # of that number
_LONGEST = 100  # characters of a decoder's message
_FORMATS = "PNG, JPEG, WebP, GIF, TIFF, BMP or .npy"
_BEGINNINGS = {
    "PNG": (b"\x89PNG\r\n\x1a\n",), "JPEG": (b"\xff\xd8\xff",), "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "NPY": (b"\x93NUMPY",), "WEBP": (b"RIFF",),
    "BMP": (b"BM",),
}  # fmt: skip
_OPENERS: dict[str, Callable[[io.BytesIO, str], ImageFile.ImageFile]] = {
    "PNG": PngImageFile, "JPEG": jpeg_factory, "GIF": GifImageFile, "BMP": BmpImageFile,
    "TIFF": TiffImageFile, "WEBP": WebPImageFile,
}  # fmt: skip
_OPAQUE = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 32767.0, 65535.0)  # usual values
_ORIENTATION = 0x0112
_PNG_MODES = {(8, 0, 0, 0, 0): "L", (8, 2, 0, 0, 0): "RGB", (8, 4, 0, 0, 0): "LA", (8, 6, 0, 0, 0): "RGBA"}
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


class Undecodable(Exception):
    """Bytes that are no image, or not all of one; the text is the reason."""


@dataclass(frozen=True)
class Decoded:
    """An image, grey (H, W) or with bands (H, W, C), uint8 or of the deeper type that its file has.

    ``format`` and ``mode`` say what the file is, by Pillow's names where Pillow knows it; ``frames`` counts
    its pages or frames, of which the first is here. ``transparent`` says that it was laid on white;
    ``nodata`` is a value that the file declares to stand for none.
    """

    pixels: np.ndarray
    format: str
    mode: str
    frames: int = 1
    transparent: bool = False
    nodata: float | None = None


def decode(content: bytes, bands: tuple[int, ...] | None = None) -> Decoded:
    """Decode an image: upright, on white where it is transparent, and grey where its three bands are equal.

    With ``bands``, numbers from 1, these bands are returned in this order, and opacity is a band like any
    other. Pixels of 8 bits are uint8; others keep their type and their values. Raises Undecodable for bytes
    that are no image or not all of one, where a decoder would silently fill in the rest, and for images of
    more pixels than the environment variable QUADZOO_MAX_PIXELS allows, by default 180 million.
    """
    return _decoded(lambda: _read(content, bands), bands)


def of_array(pixels: np.ndarray, bands: tuple[int, ...] | None = None) -> Decoded:
    """Return pixels (H, W) or (H, W, C), of any numbers such as uint8, as if a .npy file held them.

    ``bands`` as for `decode`. Raises Undecodable for an array of another shape or of something else.
    """
    return _decoded(lambda: ("NPY", array_samples(pixels)), bands)


def _decoded(read: Callable[[], tuple[str, Samples]], bands: tuple[int, ...] | None) -> Decoded:
    try:
        format_, samples = read()
        if samples.alpha and bands is None:
            samples = _on_white(samples)
        pixels = _upright(_chosen(samples.pixels, bands), samples.orientation)
    except (Damaged, Unreadable, Undecodable) as error:
        raise Undecodable(str(error)) from error
    except Exception as error:  # of broken bytes: OSError, SyntaxError, struct.error and others
        text = " ".join(str(error).split())[:_LONGEST]
        raise Undecodable(text or type(error).__name__) from error
    return Decoded(
        np.ascontiguousarray(pixels),
        format_,
        samples.kind,
        samples.frames,
        samples.on_white,
        samples.nodata,
    )


def _read(content: bytes, bands: tuple[int, ...] | None) -> tuple[str, Samples]:
    """Return the format of a file and what is in it. No decoder of another format is ever started."""
    if not content:
        raise Undecodable("the file is empty")
    kind = next((kind for kind, some in _BEGINNINGS.items() if content.startswith(some)), None)
    if kind is None or (kind == "WEBP" and content[8:12] != b"WEBP"):
        phone = content[4:8] == b"ftyp"  # ISO/IEC 14496-12; films begin so, too
        other = "a HEIC, AVIF or video file; save it as JPEG or PNG: " if phone else ""
        raise Undecodable(f"{other}not an image of a known format: {_FORMATS}")
    frames = 1
    if kind == "NPY":
        _check_size(*npy_size(content))
        return kind, read_npy(content)
    if kind == "TIFF":
        facts = tiff_facts(content)
        _check_size(*facts.size, facts.n_bytes)
        frames = facts.frames
        if not facts.photo:
            return kind, replace(read_tiff(content), frames=frames)
        check_tiff(content)
        format_, samples = _with_pillow(kind, content, bands, frames)
        return format_, replace(samples, nodata=facts.nodata)
    if kind == "PNG":
        png = png_pixels(content)
        content, frames = png.content, png.frames
        width, height, bits, colours, *others = IHDR.unpack_from(content, IHDR_AT)
        _check_size(height, width)
        if png.is_plain and (mode := _PNG_MODES.get((bits, colours, *others))):
            with suppress(Exception):  # of broken bytes: Pillow tells what is wrong
                return kind, replace(read_plain_png(content, mode), frames=frames)
        if bits == 16 and (colours or b"tRNS" in content[: content.find(b"IDAT")]):
            upright = _exif(PngImageFile(io.BytesIO(content), ""))
            return kind, replace(read_deep_png(content), frames=frames, orientation=upright)
    if kind == "WEBP":
        _check_size(*webp_size(content))
    return _with_pillow(kind, content, bands, frames)


def allowed_pixels() -> int:
    """Return how many pixels an image may have. Raises ConfigError where the environment says no number."""
    text = os.environ.get(MAX_PIXELS) or str(_MOST_PIXELS)
    if not text.isdecimal() or len(text) > _DIGITS or not int(text):
        raise ConfigError(
            f"{MAX_PIXELS}={text[:_LONGEST]}: say a whole number of pixels, such as {_MOST_PIXELS}"
        )
    return int(text)


def read_image(path: Path) -> bytes:
    """Return the bytes of an image's file.

    Raises OSError for one that cannot be read, is no regular file, or is larger than any image that `decode`
    allows.
    """
    return read_regular(path, _BYTES_A_PIXEL * allowed_pixels() + _BESIDE, follow=True)


def _check_size(height: int, width: int, n_bytes: int = 0) -> None:
    """Raise Undecodable for more pixels, or more bytes of them, than are allowed, before any are decoded."""
    if not height or not width:
        raise Undecodable(f"it has no pixels: {height} x {width}")
    most = allowed_pixels()
    if height * width > most or n_bytes > _BYTES_A_PIXEL * most:
        size = f"{height:,} x {width:,} pixels" + (
            f" of {n_bytes // (height * width)} bytes" if n_bytes else ""
        )
        raise Undecodable(f"{size} are more than {most:,}; set {MAX_PIXELS} to allow them")


def _with_pillow(
    kind: str, content: bytes, bands: tuple[int, ...] | None, frames: int
) -> tuple[str, Samples]:
    """Read a photo of 8 bits, or a grey one of 16."""
    _silence_pillow()
    # Not Image.open: it tries all formats that have been imported, and has a limit of its own.
    with _OPENERS[kind](io.BytesIO(content), "") as image:
        mode, format_ = image.mode, image.format or kind
        _check_size(image.height, image.width)
        with suppress(Exception):  # a broken frame that is not asked for
            frames = max(frames, getattr(image, "n_frames", 1))
        image.load()
        if kind == "JPEG":
            check_jpeg(content)
        elif kind == "WEBP":
            check_webp(content)
        elif kind == "PNG":
            _check_last_row(image, content)
            _scale_transparent(image, bits=content[IHDR_AT + 8])
            if mode == "P":
                check_png_palette(content, int(np.asarray(image).max()))
        pixels, laid = (_samples(image), False) if bands else _seen(image)
        return format_, Samples(pixels, mode, frames, _exif(image), on_white=laid)


def _silence_pillow() -> None:
    """Keep what Pillow finds odd about metadata from users, and from becoming errors."""
    if not any(one[0] == "ignore" and getattr(one[3], "pattern", "") == r"PIL\." for one in warnings.filters):
        warnings.filterwarnings("ignore", module=r"PIL\.")


def _check_last_row(image: Image.Image, content: bytes) -> None:
    """Raise Damaged for a PNG that ends early: Pillow leaves the rows that are missing at zero."""
    width, height = image.size
    if image.info.get("interlace") or not any(image.crop((0, height - 1, width, height)).tobytes()):
        check_png_rows(content)


def _scale_transparent(image: Image.Image, bits: int) -> None:
    """Give the transparent level of a grey PNG the scale of its pixels: Pillow leaves it as it is stored."""
    level = image.info.get("transparency")
    if image.mode == "L" and isinstance(level, int):
        most = (1 << bits) - 1
        image.info["transparency"] = (level & most) * (255 // most)  # higher bits mean nothing


def _seen(image: Image.Image) -> tuple[np.ndarray, bool]:
    """Return a photo as it is seen, uint8 (H, W) or (H, W, 3), and whether it was laid on white.

    Of 16 bits it is uint16 (H, W).
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image), False
    if not image.has_transparency_data:
        return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB")), False
    image = image.convert("RGBA")
    pixels = np.asarray(image)
    if pixels[:, :, 3].min() == 255:
        return pixels[:, :, :3], False
    return np.asarray(
        Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    ), True


def _samples(image: Image.Image) -> np.ndarray:
    """Return the bands of a photo, uint8 (H, W, C), opacity the last; of 16 bits uint16 (H, W)."""
    if image.mode not in ("L", "LA", "RGB", "RGBA") and not image.mode.startswith("I;16"):
        grey = image.mode == "1"
        image = image.convert("L" if grey else "RGBA" if image.has_transparency_data else "RGB")
    return np.asarray(image)


def _exif(image: Image.Image) -> int:
    """Return the orientation that a camera noted, 1 where that cannot be read."""
    with suppress(Exception):  # of broken metadata: struct.error, ValueError and others
        orientation = image.getexif().get(_ORIENTATION, 1)
        return orientation if isinstance(orientation, int) else 1
    return 1


def _on_white(samples: Samples) -> Samples:
    """Return pixels (H, W, C - 1), of the dtype that they had, laid on white by their last band."""
    dtype, opacity = samples.pixels.dtype, samples.pixels[:, :, -1:]
    if dtype == np.uint8 and opacity.min() == 255:
        if samples.pixels.shape[2] != 4:
            return replace(samples, pixels=samples.pixels[:, :, :-1])
        return replace(samples, pixels=cv2.cvtColor(samples.pixels, cv2.COLOR_RGBA2RGB))  # without gaps
    if dtype == np.uint8 and samples.pixels.shape[2] in (2, 4) and not samples.premultiplied:
        pixels, see_through = _seen(Image.fromarray(samples.pixels))
        return replace(samples, pixels=pixels, on_white=see_through)
    white = _white(samples.pixels)
    if (opacity == white).all():
        return replace(samples, pixels=samples.pixels[:, :, :-1])
    colours, share = samples.pixels[:, :, :-1].astype(np.float64), opacity / white
    laid = (colours if samples.premultiplied else colours * share) + (1 - share) * white
    laid = laid if dtype.kind == "f" else np.rint(np.clip(laid, np.iinfo(dtype).min, white))
    return replace(samples, pixels=laid.astype(dtype), on_white=True)


def _white(pixels: np.ndarray) -> float:
    """Return the value of the last band, opacity, where pixels (H, W, C) are opaque, which is that of white.

    That is the largest of the dtype, of floating point 1. Where no opacity comes near it, or one is beyond,
    it is a usual largest value that is reached. Raises Undecodable where it is not clear.
    """
    floating, opacity = pixels.dtype.kind == "f", pixels[:, :, -1]
    full, top = 1.0 if floating else float(np.iinfo(pixels.dtype).max), float(opacity.max())
    if top <= 0 or pixels.dtype == np.uint8 or (top <= full if floating else top > full / 2):
        return full
    most = float(pixels[:, :, :-1].max())
    if top in _OPAQUE and (most <= top or opacity.min() == top):
        return top
    others = ",".join(map(str, range(1, pixels.shape[2])))
    raise Undecodable(
        f"its opacity reaches {top:g}, its colours {most:g}: what is opaque is not clear; `bands` {others} "
        "leaves opacity out"
    )


def _chosen(pixels: np.ndarray, bands: tuple[int, ...] | None) -> np.ndarray:
    """Return the bands asked for, or all; (H, W) of one band, and of three that are equal everywhere."""
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if bands:
        n = pixels.shape[2]
        if max(bands) > n:
            raise Undecodable(f"`bands` {','.join(map(str, bands))}: it has {n} band{'s' * (n > 1)}")
        pixels = pixels[:, :, [band - 1 for band in bands]]
    if pixels.shape[2] > MOST_BANDS:
        raise Undecodable(f"{pixels.shape[2]} bands; 1 to {MOST_BANDS} can be read: choose some with `bands`")
    first = pixels[:, :, 0]
    if pixels.shape[2] == 3 and not bands:
        without_gaps = pixels.dtype == np.uint8 and pixels.flags.c_contiguous  # else OpenCV copies slowly
        first, *others = cv2.split(pixels) if without_gaps else np.moveaxis(pixels, 2, 0)
        return first if all(np.array_equal(first, other) for other in others) else pixels
    return first if pixels.shape[2] == 1 else pixels


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    return _UPRIGHT[orientation](pixels) if orientation in _UPRIGHT else pixels
