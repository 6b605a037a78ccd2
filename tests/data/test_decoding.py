"""Every kind of image file that people have, made here, must decode to the pixels that it shows."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quadzoo.data.decoding import Undecodable, decode, of_array

GREY = np.add.outer(np.arange(24) * 4, np.arange(32) * 5).astype(np.uint8)  # no two rows or columns alike
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)
FORMATS = ["PNG", "BMP", "TIFF", "WEBP", "JPEG"]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if kind == "WEBP":
        options = {"lossless": True} | options
    if kind == "JPEG":
        options = {"quality": 100, "subsampling": 0} | options
    image.save(file, kind, **options)
    return file.getvalue()


def close(found: np.ndarray, expected: np.ndarray, tolerance: int = 0) -> bool:
    return found.shape == expected.shape and int(np.abs(found.astype(int) - expected).max()) <= tolerance


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_formats(kind: str, pixels: np.ndarray) -> None:
    decoded = decode(saved(Image.fromarray(pixels), kind))
    assert decoded.format == kind
    assert decoded.pixels.dtype == np.uint8
    assert close(decoded.pixels, pixels, tolerance=6 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_off_file_is_no_image(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    content = saved(Image.fromarray(noise), kind)
    decode(content)
    with pytest.raises(Undecodable):
        decode(content[: int(len(content) * share)])


@pytest.mark.parametrize("frame", [b"\xff\xc0", b"\xff\xc1"])
@pytest.mark.parametrize("between", [b"", b"\xff\xfe\0\x06\xff\xd9\xff\xda"])  # a comment
def test_a_jpeg_of_a_scan_for_each_colour_cut_off_between_them(frame: bytes, between: bytes) -> None:
    grey = [saved(Image.fromarray(COLOUR[:, :, band]), "JPEG") for band in range(3)]
    start, tables = grey[0].index(b"\xff\xc0"), grey[0].index(b"\xff\xc4")
    three = struct.pack(">HBHHB", 17, 8, 24, 32, 3) + b"".join(bytes((one, 0x11, 0)) for one in b"\1\2\3")
    content = grey[0][:start] + frame + three + grey[0][tables : grey[0].index(b"\xff\xda")]
    for number, one in enumerate(grey, 1):
        if number > 1:
            with pytest.raises(Undecodable, match="its last scans are missing"):
                decode(content + b"\xff\xd9")
        data = one[one.index(b"\xff\xda") + 10 : -2]
        content += between + b"\xff\xda\0\x08\1" + bytes((number, 0, 0, 63, 0)) + data
    assert decode(content + b"\xff\xd9").pixels.shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"GIF89a nonsense", "."),
        (b"\x89PNG\r\n\x1a\n broken", "."),
        (b"<html>404</html>", "known format"),
    ],
)
def test_what_is_no_image(content: bytes, message: str) -> None:
    with pytest.raises(Undecodable, match=message):
        decode(content)


def test_a_flipped_bit_in_a_png_is_noticed() -> None:
    content = bytearray(saved(Image.fromarray(GREY), "PNG"))
    content[content.index(b"IDAT") + 10] ^= 1
    with pytest.raises(Undecodable):
        decode(bytes(content))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("opacity", [None, 255, 0])
def test_a_png_of_8_bits_is_what_pillow_reads(mode: str, opacity: int | None) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, len(mode)), dtype=np.uint8)
    if opacity is not None and mode in ("LA", "RGBA"):
        pixels[:, :, -1] = opacity
    content = saved(Image.fromarray(pixels.squeeze(), mode), "PNG")
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    seen = np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image))[:, :, :3]
    grey = (seen == seen[:, :, :1]).all()
    assert close(decode(content).pixels, seen[:, :, 0] if grey else seen)
    bands = tuple(range(1, len(mode) + 1))
    assert close(decode(content, bands).pixels, pixels.squeeze())


def test_a_png_with_more_data_than_pixels_is_read_without_a_word() -> None:
    content = saved(Image.fromarray(GREY), "PNG")
    start = content.index(b"IDAT") - 4
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in GREY) + bytes(99))
    end = b"\0\0\0\0IEND" + zlib.crc32(b"IEND").to_bytes(4)
    longer = (
        content[:start]
        + len(rows).to_bytes(4)
        + b"IDAT"
        + rows
        + zlib.crc32(b"IDAT" + rows).to_bytes(4)
        + end
    )
    read = "decode(sys.stdin.buffer.read()).pixels.sum()"
    program = f"import sys; from quadzoo.data.decoding import decode; print({read})"
    done = subprocess.run([sys.executable, "-c", program], input=longer, capture_output=True, check=True)
    assert (int(done.stdout), done.stderr) == (GREY.sum(), b"")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda p: p),
        (2, lambda p: p[:, ::-1]),
        (3, lambda p: p[::-1, ::-1]),
        (6, lambda p: np.rot90(p, -1)),
        (8, np.rot90),
    ],
)
def test_rotation_noted_by_a_camera(
    kind: str, orientation: int, upright: Callable[[np.ndarray], np.ndarray]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(Image.fromarray(COLOUR), kind, exif=exif)
    assert close(decode(content).pixels, upright(COLOUR), tolerance=6 if kind == "JPEG" else 0)


def see_through() -> np.ndarray:
    """Left black and opaque, in the middle half clear, right black and fully transparent."""
    pixels = np.zeros((8, 30, 4), np.uint8)
    pixels[:, :10, 3], pixels[:, 10:20, 3] = 255, 128
    return pixels


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparent_parts_are_white(kind: str) -> None:
    pixels = decode(saved(Image.fromarray(see_through()), kind)).pixels
    assert pixels.shape == (8, 30)
    assert [int(pixels[4, x]) for x in (5, 15, 25)] == pytest.approx([0, 127, 255], abs=1)


def test_transparency_of_other_modes() -> None:
    grey_alpha = Image.fromarray(np.ascontiguousarray(see_through()[:, :, 2:]))
    assert grey_alpha.mode == "LA"
    assert decode(saved(grey_alpha, "PNG")).pixels[4, 25] == 255

    palette = Image.fromarray(np.full((8, 8), 3, np.uint8)).convert("P")
    colour = palette.getpixel((0, 0))
    assert decode(saved(palette, "PNG")).pixels[0, 0] == 3
    assert decode(saved(palette, "PNG", transparency=colour)).pixels[0, 0] == 255

    keyed = Image.fromarray(GREY)
    assert decode(saved(keyed, "PNG", transparency=int(GREY[3, 3]))).pixels[3, 3] == 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_deep_grey(kind: str) -> None:
    deep = (GREY.astype(np.uint16) * 257).astype(np.uint16)
    decoded = decode(saved(Image.fromarray(deep), kind)).pixels
    assert decoded.dtype == np.uint16
    assert np.array_equal(decoded, deep)


def test_deep_colour() -> None:
    import cv2

    deep = COLOUR.astype(np.uint16) * 250 + 3
    ok, content = cv2.imencode(".png", deep[:, :, ::-1])
    assert ok
    assert np.array_equal(decode(content.tobytes()).pixels, deep)
    opaque = np.dstack([deep[:, :, ::-1], np.full(GREY.shape, 65535, np.uint16)])
    opaque[:, :4, 3] = 0
    decoded = decode(cv2.imencode(".png", opaque)[1].tobytes())
    assert decoded.transparent
    assert (decoded.pixels[:, :4] == 65535).all()
    assert np.array_equal(decoded.pixels[:, 4:], deep[:, 4:])


def test_floating_point() -> None:
    unit = (GREY / 255).astype(np.float32)
    for values in (unit, unit * 300, unit - 1, unit * 1e-6):
        assert np.array_equal(decode(saved(Image.fromarray(values), "TIFF")).pixels, values)
    unit[3, 4] = np.nan
    with pytest.raises(Undecodable, match=r"0\.13% of its pixels are NaN"):
        decode(saved(Image.fromarray(unit), "TIFF"))


def test_palette_bits_and_ink() -> None:
    assert close(decode(saved(Image.fromarray(GREY).convert("P"), "PNG")).pixels, GREY)
    bits = Image.fromarray(GREY).point(lambda level: 255 * (level > 90)).convert("1")
    assert set(np.unique(decode(saved(bits, "PNG")).pixels)) == {0, 255}
    four_inks = Image.fromarray(COLOUR).convert("CMYK")
    assert close(decode(saved(four_inks, "JPEG")).pixels, COLOUR, tolerance=8)


def test_grey_by_its_pixels_not_its_mode() -> None:
    assert decode(saved(Image.fromarray(GREY).convert("RGB"), "PNG")).pixels.shape == GREY.shape
    assert decode(saved(Image.fromarray(GREY).convert("RGBA"), "PNG")).pixels.shape == GREY.shape
    spot = np.repeat(GREY[:, :, None], 3, axis=2)
    spot[5, 5, 2] ^= 1
    assert decode(saved(Image.fromarray(spot), "PNG")).pixels.shape == spot.shape


def test_only_the_first_page() -> None:
    pages = saved(Image.fromarray(GREY), "TIFF", save_all=True, append_images=[Image.fromarray(255 - GREY)])
    assert close(decode(pages).pixels, GREY)


def test_an_array_is_what_a_npy_file_of_it_is() -> None:
    rng = np.random.default_rng(0)
    for pixels in (
        rng.integers(0, 255, (5, 7), dtype=np.uint8),
        rng.integers(0, 255, (5, 7, 3), dtype=np.uint8),
        np.repeat(rng.integers(0, 9, (5, 7, 1), dtype=np.uint16), 3, axis=2),
        rng.random((5, 7, 4)).astype(np.float16),
        rng.random((7, 5)).T,
        rng.random((5, 7)) > 0.5,
        rng.integers(0, 9, (5, 7)).astype(">i4"),
    ):
        file = io.BytesIO()
        np.save(file, pixels)
        for bands in (None, (1,)):
            ours, theirs = of_array(pixels, bands), decode(file.getvalue(), bands)
            assert ours.pixels.dtype == theirs.pixels.dtype
            assert np.array_equal(ours.pixels, theirs.pixels)
            assert (ours.mode, ours.frames) == (theirs.mode, theirs.frames)


@pytest.mark.parametrize(
    "wrong", [np.zeros(5), np.zeros((0, 5)), np.zeros((2, 2), "U3"), np.zeros((2, 2), complex)]
)
def test_an_array_that_is_no_image(wrong: np.ndarray) -> None:
    with pytest.raises(Undecodable, match=r"needed is .H, W. or .H, W, C. of numbers"):
        of_array(wrong)
