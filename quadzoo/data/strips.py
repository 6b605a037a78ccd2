"""See whether the strips and tiles of a TIFF are all there, and hold all of their pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator

import imagecodecs
import numpy as np
import simplejpeg
import tifffile
from tifffile import COMPRESSION

from quadzoo.data.damage import Damaged, check_jpeg

FAX = (COMPRESSION.CCITTRLE, COMPRESSION.CCITT_T4, COMPRESSION.CCITT_T6)
PACKED = (
    COMPRESSION.LZW, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE, COMPRESSION.PACKBITS, COMPRESSION.ZSTD,
    COMPRESSION.LZMA,
)  # fmt: skip
"""Lossless: a strip that is not whole cannot be unpacked."""
_JUNK = (b"\x5a\xa5\x35\xca", b"\x37\x91\xd2\x6b", b"\xb6\x6d\xdb\x22")
_HALF_ZERO = b"\x01\x03\x05\x08\x0c\x0f"  # no code of a fax ends in more than 4 bits that are zero
_SOS = b"\xff\xda"  # of a JPEG: its pixels follow
_EOFB = 0x001001  # 24 bits (ITU-T T.6, 2.4.1.1), which some writers leave out
_PADDING = 16  # bytes
_END = 12  # bytes: the mark of the end, and a few more


def check_strips(page: tifffile.TiffPage, content: bytes) -> None:
    """Check that a page has its strips or tiles, and what can be seen without unpacking them.

    Raises Damaged where one is missing, has too few bytes, or holds a JPEG or a fax that is not whole, or LZW
    that has more than its pixels.
    """
    n = math.prod(page.chunked)
    places = list(zip(page.dataoffsets, page.databytecounts, strict=False))[:n]
    if not places or any(count <= 0 or offset >= len(content) for offset, count in places):
        raise Damaged("strips are missing: the file is cut off")
    if len(places) < n:
        raise Damaged(f"it has {len(places):,} of {n:,} strips")
    if page.compression == COMPRESSION.NONE and not page.is_subsampled:
        needed = page.imagelength * page.imagewidth * page.samplesperpixel * page.bitspersample // 8
        found = sum(min(count, len(content) - offset) for offset, count in places)
        if found < needed:
            raise Damaged(f"it has {found:,} of {needed:,} bytes of pixels")
    elif page.compression == COMPRESSION.JPEG:
        _check_jpegs(page, content)
    elif page.compression in FAX:
        for index, strip in enumerate(_strips(page, content)):
            _check_fax(page, index, strip)
    elif page.compression == COMPRESSION.LZW and isinstance(page.bitspersample, int):
        for index, strip in enumerate(_strips(page, content)):
            _check_lzw(page, index, strip)


def unpack(page: tifffile.TiffPage) -> None:
    """Unpack all that has no loss, and forget it. Raises what tifffile does where that cannot be done."""
    if page.compression in PACKED and page.dtype is not None and not page.is_subsampled:
        for _ in page.segments(maxworkers=1):
            pass


def _strips(page: tifffile.TiffPage, content: bytes) -> Iterator[bytes]:
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        yield content[offset : offset + count]


def _rows(page: tifffile.TiffPage, index: int) -> int:
    """Return how many rows a strip or a tile must have: the last strip may be shorter, no tile is."""
    if page.is_tiled:
        return page.tilelength
    down = page.chunked[1 if page.planarconfig == 2 else 0]
    return min(page.rowsperstrip, page.imagelength - index % down * page.rowsperstrip)


def _check_lzw(page: tifffile.TiffPage, index: int, strip: bytes) -> None:
    """Raise Damaged where a strip or a tile unpacks to all of its rows and a part of one more.

    LZW has no checksum, and its decoder is ready when it has all pixels. Whole rows more are sound: some
    writers fill up the last strip. So are zeros behind data without a mark of the end, which look like codes.
    """
    width = page.tilewidth if page.is_tiled else page.imagewidth
    bands = page.samplesperpixel if page.planarconfig == 1 else 1
    row = (width * bands * page.bitspersample + 7) // 8
    needed = _rows(page, index) * row
    strip = bytes(imagecodecs.bitorder_decode(strip)) if page.fillorder == 2 else strip
    for codes in (strip, strip.rstrip(b"\0")):
        found = len(imagecodecs.lzw_decode(codes, out=2 * needed + row))
        if found <= needed or found % row == 0:
            return
    raise Damaged(f"strip {index + 1:,} unpacks to more than its {needed:,} bytes")


def _check_jpegs(page: tifffile.TiffPage, content: bytes) -> None:
    tables = (page.jpegtables or b"").removesuffix(b"\xff\xd9")
    for index, strip in enumerate(_strips(page, content)):
        jpeg, rows = tables + strip[2:] if tables else strip, _rows(page, index)
        try:
            found = simplejpeg.decode_jpeg_header(jpeg)[0]
        except ValueError as error:
            if page.bitspersample != 8 or _SOS in jpeg:  # of a kind that only others read
                continue
            raise Damaged(str(error)) from error
        if found < rows:
            raise Damaged(f"strip {index + 1:,} has {found:,} of {rows:,} rows")
        check_jpeg(jpeg)


def _check_fax(page: tifffile.TiffPage, index: int, strip: bytes) -> None:
    """Raise Damaged where the decoder needs what lies behind a strip, or does not need its end.

    A fax has no checksums, and its decoder fills up what it lacks: one that has lost its place is ready too
    early or too late. What lies behind is zeros.
    """
    pixels = _faxed(page, index, strip)
    end = len(strip.rstrip(b"\0"))
    behind = [
        _faxed(page, index, strip[:end] + bytes((half,)) + junk * 64)
        for half, junk in zip(_HALF_ZERO, _JUNK * 2, strict=True)
    ]
    if pixels is None or not all(one is not None and np.array_equal(pixels, one) for one in behind):
        raise Damaged("its data end before its pixels do")
    if page.compression != COMPRESSION.CCITT_T6:
        return
    last = int.from_bytes(strip[max(0, end - 4) : end])
    ended = last and last // (last & -last) & 0xFFFFFF == _EOFB
    if page.fillorder == 1 and not ended and len(strip) - end > _PADDING:
        raise Damaged("its data end before its pixels do")
    if end > 2 * _END:
        others = [_faxed(page, index, strip[: end - _END] + junk * 3 + strip[end:]) for junk in _JUNK]
        if all(one is not None and np.array_equal(pixels, one) for one in others):
            raise Damaged("its pixels end before its data do")


def _faxed(page: tifffile.TiffPage, index: int, strip: bytes) -> np.ndarray | None:
    try:
        found = page.decode(strip, index)[0]
    except Exception:  # of junk
        return None
    return None if found is None else np.array(found)
