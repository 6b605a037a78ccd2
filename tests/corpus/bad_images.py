"""The bad images of the corpus, as bytes: cut off, spoiled, too large, of other formats, no images."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def png(pixels: np.ndarray, **options: object) -> bytes:
    """Return an image as the bytes of a PNG."""
    return _saved(Image.fromarray(pixels), "PNG", **options)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _bomb(width: int, height: int) -> bytes:
    """Return a PNG that says it is so large, and has next to no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def _npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + content


def _array(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, pixels)
    return file.getvalue()


def _spoiled(content: bytes, at: float = 0.5, by: bytes = b"\xff\x00\xff\x00") -> bytes:
    middle = int(len(content) * at)
    return content[:middle] + by + content[middle + len(by) :]


def images() -> dict[str, bytes]:
    """Return files that are no images, or not all of one, by name."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    photo = Image.fromarray(pixels)
    whole = {
        "png": png(pixels),
        "jpg": _saved(photo, "JPEG"),
        "webp": _saved(photo, "WEBP"),
        "gif": _saved(photo, "GIF"),
        "bmp": _saved(photo, "BMP"),
        "tif": _saved(photo, "TIFF"),
        "npy": _array(pixels),
    }
    found = {f"cut.{kind}": content[: len(content) // 2] for kind, content in whole.items()}
    found |= {f"start.{kind}": content[:12] for kind, content in whole.items()}
    found |= {f"spoiled.{kind}": _spoiled(whole[kind]) for kind in ("png", "jpg")}
    shape = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}"
    return found | {
        "empty.png": b"",
        "text.png": b"this is no image",
        "html.jpg": b"<html>404</html>",
        "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "nuls.png": b"\0" * 500,
        "zip.png": b"PK\x03\x04" + b"\0" * 100,
        "bomb.png": _bomb(100_000, 100_000),
        "nothing.png": _bomb(0, 0),
        "huge.webp": b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xff\xff\xff\x0f\0\0\0\0\0\0\0\0\0",
        "huge.gif": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;",
        "huge.bmp": whole["bmp"][:18] + struct.pack("<ii", 100_000, 100_000) + whole["bmp"][26:],
        "negative.bmp": whole["bmp"][:18] + struct.pack("<ii", -5, -5) + whole["bmp"][26:],
        "pickle.npy": _npy(shape.format("|O", (2, 2)), b"cos\nsystem\n(S'true'\ntR."),
        "code.npy": _npy("__import__('os').system('true')"),
        "huge.npy": _npy(shape.format("|u1", (10**6, 10**6))),
        "minus.npy": _npy(shape.format("|u1", (-4, 4)), b"\0" * 16),
        "text.npy": _npy(shape.format("<U3", (2, 2)), b"\0" * 48),
        "nan.npy": _array(np.full((8, 8), np.nan, np.float32)),
        "line.npy": _array(np.zeros(8, np.uint8)),
        "four.npy": _array(np.zeros((2, 2, 2, 2), np.uint8)),
        "none.npy": _array(np.zeros((0, 8), np.uint8)),
        "chw.npy": _array(np.zeros((3, 8, 8), np.uint8)),
        "bands.npy": _array(np.zeros((8, 8, 40), np.uint8)),
        "complex.npy": _array(np.zeros((8, 8), np.complex64)),
        "loop.tif": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "far.tif": b"II*\0\xff\xff\xff\x7f",
        "tags.tif": b"II*\0\x08\0\0\0" + b"\xff" * 200,
        "jpeg.png": whole["jpg"][:100],
    }
