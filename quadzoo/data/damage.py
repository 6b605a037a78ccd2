"""See whether the bytes of an image file are whole, where a decoder would fill in what it lacks.

Pillow hides the warnings of libjpeg and does not look at the checksums of a PNG; a WebP has none to look at.
What is no part of the pixels is not looked at: broken metadata does no harm.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import simplejpeg
from PIL.WebPImagePlugin import WebPImageFile

# What libjpeg says of pixels that it had to make up (jerror.h).
_MADE_UP = re.compile(r"Premature end|Corrupt JPEG data|Inconsistent progression")
_SOF0, _SOF1, _SOF2, _SOI, _EOI, _SOS, _COM = 0xC0, 0xC1, 0xC2, 0xD8, 0xD9, 0xDA, 0xFE
_ALONE = frozenset({0x01, *range(0xD0, 0xD8), _SOI})  # markers without a length
_LONG = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # a marker with a length, or the end
_DROPPED = frozenset({*range(0xE0, 0xF0), _COM})  # APPn and comments
_COEFFICIENTS = 64  # of a block
IHDR = struct.Struct(">IIBBBBB")  # width, height, bits, kind of colour, compression, filter, interlacing
IHDR_AT = 16  # bytes
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the kind of colour
_WHOLE = ((0, 0, 1, 1),)  # the first column and row, and the steps to the next
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"IEND")
_PNG_PLAIN = frozenset({b"IHDR", b"IDAT", b"IEND"})
_EXIF_TEXT, _MOST_TEXT = b"Raw profile type exif\0", 1 << 19  # bytes
_WEBP_TAIL = 32  # bytes


class Damaged(Exception):
    """Why pixels are not those that were saved."""


def check_jpeg(content: bytes) -> None:
    """Decode a JPEG as libjpeg-turbo does, small and grey, which is enough to read all of its bits.

    Raises Damaged for what the decoder warns of. It stops at the first warning, so that it is given nothing
    but pixels: no warning about metadata can hide one about them.
    """
    jpeg = _jpeg_pixels(content)
    content = jpeg.content
    try:
        space = "CMYK" if simplejpeg.decode_jpeg_header(content)[2] in ("CMYK", "YCCK") else "GRAY"
        simplejpeg.decode_jpeg(content, space, fastdct=True, fastupsample=True, min_factor=8, strict=True)
    except ValueError as error:
        if _MADE_UP.match(str(error)):
            raise Damaged(str(error)) from error
    _check_scans(jpeg)


class _Jpeg(NamedTuple):
    """A JPEG without metadata and junk before its pixels, and where its first scan begins.

    ``components`` are the ids of those of its frame; none where it is of a kind that is not looked at.
    """

    content: bytes
    scan: int = 0
    components: frozenset[int] = frozenset()
    progressive: bool = False


def _jpeg_pixels(content: bytes) -> _Jpeg:
    kept, at, frame, components = [content[:2]], 2, 0, b""
    while 0 <= (at := content.find(b"\xff", at)) < len(content) - 3:
        marker, size = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if marker in (0x00, 0xFF):  # no marker, or one that is filled up
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker == _SOS:
            head = bytearray(content[at : at + 2 + size])
            if frame in (_SOF0, _SOF1):  # these numbers mean nothing here, and are wrong in some sound files
                head[-3:] = 0, _COEFFICIENTS - 1, 0
            start = sum(map(len, kept))
            pixels = b"".join((*kept, head, memoryview(content)[at + 2 + size :]))
            return _Jpeg(pixels, start, frozenset(components), frame == _SOF2)
        elif marker == _EOI or size < 2:
            break
        else:
            if marker not in _DROPPED:
                kept.append(content[at : at + 2 + size])
            if marker in (_SOF0, _SOF1, _SOF2):
                frame, components = marker, content[at + 10 : at + 2 + size : 3]
            at += 2 + size
    return _Jpeg(content)


def _check_scans(jpeg: _Jpeg) -> None:
    """Raise Damaged where the scans end before each component is in one, with all bits that are announced."""
    content, without = jpeg.content, set(jpeg.components)
    missing: dict[tuple[int, int], int] = {}  # bits, by component and coefficient
    for at in _scans(content, jpeg.scan) if without else ():
        n = content[at + 4]
        ids = content[at + 5 : at + 5 + 2 * n : 2]
        without -= set(ids)
        if not jpeg.progressive and not without:
            return
        first, last, bits = content[at + 5 + 2 * n : at + 8 + 2 * n]
        missing |= {(one, k): bits & 15 for one in ids for k in range(first, min(last, 63) + 1)}
    if without or (jpeg.progressive and any(missing.values())):
        raise Damaged("its last scans are missing")


def _scans(content: bytes, at: int) -> Iterator[int]:
    """Yield where each scan begins, from the first one on, ``at``, up to the end of the JPEG."""
    while (found := _LONG.search(content, at)) and content[found.start() + 1] != _EOI:
        at = found.start()
        if content[at + 1] == _SOS:
            yield at
        at += 2 + int.from_bytes(content[at + 2 : at + 4])


class Png(NamedTuple):
    """A PNG without what is not needed for its pixels; ``kinds`` are those of its chunks."""

    content: bytes
    kinds: frozenset[bytes]
    frames: int

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but pixels: no palette, no colour that is transparent, no EXIF."""
        return self.kinds == _PNG_PLAIN


def png_pixels(content: bytes) -> Png:
    """Return a PNG without what is not needed for its pixels.

    Raises Damaged for one whose pixels have another checksum, or which lacks its end.
    """
    kept, kinds, frames, dropped = [_PNG], set(), 1, False
    for kind, start, size in _png_chunks(content):
        if kind in _PNG_PIXELS or kind == b"eXIf" or _may_turn(kind, content, start, size):
            body = memoryview(content)[start : start + 8 + size]
            (checksum,) = struct.unpack(">I", content[start + 8 + size : start + 12 + size])
            if zlib.crc32(body[4:]) == checksum:
                kept.append(content[start : start + 12 + size])
                kinds.add(kind)
                continue
            if kind in _PNG_PIXELS:
                raise Damaged(f"wrong checksum of its {kind.decode()} chunk")
        elif kind == b"acTL" and size >= 4:
            (frames,) = struct.unpack(">I", content[start + 8 : start + 12])
        dropped = True
    return Png(b"".join(kept) if dropped else content, frozenset(kinds), frames)


def _may_turn(kind: bytes, content: bytes, start: int, size: int) -> bool:
    """Whether a text holds EXIF, as ImageMagick writes it: it may say how the image is turned."""
    if kind not in (b"tEXt", b"zTXt") or size > _MOST_TEXT:
        return False
    text = content[start + 8 : start + 8 + size]
    if not text.startswith(_EXIF_TEXT):
        return False
    if kind == b"tEXt":
        return True
    unpack = zlib.decompressobj()
    try:
        unpack.decompress(text[len(_EXIF_TEXT) + 1 :], _MOST_TEXT)
    except zlib.error:
        return False
    return unpack.eof


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, the position and the size of the data of each chunk. Raises Damaged without an end."""
    start, kind = len(_PNG), b""
    while kind != b"IEND":
        size = int.from_bytes(content[start : start + 4])
        kind = content[start + 4 : start + 8]
        if start + 12 + size > len(content):
            raise Damaged("the file is cut off")
        yield kind, start, size
        start += 12 + size


def check_png_rows(content: bytes) -> None:
    """Check that the pixels of a PNG unpack to all of its rows. Raises Damaged where they do not."""
    n_bytes, unpack, n = _png_bytes(content), zlib.decompressobj(), 0
    for kind, start, size in _png_chunks(content):
        if kind == b"IDAT" and not unpack.eof and n < n_bytes:
            n += len(unpack.decompress(content[start + 8 : start + 8 + size], n_bytes - n + 1))
    if n < n_bytes:
        raise Damaged(f"it has {n:,} of {n_bytes:,} bytes of pixels")


def _png_bytes(content: bytes) -> int:
    """Return how many bytes all rows of a PNG have, with their filters; an interlaced one has 7 passes."""
    width, height, bits, colours, _, _, interlaced = IHDR.unpack_from(content, IHDR_AT)
    n_bytes = 0
    for left, top, right, down in _ADAM7 if interlaced else _WHOLE:
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0:
            n_bytes += max(rows, 0) * (1 + (columns * bits * _PNG_CHANNELS[colours] + 7) // 8)
    return n_bytes


def check_png_palette(content: bytes, highest: int) -> None:
    """Check that the palette of a PNG has a colour of the number ``highest``. Raises Damaged where not."""
    n = next((size // 3 for kind, _, size in _png_chunks(content) if kind == b"PLTE"), 0)
    if highest >= n:
        raise Damaged(f"a pixel has colour {highest}, the palette ends with {n - 1}")


def webp_size(content: bytes) -> tuple[int, int]:
    """Return the (H, W) of a WebP: its decoder takes memory for all pixels before it says how many."""
    kind = content[12:16]
    if kind == b"VP8X":
        height, width = (1 + int.from_bytes(content[start : start + 3], "little") for start in (27, 24))
    elif kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        height, width = 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    else:
        height, width = (int.from_bytes(content[start : start + 2], "little") & 0x3FFF for start in (28, 26))
    return height, width


def check_webp(content: bytes) -> None:
    """See whether the decoder needs the end of the (first) image: it reads bits until all pixels are there.

    In a damaged stream it loses its place and is ready too early, or runs out of bits and says so. Raises
    Damaged where the last bytes do not matter.
    """
    chunks = dict(_webp_chunks(content, 12))
    if b"ANMF" in chunks:  # 16 bytes about the frame, then its chunks
        chunks = dict(_webp_chunks(chunks[b"ANMF"], 16))
    for kind in (b"VP8 ", b"VP8L"):
        data = chunks.get(kind, b"")
        if len(data) > 2 * _WEBP_TAIL and _decodes(_webp(kind, data[:-_WEBP_TAIL])):
            raise Damaged("its pixels end before its data do")
    if (alpha := chunks.get(b"ALPH")) and b"VP8 " in chunks:
        _check_opacity(alpha, chunks[b"VP8 "])


def _check_opacity(alpha: bytes, lossy: bytes) -> None:
    """Do the same for the opacity of a lossy image: a lossless one without its first five bytes."""
    width, height = (int.from_bytes(lossy[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    packed = alpha[0] & 3
    if packed == 0 and len(alpha) <= width * height:
        raise Damaged(f"it has {len(alpha) - 1:,} of {width * height:,} bytes of opacity")
    head = b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14)
    long = packed == 1 and len(alpha) > 2 * _WEBP_TAIL
    if long and _decodes(_webp(b"VP8L", head + alpha[1:-_WEBP_TAIL])):
        raise Damaged("its opacity ends before its data do")


def _webp_chunks(content: bytes, start: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and data of each chunk, of several of one kind the first as the last."""
    found = []
    while start + 8 <= len(content):
        kind, size = content[start : start + 4], int.from_bytes(content[start + 4 : start + 8], "little")
        found.append((kind, content[start + 8 : start + 8 + size]))
        start += 8 + size + size % 2
    return reversed(found)


def _webp(kind: bytes, data: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _decodes(content: bytes) -> bool:
    try:
        WebPImageFile(io.BytesIO(content), "").load()
    except Exception:  # of broken bytes: OSError, ValueError and others
        return False
    return True
