"""Read what Pillow does not keep: deep, signed, floating-point and many-band pixels."""

from __future__ import annotations

import io
import logging
import math
from contextlib import suppress
from dataclasses import dataclass

import imagecodecs
import numpy as np
import tifffile
from numpy.lib import format as npy
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, SAMPLEFORMAT

from quadzoo.data.strips import FAX, PACKED, check_strips, unpack

for _library in ("tifffile", "imagecodecs"):
    logging.getLogger(_library).addHandler(logging.NullHandler())  # what they find odd is not for users

_GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_AS_STORED = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)  # or as YCbCr decodes
_READ = (COMPRESSION.NONE, COMPRESSION.JPEG, *PACKED, *FAX)
_PILLOW_NAMES = {"bool": "1", "uint8": "L", "uint16": "I;16", "int32": "I", "float32": "F"}  # of one band
_FEW, _MANY = 4, 16  # bands of a usual image, and of any
_GDAL_NODATA = 42113
_KINDS = "buif"  # of dtypes: bool, unsigned, signed, floating point


class Unreadable(Exception):
    """Why samples cannot be read."""


@dataclass(frozen=True)
class Samples:
    """Pixels as they are stored: (H, W, C), of any integer type, float32 or float64.

    ``alpha`` says that the last band is declared to be opacity, ``premultiplied`` that the others are
    multiplied by it; ``on_white`` that the image has been laid on white already. ``frames`` counts pages,
    ``orientation`` is that of EXIF, ``nodata`` a value that a GeoTIFF declares to be none.
    """

    pixels: np.ndarray
    kind: str
    frames: int = 1
    orientation: int = 1
    alpha: bool = False
    premultiplied: bool = False
    on_white: bool = False
    nodata: float | None = None


@dataclass(frozen=True)
class TiffFacts:
    """What a TIFF says of its first page; ``photo`` where that is one of 8 bits that only Pillow reads.

    ``nodata`` is as in `Samples`, None where the values of a photo become other ones.
    """

    size: tuple[int, int]
    n_bytes: int
    frames: int
    photo: bool
    nodata: float | None


def tiff_facts(content: bytes) -> TiffFacts:
    """Read the tags of a TIFF's first page. Raises Unreadable where they make no sense."""
    with _tiff(content) as tif:
        page = _first(tif)
        _check_first(tif, page)
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
        simple = page.compression in _READ and page.compression != COMPRESSION.JPEG
        simple &= extra in ((), (EXTRASAMPLE.UNASSALPHA,)) and page.sampleformat == SAMPLEFORMAT.UINT
        simple &= page.bitspersample == 8 or (page.bitspersample == 1 and page.samplesperpixel == 1)
        simple &= grey or page.photometric == PHOTOMETRIC.RGB
        nodata = _nodata(page) if page.bitspersample == 8 and page.photometric in _AS_STORED else None
        return TiffFacts(size, n_bytes, max(frames, int(stack)), photo and not simple, nodata)


def check_tiff(content: bytes) -> None:
    """Check that the pixels of a TIFF that Pillow reads are whole: it fills up what is missing.

    Raises Damaged, Unreadable or what tifffile does where they are not.
    """
    with _tiff(content) as tif:
        page = _first(tif)
        if page.compression == COMPRESSION.WEBP:  # of which few builds of libtiff know
            raise Unreadable("a TIFF of compression WEBP; save it as plain TIFF")
        check_strips(page, content)
        unpack(page)


def read_tiff(content: bytes) -> Samples:
    """Read the first page of a TIFF. Raises Unreadable for unusual kinds, Damaged where it is not whole."""
    with _tiff(content) as tif:
        page = _first(tif)
        if page.dtype is None or page.compression not in _READ or page.imagedepth != 1:
            what = getattr(page.compression, "name", page.compression)
            raise Unreadable(
                f"a TIFF of {page.bitspersample} bits, compression {what}; save it as plain TIFF"
            )
        if _has_palette(page):
            raise Unreadable("a palette of more than 8 bits; save its colours")
        check_strips(page, content)
        pixels = page.asarray()
        pixels = np.moveaxis(pixels, 0, 2) if page.axes == "SYX" else pixels
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
        nodata = None if pixels.dtype == bool else _nodata(page)  # True becomes 255
        if page.photometric == PHOTOMETRIC.MINISWHITE and pixels.dtype.kind in "bu":
            white = (1 << page.bitspersample) - 1
            nodata = None if nodata is None else white - nodata
            first = (white - pixels[:, :, :1]).astype(pixels.dtype)  # opacity and further bands mean the same
            pixels = np.concatenate((first, pixels[:, :, 1:]), axis=2)
        extra, orientation = page.extrasamples, page.tags.valueof(274, 1)
        alpha = extra in ((EXTRASAMPLE.ASSOCALPHA,), (EXTRASAMPLE.UNASSALPHA,))
        return Samples(
            _usual(pixels),
            _mode(pixels, alpha),
            orientation=orientation if isinstance(orientation, int) else 1,
            alpha=alpha,
            premultiplied=extra == (EXTRASAMPLE.ASSOCALPHA,),
            nodata=nodata,
        )


def _nodata(page: tifffile.TiffPage) -> float | None:
    with suppress(TypeError, ValueError):  # no number
        value = float(page.tags.valueof(_GDAL_NODATA))
        return value if math.isfinite(value) else None
    return None


def _mode(pixels: np.ndarray, alpha: bool = False) -> str:
    """Return Pillow's name for a kind of pixel, or one that says more where Pillow has none."""
    bands, dtype = pixels.shape[2], pixels.dtype.name
    if bands == 1 and dtype in _PILLOW_NAMES:
        return _PILLOW_NAMES[dtype]
    if dtype == "uint8" and (bands == 3 or alpha):
        return {2: "LA", 3: "RGB", 4: "RGBA"}.get(bands, f"{bands} × {dtype}")
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


def _check_first(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
    """Raise Unreadable where the first page is said to be a small copy of another one, as in raw photos."""
    if not page.is_reduced:
        return
    size = page.imagelength, page.imagewidth
    try:
        others = [*tif.pages[1:], *(page.pages or ())]
        larger = any(math.prod(getattr(one, "shape", ())[:2]) > math.prod(size) for one in others)
    except Exception:  # pages that cannot be found
        larger = True
    if larger:
        raise Unreadable(
            f"its first page is a thumbnail of {size[0]:,} x {size[1]:,}; save the full image as a TIFF"
        )


def _has_palette(page: tifffile.TiffPage) -> bool:
    return bool(page.photometric == PHOTOMETRIC.PALETTE)


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
    if len(shape) == 3 and _bands_first(*shape):
        raise Unreadable(f"an array {shape}: (C, H, W)? save np.moveaxis(a, 0, 2)")


def _bands_first(first: int, second: int, third: int) -> bool:
    """Whether a shape is (C, H, W): no image of 5 pixels or more has so few rows.

    Of (8, 8, 12) and (9, 40, 12) this cannot be said; of (8, 12, 12) it can.
    """
    few = first <= _FEW or (first <= _MANY and second == third)
    return few and first < second and first < third and min(second, third) > _FEW


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


def read_plain_png(content: bytes, mode: str) -> Samples:
    """Read a PNG of 8 bits that is nothing but pixels; it takes less time than with Pillow.

    ``mode`` is Pillow's name for its bands. Raises what imagecodecs does where it is broken.
    """
    pixels = imagecodecs.png_decode(content)
    return Samples(pixels[:, :, None] if pixels.ndim == 2 else pixels, mode, alpha=mode in ("LA", "RGBA"))


def read_deep_png(content: bytes) -> Samples:
    """Read a PNG of 16 bits as uint16. Raises what imagecodecs does where it is broken."""
    pixels = imagecodecs.png_decode(content)  # what OpenCV finds wrong, it writes to stderr
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.dtype != np.uint16:
        raise Unreadable("a PNG of 16 bits that cannot be decoded")
    bands = pixels.shape[2]
    if bands == 2:  # grey with opacity, which has always been read as red, green and blue with opacity
        pixels = pixels[:, :, [0, 0, 0, 1]]
    return Samples(pixels, {1: "I;16", 3: "RGB;16"}.get(bands, "RGBA;16"), alpha=bands in (2, 4))


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
