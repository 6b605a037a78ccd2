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

import simplejpeg
from PIL.WebPImagePlugin import WebPImageFile

# What libjpeg says of pixels that it had to make up (jerror.h); its other warnings are about metadata.
_MADE_UP = re.compile(r"Premature end|Corrupt JPEG data: (?!bad ICC)|Inconsistent progression")
_EXTRANEOUS = re.compile(r"extraneous bytes before marker 0x(\w\w)")
_ENTROPY_CODED = frozenset({"c4", "da", *(f"d{n:x}" for n in range(10))})  # markers that come after pixels
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"IEND")
_WEBP_TAIL = 32  # bytes


class Damaged(Exception):
    """Why pixels are not those that were saved."""


def check_jpeg(content: bytes) -> None:
    """Decode a JPEG as libjpeg-turbo does, small and grey, which is enough to read all of its bits.

    Raises Damaged for what the decoder warns of.
    """
    try:
        space = simplejpeg.decode_jpeg_header(content)[2]
        space = "CMYK" if space in ("CMYK", "YCCK") else "GRAY"
        simplejpeg.decode_jpeg(content, space, fastdct=True, fastupsample=True, min_factor=8, strict=True)
    except ValueError as error:
        message = str(error)
        before = _EXTRANEOUS.search(message)
        if _MADE_UP.match(message) and (before is None or before[1] in _ENTROPY_CODED):
            raise Damaged(message) from error


def png_pixels(content: bytes) -> tuple[bytes, int]:
    """Return a PNG without what is not needed for its pixels, and the number of its frames.

    Raises Damaged for one whose pixels have another checksum, or which lacks its end.
    """
    kept, frames, dropped = [_PNG], 1, False
    for kind, start, size in _png_chunks(content):
        if kind in _PNG_PIXELS or kind == b"eXIf":
            body = memoryview(content)[start : start + 8 + size]
            (checksum,) = struct.unpack(">I", content[start + 8 + size : start + 12 + size])
            if zlib.crc32(body[4:]) == checksum:
                kept.append(content[start : start + 12 + size])
                continue
            if kind != b"eXIf":
                raise Damaged(f"wrong checksum of its {kind.decode()} chunk")
        elif kind == b"acTL" and size >= 4:
            (frames,) = struct.unpack(">I", content[start + 8 : start + 12])
        dropped = True
    return b"".join(kept) if dropped else content, frames


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


def check_png_rows(content: bytes, n_bytes: int) -> None:
    """Check that the pixels of a PNG unpack to ``n_bytes``. Raises Damaged where they are fewer."""
    unpack, n = zlib.decompressobj(), 0
    for kind, start, size in _png_chunks(content):
        if kind == b"IDAT" and not unpack.eof and n < n_bytes:
            n += len(unpack.decompress(content[start + 8 : start + 8 + size], n_bytes - n + 1))
    if n < n_bytes:
        raise Damaged(f"it has {n:,} of {n_bytes:,} bytes of pixels")


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
