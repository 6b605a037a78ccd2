"""Read what Pillow does not keep: deep, signed, floating-point and many-band pixels."""

from __future__ import annotations

import io
import logging
import math
from dataclasses import dataclass

import cv2
import numpy as np
import tifffile
from numpy.lib import format as npy
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, SAMPLEFORMAT

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it finds odd is not for users

_GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_PACKED = (
    COMPRESSION.NONE, COMPRESSION.LZW, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE, COMPRESSION.PACKBITS,
    COMPRESSION.ZSTD, COMPRESSION.LZMA, COMPRESSION.JPEG,
)  # fmt: skip
_PILLOW_NAMES = {"uint8": "L", "uint16": "I;16", "int32": "I", "float32": "F"}  # of one band
_KINDS = "buif"  # of dtypes: bool, unsigned, signed, floating point


class Unreadable(Exception):
    """Why samples cannot be read."""


@dataclass(frozen=True)
class Samples:
    """Pixels as they are stored: (H, W, C), of any integer type, float32 or float64.

    ``alpha`` says that the last band is declared to be opacity, ``premultiplied`` that the others are
    multiplied by it; ``on_white`` that the image has been laid on white already. ``frames`` counts pages,
    ``orientation`` is that of EXIF.
    """

    pixels: np.ndarray
    kind: str
    frames: int = 1
    orientation: int = 1
    alpha: bool = False
    premultiplied: bool = False
    on_white: bool = False


@dataclass(frozen=True)
class TiffFacts:
    """What a TIFF says of its first page; ``photo`` where that is one of 8 bits that only Pillow reads."""

    size: tuple[int, int]
    n_bytes: int
    frames: int
    photo: bool


def tiff_facts(content: bytes) -> TiffFacts:
    """Read the tags of a TIFF's first page. Raises Unreadable where they make no sense."""
    with _tiff(content) as tif:
        page = _first(tif)
        grey, extra = page.photometric in _GREY, page.extrasamples
        inks = page.photometric == PHOTOMETRIC.SEPARATED
        colours = 4 if inks else 1 if grey or _has_palette(page) else 3
        declared = extra in ((), (EXTRASAMPLE.ASSOCALPHA,), (EXTRASAMPLE.UNASSALPHA,))
        shallow = page.bitspersample <= 8 and page.sampleformat in (SAMPLEFORMAT.UINT, SAMPLEFORMAT.VOID)
        photo = shallow and declared and page.samplesperpixel == colours + len(extra)
        try:
            frames = len(tif.pages)
        except Exception:  # a later page that cannot be found
            frames = 1
        stack = (tif.imagej_metadata or {}).get("images", 1) if tif.is_imagej else 1
        size = page.imagelength, page.imagewidth
        n_bytes = math.prod(size) * page.samplesperpixel * page.bitspersample // 8
        # libtiff, which Pillow calls, writes to stderr what is wrong with a file: it reads the rest alone.
        simple = page.photometric in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB) and page.bitspersample == 8
        simple &= not extra and page.compression in _PACKED and page.compression != COMPRESSION.JPEG
        return TiffFacts(size, n_bytes, max(frames, int(stack)), photo and not simple)


def read_tiff(content: bytes) -> Samples:
    """Read the first page of a TIFF. Raises Unreadable where it is not whole, or of an unusual kind."""
    with _tiff(content) as tif:
        page = _first(tif)
        if page.dtype is None or page.compression not in _PACKED or page.imagedepth != 1:
            what = getattr(page.compression, "name", page.compression)
            raise Unreadable(
                f"a TIFF of {page.bitspersample} bits, compression {what}; save it as plain TIFF"
            )
        if _has_palette(page):
            raise Unreadable("a palette of more than 8 bits; save its colours")
        _check_whole(page, len(content))
        pixels = page.asarray()
        pixels = np.moveaxis(pixels, 0, 2) if page.axes == "SYX" else pixels
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
        if page.photometric == PHOTOMETRIC.MINISWHITE and pixels.dtype.kind == "u":
            pixels = (1 << page.bitspersample) - 1 - pixels
        extra, orientation = page.extrasamples, page.tags.valueof(274, 1)
        alpha = extra in ((EXTRASAMPLE.ASSOCALPHA,), (EXTRASAMPLE.UNASSALPHA,))
        return Samples(
            _usual(pixels),
            _mode(pixels),
            orientation=orientation if isinstance(orientation, int) else 1,
            alpha=alpha,
            premultiplied=extra == (EXTRASAMPLE.ASSOCALPHA,),
        )


def _mode(pixels: np.ndarray) -> str:
    """Return Pillow's name for a kind of pixel, or one that says more where Pillow has none."""
    bands, dtype = pixels.shape[2], pixels.dtype.name
    if bands == 1 and dtype in _PILLOW_NAMES:
        return _PILLOW_NAMES[dtype]
    if bands == 3 and dtype == "uint8":
        return "RGB"
    return f"{bands} × {dtype}" if bands > 1 else dtype


def _tiff(content: bytes) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(io.BytesIO(content))
    except Exception as error:  # of broken bytes: TiffFileError, struct.error and others
        raise Unreadable(str(error)) from error


def _first(tif: tifffile.TiffFile) -> tifffile.TiffPage:
    page = tif.pages.first if len(tif.pages[:1]) else None
    if not isinstance(page, tifffile.TiffPage) or not page.imagelength or not page.imagewidth:
        raise Unreadable("a TIFF without a page")
    return page


def _has_palette(page: tifffile.TiffPage) -> bool:
    return bool(page.photometric == PHOTOMETRIC.PALETTE)


def _check_whole(page: tifffile.TiffPage, length: int) -> None:
    """Raise Unreadable for strips or tiles that are missing, or not as long as they must be."""
    places = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if not places or any(count <= 0 or offset + count > length for offset, count in places):
        raise Unreadable("strips are missing: the file is cut off")
    needed = page.imagelength * page.imagewidth * page.samplesperpixel * page.bitspersample // 8
    if page.compression == COMPRESSION.NONE and sum(count for _, count in places) < needed:
        raise Unreadable(f"it has {sum(count for _, count in places):,} of {needed:,} bytes of pixels")


def npy_size(content: bytes) -> tuple[int, int, int]:
    """Return H, W and the number of bytes of a .npy file. Raises Unreadable where it holds no image."""
    shape, _, dtype, _ = _npy_header(content)
    return shape[0], shape[1], math.prod(shape) * dtype.itemsize


def read_npy(content: bytes) -> Samples:
    """Read a .npy of (H, W) or (H, W, C) numbers. Raises Unreadable for anything else, or cut off."""
    shape, by_columns, dtype, start = _npy_header(content)
    n_bytes = math.prod(shape) * dtype.itemsize
    if len(content) - start < n_bytes:
        raise Unreadable(f"it has {len(content) - start:,} of {n_bytes:,} bytes of pixels")
    flat = np.frombuffer(content, dtype, n_bytes // dtype.itemsize, start)
    return of_array(flat.reshape(shape, order="F" if by_columns else "C"))


def of_array(pixels: np.ndarray) -> Samples:
    """Return an array of pixels (H, W) or (H, W, C), of any numbers such as uint8 or float32, as samples.

    Raises Unreadable for an array of another kind.
    """
    _check_array(pixels.shape, pixels.dtype)
    pixels = _usual(pixels[:, :, None] if pixels.ndim == 2 else pixels)
    return Samples(pixels, _mode(pixels))


def _check_array(shape: tuple[int, ...], dtype: np.dtype) -> None:
    if dtype.kind not in _KINDS or len(shape) not in (2, 3) or min(shape) < 1:
        raise Unreadable(f"an array {shape} of {dtype}; needed is (H, W) or (H, W, C) of numbers")


def _npy_header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    file = io.BytesIO(content)
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_columns, dtype = read(file)
    except (ValueError, KeyError) as error:
        raise Unreadable(str(error).splitlines()[0]) from error
    _check_array(shape, dtype)
    return shape, by_columns, dtype, file.tell()


def read_deep_png(content: bytes) -> Samples:
    """Read a PNG of 16 bits with colours or opacity, as uint16. Raises Unreadable where it is broken."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise Unreadable("a PNG of 16 bits that cannot be decoded")
    alpha = pixels.shape[2] == 4
    return Samples(
        pixels[:, :, [2, 1, 0, 3] if alpha else [2, 1, 0]], "RGBA;16" if alpha else "RGB;16", alpha=alpha
    )


def _usual(pixels: np.ndarray) -> np.ndarray:
    """Return pixels in this machine's byte order; bools as 0 and 255, half precision as float32."""
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    native = pixels.dtype.newbyteorder("=")
    native = np.dtype(np.float32) if native == np.float16 else native
    if native.kind not in _KINDS or native.itemsize > 8:
        raise Unreadable(f"pixels of {pixels.dtype}; save them as float32")
    if native.kind == "f" and not np.isfinite(pixels).all():
        share = 1 - float(np.isfinite(pixels).mean())
        raise Unreadable(f"{share:.2%} of its pixels are NaN or infinite; give them a number")
    return pixels.astype(native, copy=False)
