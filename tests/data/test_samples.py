"""TIFFs and PNGs of unusual kinds: what they mean, and damage that decoders would hide."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, TiffImagePlugin

from quadzoo.data.decoding import Undecodable, decode
from tests.data.kinds import npy, pillow, tiff

ROWS, COLUMNS = np.mgrid[:120, :96]
PHOTO = np.stack([ROWS * 2 + COLUMNS % 7, 255 - ROWS - COLUMNS, COLUMNS * 2], axis=2).astype(np.uint8)
PHOTO += np.random.default_rng(0).integers(0, 9, PHOTO.shape, dtype=np.uint8)
DEEP = PHOTO.astype(np.uint16) * 16 + 5
OPAQUE = np.dstack([PHOTO, np.full((120, 96), 255, np.uint8)])
DECLARED = {"photometric": "rgb", "extrasamples": ["unassalpha"]}


def page_of(content: bytes) -> tifffile.TiffPage:
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages.first
        assert isinstance(page, tifffile.TiffPage)
        return page


def with_tag(content: bytes, name: str, value: int, position: int = 0) -> bytes:
    """Return a little-endian TIFF with another number in a tag."""
    tag = page_of(content).tags[name]
    size = {3: 2, 4: 4}[int(tag.dtype)]
    at = tag.valueoffset + size * position
    return content[:at] + value.to_bytes(size, "little") + content[at + size :]


def with_strips(content: bytes, n: int) -> bytes:
    """Return a TIFF that names n of its strips alone."""
    for name in ("StripOffsets", "StripByteCounts"):
        at = page_of(content).tags[name].offset + 4
        content = content[:at] + struct.pack("<I", n) + content[at + 4 :]
    return content


def zeroed(content: bytes, share: float, end: bytes = b"") -> bytes:
    """Return a TIFF whose later strips end in zeros, after a share of their bytes, and in ``end``."""
    page, broken = page_of(content), bytearray(content)
    places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    for offset, count in places[len(places) // 2 :]:
        kept = int(count * share)
        broken[offset + kept : offset + count] = bytes(count - kept - len(end)) + end
    return bytes(broken)


KINDS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "grey": (DEEP[:, :, 0], {}),
    "RGB": (PHOTO, {"photometric": "rgb"}),
    "RGBA": (OPAQUE, DECLARED),
    "premultiplied": (OPAQUE, {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
    "inks": (OPAQUE, {"photometric": "separated"}),
    "white is zero": (PHOTO[:, :, 0], {"photometric": "miniswhite"}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [None, "deflate", "lzw", "packbits"])
def test_strips_that_are_not_named(kind: str, packed: str | None, capfd: pytest.CaptureFixture[str]) -> None:
    pixels, options = KINDS[kind]
    content = tiff(pixels, compression=packed, rowsperstrip=12, **options)
    decode(content)
    with pytest.raises(Undecodable, match="5 of 10 strips"):
        decode(with_strips(content, 5))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", ["deflate", "lzw", "packbits"])
@pytest.mark.parametrize("rows", [12, 120])
def test_strips_that_end_in_zeros(
    kind: str, packed: str, rows: int, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels, options = KINDS[kind]
    content = tiff(pixels, compression=packed, rowsperstrip=rows, **options)
    with pytest.raises(Undecodable):
        decode(zeroed(content, 0.25))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "options",
    [
        {"rowsperstrip": 16, "photometric": "rgb"},
        {"rowsperstrip": 48, "photometric": "ycbcr", "subsampling": (2, 2)},
        {"tile": (32, 32), "photometric": "rgb"},
    ],
)
def test_a_jpeg_within_a_tiff(options: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    content = tiff(PHOTO, compression="jpeg", **options)
    assert decode(content).pixels.shape == PHOTO.shape
    for broken in (
        zeroed(content, 0.7, b"\xff\xd9"),
        zeroed(content, 0.3, b"\xff\xd9"),
        zeroed(content, 0.7),
    ):
        with pytest.raises(Undecodable):
            decode(broken)
    assert capfd.readouterr().err == ""


def test_a_webp_within_a_tiff_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Undecodable, match="compression WEBP; save it as plain TIFF"):
        decode(tiff(PHOTO, photometric="rgb", compression="webp"))
    assert capfd.readouterr().err == ""


def test_a_jpeg_with_tables_of_its_own() -> None:
    content = pillow(PHOTO, "TIFF", compression="jpeg", quality=90)
    assert np.abs(decode(content).pixels.astype(int) - PHOTO).mean() < 9
    with pytest.raises(Undecodable):
        decode(zeroed(content, 0.5, b"\xff\xd9"))


def test_a_jpeg_of_grey_and_opacity_within_a_tiff() -> None:
    """libjpeg-turbo's own interface does not know a JPEG of two bands."""
    content = pillow(Image.fromarray(PHOTO).convert("LA"), "TIFF", compression="jpeg")
    assert decode(content).pixels.shape == (120, 96)


def faxes() -> dict[str, np.ndarray]:
    noise = np.random.default_rng(0).random((120, 96)) > 0.5
    return {
        "disc": (ROWS - 60) ** 2 + (COLUMNS - 40) ** 2 > 900,
        "noise": noise,
        "white": np.ones((120, 96), bool),
        "black": np.zeros((120, 96), bool),
        "half": noise | (ROWS > 60),
        "tiny": noise[:3, :5],
    }


@pytest.mark.parametrize("packed", ["group3", "group4", "tiff_ccitt", "tiff_deflate", "raw"])
@pytest.mark.parametrize("white", [0, 1])
@pytest.mark.parametrize("name", faxes())
def test_faxes(name: str, white: int, packed: str, capfd: pytest.CaptureFixture[str]) -> None:
    image, tags = Image.fromarray(faxes()[name]), TiffImagePlugin.ImageFileDirectory_v2()
    if white == 0:
        tags[262] = 0
    content = pillow(image, "TIFF", compression=packed, tiffinfo=tags)
    assert np.array_equal(decode(content).pixels, np.asarray(image.convert("L")))
    assert decode(content).mode == "1"
    if packed != "raw" and len(content) > 600 and name != "black":
        with pytest.raises(Undecodable):
            decode(zeroed(content, 0.3))
    assert capfd.readouterr().err == ""


def test_eight_bits_with_opacity_are_laid_on_white_as_pillow_does() -> None:
    colours, opacity = np.meshgrid(np.arange(256), np.arange(256))
    pixels = np.dstack([colours, 255 - colours, colours // 2, opacity]).astype(np.uint8)
    image = Image.fromarray(pixels)
    expected = np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))
    for packed in (None, "deflate"):
        decoded = decode(tiff(pixels, compression=packed, **DECLARED))
        assert (decoded.mode, decoded.transparent) == ("RGBA", True)
        assert np.array_equal(decoded.pixels, expected)
    grey = decode(tiff(pixels[:, :, [0, 3]], compression="lzw", extrasamples=["unassalpha"]))
    assert grey.mode == "LA"
    assert np.array_equal(grey.pixels, expected[:, :, 0])


@pytest.mark.parametrize(
    ("dtype", "opaque"),
    [("uint16", 4095), ("uint16", 65535), ("uint16", 255), ("int32", 255), ("float32", 255), ("float32", 1)],
)
def test_opaque_stays_opaque(dtype: str, opaque: int) -> None:
    pixels = DEEP.astype(dtype) * (opaque / 4095 if dtype == "float32" else 1)
    full = np.dstack([pixels, np.full((120, 96), opaque)]).astype(dtype)
    decoded = decode(tiff(full, **DECLARED))
    assert np.array_equal(decoded.pixels, pixels.astype(dtype))
    assert not decoded.transparent
    if dtype != "int32" and opaque > 255:
        full[:60, :, 3] = 0
        laid = decode(tiff(full, **DECLARED))
        assert np.array_equal(laid.pixels[60:], pixels[60:].astype(dtype))
        assert (laid.pixels[:60] == opaque).all()


def test_opacity_of_which_it_is_not_clear_what_is_opaque() -> None:
    odd = np.dstack([DEEP, np.full((120, 96), 3000, np.uint16)])
    with pytest.raises(Undecodable, match=r"its opacity reaches 3000.*`bands` 1,2,3 leaves opacity out"):
        decode(tiff(odd, **DECLARED))
    assert np.array_equal(decode(tiff(odd, **DECLARED), (1, 2, 3)).pixels, DEEP)
    holes = np.dstack([DEEP, np.where(ROWS > 50, 255, 0)]).astype(np.uint16)
    with pytest.raises(Undecodable, match="its opacity reaches 255, its colours"):
        decode(tiff(holes, **DECLARED))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_where_white_is_zero_the_first_band_alone_is_turned(dtype: type) -> None:
    most = np.iinfo(dtype).max
    grey, other = PHOTO[:, :, 0].astype(dtype), PHOTO[:, :, 1].astype(dtype)
    opaque = np.stack([grey, np.full_like(grey, most)], axis=2)
    content = tiff(opaque, photometric="miniswhite", extrasamples=["unassalpha"])
    assert np.array_equal(decode(content).pixels, most - grey)
    content = tiff(np.stack([grey, other], axis=2), photometric="miniswhite", extrasamples=["unspecified"])
    assert np.array_equal(decode(content).pixels, np.stack([most - grey, other], axis=2))


def test_byte_counts_that_say_too_much() -> None:
    for rows in (120, 12):
        content = tiff(DEEP[:, :, 0], rowsperstrip=rows)
        n = len(page_of(content).databytecounts)
        more = with_tag(content, "StripByteCounts", 120 * 96 * 2 // n + 4000, n - 1)
        assert np.array_equal(decode(more).pixels, DEEP[:, :, 0])
        with pytest.raises(Undecodable, match="bytes of pixels"):
            decode(more[:-2])


def lzw_strip(pixels: np.ndarray, *codes: int, zeros: int = 0, **options: Any) -> bytes:
    """Return a TIFF of LZW whose last strip is 256 (clear) and these codes, of 9 bits, and zeros behind."""
    content = tiff(pixels, compression="lzw", **options)
    data = int("".join(f"{code:09b}" for code in (256, *codes)).ljust(9 * 64, "0"), 2).to_bytes(72)
    data = data[: -(-9 * (1 + len(codes)) // 8)] + bytes(zeros)
    last = len(page_of(content).dataoffsets) - 1
    kind = "Tile" if "tile" in options else "Strip"
    at = with_tag(content, f"{kind}Offsets", len(content), last)
    return with_tag(at, f"{kind}ByteCounts", len(data), last) + data


@pytest.mark.parametrize(
    ("pixels", "rows"), [(np.arange(1, 8)[None], 1), (np.arange(1, 22).reshape(3, 7), 2)]
)
def test_lzw_that_unpacks_to_more_than_its_pixels(pixels: np.ndarray, rows: int) -> None:
    pixels = pixels.astype(np.uint8)
    strip = pixels[-1].tolist()
    for sound in (
        lzw_strip(pixels, *strip, 257, rowsperstrip=rows),
        lzw_strip(pixels, *strip, rowsperstrip=rows),  # 72 bits, without an end
        lzw_strip(pixels, *strip, zeros=2, rowsperstrip=rows),
        lzw_strip(pixels, *strip, *strip, 257, rowsperstrip=rows),  # filled up
        lzw_strip(pixels, *strip, 257, zeros=9, rowsperstrip=rows),
    ):
        assert np.array_equal(decode(sound).pixels, pixels)
    for more in (1, 6):
        with pytest.raises(Undecodable, match=r"strip \d unpacks to more than its 7 bytes"):
            decode(lzw_strip(pixels, *strip, *range(more), 257, rowsperstrip=rows))
    with pytest.raises(Undecodable):
        decode(lzw_strip(pixels, *strip[:-1], 257, rowsperstrip=rows))


@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 7}, {"tile": (32, 16)}, {"rowsperstrip": 120}])
@pytest.mark.parametrize("kind", KINDS)
def test_lzw_of_all_kinds_is_sound(kind: str, options: dict[str, Any]) -> None:
    pixels, declared = KINDS[kind]
    content = tiff(pixels, compression="lzw", predictor=True, **options, **declared)
    assert np.array_equal(decode(content).pixels, decode(tiff(pixels, **declared)).pixels)


def pages(*some: tuple[np.ndarray, dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for pixels, options in some:
            writer.write(pixels, photometric="rgb", **options)
    return file.getvalue()


def test_a_thumbnail_in_front_is_not_taken_for_the_image() -> None:
    small = PHOTO[::8, ::8]
    with pytest.raises(Undecodable, match="its first page is a thumbnail of 15 x 12"):
        decode(pages((small, {"subfiletype": 1}), (PHOTO, {})))
    with pytest.raises(Undecodable, match="its first page is a thumbnail of 15 x 12"):
        decode(pages((small, {"subfiletype": 1, "subifds": 1}), (DEEP, {})))
    assert np.array_equal(decode(pages((PHOTO, {}), (small, {"subfiletype": 1}))).pixels, PHOTO)
    assert np.array_equal(decode(pages((PHOTO, {"subifds": 1}), (small, {"subfiletype": 1}))).pixels, PHOTO)
    assert np.array_equal(decode(pages((small, {"subfiletype": 1}))).pixels, small)


@pytest.mark.parametrize(
    "shape", [(3, 12, 12), (3, 64, 64), (1, 40, 50), (5, 30, 30), (4, 20, 8), (16, 99, 99)]
)
def test_an_array_whose_bands_come_first(shape: tuple[int, ...]) -> None:
    with pytest.raises(Undecodable, match=r"\(C, H, W\)\? save np.moveaxis\(a, 0, 2\)"):
        decode(npy(np.zeros(shape, np.uint8)))


@pytest.mark.parametrize("shape", [(8, 8, 12), (3, 40, 3), (12, 9, 5), (20, 30, 16), (3, 4, 5), (9, 40, 12)])
def test_an_array_whose_bands_come_last(shape: tuple[int, ...]) -> None:
    assert decode(npy(np.arange(np.prod(shape)).reshape(shape))).pixels.shape == shape


def chunks(*some: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of chunks, each a kind and its data, and of its end."""
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in (*some, (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content


def grey_png(levels: np.ndarray, bits: int, transparent: int) -> bytes:
    """Return a PNG of levels, uint8 (H, W), of which each takes 1, 2, 4 or 8 bits."""
    planes = np.unpackbits(levels[:, :, None], axis=2)[:, :, -bits:].reshape(len(levels), -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(planes, axis=1))
    head = struct.pack(">IIBBBBB", levels.shape[1], levels.shape[0], bits, 0, 0, 0, 0)
    return chunks((b"IHDR", head), (b"tRNS", struct.pack(">H", transparent)), (b"IDAT", zlib.compress(rows)))


def deep_png(pixels: np.ndarray, transparent: bytes = b"") -> bytes:
    height, width, bands = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    more = [(b"tRNS", transparent)] if transparent else []
    return chunks((b"IHDR", head), *more, (b"IDAT", zlib.compress(rows)))


def test_damaged_pngs_of_sixteen_bits_write_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for bands in (1, 2, 3, 4):
        pixels = np.dstack([DEEP, np.full((120, 96), 65535, np.uint16)])[:, :, [0, 3, 1, 2][:bands]]
        content = deep_png(pixels if bands < 4 else pixels[:, :, [0, 2, 3, 1]])
        assert decode(content).pixels.shape == ((120, 96) if bands < 3 else (120, 96, 3))
        at = content.index(b"IDAT")
        for broken in (
            content[:at] + b"IEND" + content[at + 4 :],
            deep_png(pixels[:50])[:16] + content[16:60],
        ):
            with pytest.raises(Undecodable):
                decode(broken)
        data = bytearray(content[at + 4 : -16])
        data[len(data) // 2] ^= 0x55
        damaged = content[: at + 4] + data + struct.pack(">I", zlib.crc32(b"IDAT" + data)) + content[-12:]
        with pytest.raises(Undecodable):
            decode(damaged)
    assert capfd.readouterr().err == ""


def test_deep_pngs_are_read_as_opencv_reads_them() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (9, 7, 4)).astype(np.uint16)
    for bands, order in ((3, [2, 1, 0]), (4, [2, 1, 0, 3]), (2, [2, 1, 0, 3])):
        content = deep_png(pixels[:, :, :bands])
        found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        assert found is not None
        every = tuple(range(1, found.shape[2] + 1))
        assert np.array_equal(decode(content, every).pixels, found[:, :, order])


def test_the_transparent_value_of_a_grey_png_of_sixteen_bits() -> None:
    grey = DEEP[:, :, :1]
    hole = int(grey[7, 8, 0])
    decoded = decode(deep_png(grey, struct.pack(">H", hole)))
    assert decoded.transparent
    assert np.array_equal(decoded.pixels, np.where(grey == hole, 65535, grey)[:, :, 0])


@pytest.mark.parametrize(("bits", "beyond"), [(1, 0), (2, 0), (4, 0), (8, 0), (2, 256), (4, 256), (8, 256)])
def test_the_transparent_value_of_a_grey_png_of_few_bits(bits: int, beyond: int) -> None:
    most = (1 << bits) - 1
    levels = np.linspace(0, most, 256).astype(np.uint8).reshape(16, 16)
    grey = levels * np.uint8(255 // most)
    for hole in {0, most // 2, most}:
        content = grey_png(levels, bits, hole + beyond)
        assert np.array_equal(decode(content).pixels, np.where(levels == hole, 255, grey))
        assert np.array_equal(decode(content, (1,)).pixels, grey)
