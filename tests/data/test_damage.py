"""Damaged files are refused, where a decoder would fill in the rest; broken metadata harm no sound one."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from PIL import Image

from quadzoo.data.decoding import Undecodable, decode
from tests.data.kinds import npy, pillow, tiff

NOISE = np.clip(
    np.kron(np.random.default_rng(0).integers(0, 255, (16, 24, 3)), np.ones((8, 8, 1)))
    + np.random.default_rng(1).integers(-20, 20, (128, 192, 3)), 0, 255,
).astype(np.uint8)  # fmt: skip
SOUND: dict[str, bytes] = {
    "jpeg": pillow(NOISE, "JPEG", quality=90),
    "jpeg of 4:4:4": pillow(NOISE, "JPEG", quality=90, subsampling=0),
    "grey jpeg": pillow(NOISE[:, :, 0].copy(), "JPEG", quality=80),
    "progressive jpeg": pillow(NOISE, "JPEG", quality=90, progressive=True),
    "jpeg of four inks": pillow(Image.fromarray(NOISE).convert("CMYK"), "JPEG", quality=90),
    "jpeg with restarts": pillow(NOISE, "JPEG", quality=90, restart_marker_rows=1),
    "webp": pillow(NOISE, "WEBP", quality=80),
    "lossless webp": pillow(NOISE, "WEBP", lossless=True),
    "moving webp": pillow(
        Image.fromarray(NOISE),
        "WEBP",
        quality=80,
        save_all=True,
        append_images=[Image.fromarray(255 - NOISE)],
    ),
    "png": pillow(NOISE, "PNG"),
    "tiff": tiff(NOISE, photometric="rgb", compression="deflate"),
    "deep tiff": tiff(NOISE.astype(np.uint16) * 250, photometric="rgb", compression="zstd", rowsperstrip=16),
}
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "zero tail": lambda b: b[: len(b) // 2] + bytes(len(b) - len(b) // 2),
    "zero tail with an end": lambda b: b[: len(b) // 2] + bytes(len(b) - len(b) // 2 - 2) + b[-2:],
    "cut off": lambda b: b[: len(b) * 2 // 3],
    "a hole": lambda b: b[: len(b) // 3] + b[len(b) // 2 :],
    "another sector": lambda b: (
        b[: len(b) // 2] + b[len(b) // 4 : len(b) // 4 + 512] + b[len(b) // 2 + 512 :]
    ),
    "sent as text": lambda b: b[: len(b) // 2] + b"\r\n".join(b[len(b) // 2 :].split(b"\n")),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_files_are_read_and_so_are_those_with_something_behind(name: str) -> None:
    pixels = decode(SOUND[name]).pixels
    assert np.array_equal(decode(SOUND[name] + bytes(500)).pixels, pixels)
    assert np.array_equal(decode(SOUND[name] + b"<html>").pixels, pixels)


# Deep strips have no checksums, the second half of a moving WebP is another frame, a lossless one may find
# its place again.
UNSEEN = {("moving webp", damage) for damage in DAMAGE if damage != "cut off"} | {
    ("lossless webp", "another sector")
}


@pytest.mark.parametrize(
    ("name", "damage"),
    [(n, d) for n in SOUND for d in DAMAGE if n != "deep tiff" and (n, d) not in UNSEEN],
)
def test_damage_is_seen(name: str, damage: str) -> None:
    with pytest.raises(Undecodable) as told:
        decode(DAMAGE[damage](SOUND[name]))
    assert 0 < len(str(told.value)) < 200


@pytest.mark.parametrize("kind", ["baseline", "progressive"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_jpeg_cut_off_and_closed(kind: str, share: float) -> None:
    content = SOUND["jpeg" if kind == "baseline" else "progressive jpeg"]
    with pytest.raises(Undecodable, match="premature end of data segment"):
        decode(content[: int(len(content) * share)] + b"\xff\xd9")


def with_metadata(content: bytes, name: str) -> bytes:
    """Return a JPEG that is as sound as it was, of which libjpeg has something to say."""
    app = b"\xff\xe1\0\x0c" + b"x" * 10
    profile = b"\xff\xe2\0\x24ICC_PROFILE\0\x02\x03" + b"y" * 20
    scan = content.index(b"\xff\xda")
    last = scan + 2 + int.from_bytes(content[scan + 2 : scan + 4]) - 3
    return {
        "JFIF 9": content[:11] + b"\x09" + content[12:],
        "junk": content[:20] + b"JUNK" + app + content[20:],
        "half a profile": content[:20] + profile + content[20:],
        "odd scan": content[:last] + b"\x07" + content[last + 1 :],
        "Adobe 7": content[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x07" + content[20:],
        "filled up": content[:20] + b"\xff\xff\xff" + content[20:],
    }[name]


@pytest.mark.parametrize("name", ["JFIF 9", "junk", "half a profile", "odd scan", "Adobe 7", "filled up"])
@pytest.mark.parametrize("damage", ["zero tail with an end", "a hole", "sent as text"])
def test_metadata_hide_no_damage(name: str, damage: str) -> None:
    sound = with_metadata(SOUND["jpeg"], name)
    assert decode(sound).pixels.shape == (128, 192, 3)
    with pytest.raises(Undecodable, match=r"JPEG|extraneous|marker"):
        decode(DAMAGE[damage](sound))


def test_a_progressive_jpeg_cut_off_between_its_scans() -> None:
    content, scans = SOUND["progressive jpeg"], []
    while (found := content.find(b"\xff\xda", scans[-1] + 1 if scans else 0)) >= 0:
        scans.append(found)
    for at in scans[1:]:
        with pytest.raises(Undecodable, match="its last scans are missing"):
            decode(content[: content.rindex(b"\xff\xc4", 0, at)] + b"\xff\xd9")


def test_flipped_bits_that_libjpeg_warns_of() -> None:
    content, told = SOUND["jpeg"], []
    for at in range(1000, len(content) - 100, 400):
        try:
            decode(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        except Undecodable as error:
            told.append(str(error))
    assert len(told) > 10
    assert all("JPEG" in text for text in told)


def test_small_flat_webps_are_sound() -> None:
    """Their data are a few bytes, which the decoder may have read ahead of."""
    rng = np.random.default_rng(0)
    for side in (1, 2, 7, 16, 50, 130):
        for pixels in (np.zeros((side, side, 3)), rng.integers(0, 255, (side, side, 3))):
            half = pixels.copy()
            half[side // 2 :] = 255
            for one in (pixels, half):
                image = Image.fromarray(one.astype(np.uint8))
                for options in ({"quality": 5}, {"quality": 95}, {"lossless": True}):
                    decode(pillow(image, "WEBP", **options))


def test_damaged_opacity_of_a_webp() -> None:
    rows, columns = np.mgrid[:128, :192]
    for opacity in (rows + columns // 3, (rows - 60) ** 2 + (columns - 80) ** 2 > 2000, NOISE[:, :, 1]):
        for options in ({}, {"method": 0}, {"alpha_quality": 40}, {"method": 6}):
            clear = np.dstack([NOISE, (opacity * (255 if opacity.dtype == bool else 1)).astype(np.uint8)])
            content = pillow(clear, "WEBP", quality=70, **options)
            assert decode(content).transparent
            at = content.index(b"ALPH")
            size = int.from_bytes(content[at + 4 : at + 8], "little")
            if content[at + 8] & 3 == 1 and size > 200:
                zeros = bytes(size - size // 2)
                broken = content[: at + 8 + size // 2] + zeros + content[at + 8 + size :]
                with pytest.raises(Undecodable, match=r"opacity ends|next frame"):
                    decode(broken)


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(
    rows: bytes, *before: bytes, size: tuple[int, int] = (8, 8), bits: int = 8, interlaced: bool = False
) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", size[1], size[0], bits, 0, 0, 0, interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + b"".join(before)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_a_png_that_unpacks_to_less_than_it_says() -> None:
    rows = (b"\0" + bytes(range(1, 9))) * 8
    assert decode(png(rows)).pixels.shape == (8, 8)
    for short in (rows[:-1], rows[:36], b""):
        with pytest.raises(Undecodable, match=r"of 72 bytes of pixels|truncated"):
            decode(png(short))
    black = bytes(72)
    assert not decode(png(black)).pixels.any()


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@pytest.mark.parametrize(("bits", "size"), [(1, (64, 8)), (1, (3, 1)), (8, (224, 3)), (16, (100, 2))])
def test_an_interlaced_png_that_unpacks_to_less_than_it_says(bits: int, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(1 - bits // 8, 1 << bits, size)
    rows = b""
    for left, top, right, down in PASSES:
        for row in pixels[top::down, left::right]:
            packed = np.packbits(row.astype(bool)) if bits == 1 else row.astype(f">u{bits // 8}")
            rows += b"\0" + packed.tobytes() if len(row) else b""
    found = decode(png(rows, size=size, bits=bits, interlaced=True)).pixels
    assert np.array_equal(found, pixels * (255 if bits == 1 else 1))
    needed = size[0] * (1 + (size[1] * bits + 7) // 8)  # of the same pixels without interlacing
    for n in {needed, len(rows) - 1} - {len(rows)}:
        with pytest.raises(Undecodable, match=f"of {len(rows):,} bytes of pixels|truncated"):
            decode(png(rows[:n], size=size, bits=bits, interlaced=True))


@pytest.mark.parametrize("bits", [2, 8])
def test_a_png_with_colours_that_its_palette_lacks(bits: int) -> None:
    image = Image.fromarray(np.array([[0, 1, 2, 3]], np.uint8), "P")
    image.putpalette([value for colour in range(4) for value in (colour * 60, 0, 9)])
    file = io.BytesIO()
    image.save(file, "PNG", bits=bits)
    content = file.getvalue()
    assert decode(content).pixels[0, 3].tolist() == [180, 0, 9]
    start = content.index(b"PLTE") - 4
    size = int.from_bytes(content[start : start + 4])
    palette = b"PLTE" + content[start + 8 : start + 8 + 3 * 3]
    short = content[:start] + len(palette[4:]).to_bytes(4) + palette + zlib.crc32(palette).to_bytes(4)
    with pytest.raises(Undecodable, match="a pixel has colour 3, the palette ends with 2"):
        decode(short + content[start + 12 + size :])


def test_a_png_with_wrong_checksums() -> None:
    rows = (b"\0" + bytes(range(1, 9))) * 8
    content = png(rows, chunk(b"tEXt", b"Title\0x", 5), chunk(b"pHYs", b"?", 1))
    assert decode(content).pixels.shape == (8, 8)
    assert b"tEXt" in content
    broken = bytearray(png(rows))
    broken[-13] ^= 1  # of the checksum of IDAT
    with pytest.raises(Undecodable, match="checksum of its IDAT"):
        decode(bytes(broken))
    with pytest.raises(Undecodable, match="cut off"):
        decode(png(rows)[:-2])


@pytest.mark.parametrize("packed", ["deflate", "lzw", "packbits", None])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_tiff_with_short_or_missing_strips(
    packed: str | None, dtype: type, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (40, 56)).astype(dtype)
    content = tiff(pixels, compression=packed, rowsperstrip=10)
    assert np.array_equal(decode(content).pixels, pixels)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        tag = file.pages.first.tags["StripByteCounts"]
        at, size = tag.valueoffset, {3: 2, 4: 4}[tag.dtype]
    for count in (0, 3):
        broken = bytearray(content)
        broken[at : at + size] = count.to_bytes(size, "little")
        with pytest.raises(Undecodable):
            decode(bytes(broken))
    assert capfd.readouterr().err == ""


def test_a_npy_that_is_cut_off_or_holds_objects() -> None:
    content = npy(np.arange(60, dtype=np.int16).reshape(6, 10))
    assert np.array_equal(decode(content + b"more").pixels, np.arange(60).reshape(6, 10))
    with pytest.raises(Undecodable, match="118 of 120 bytes"):
        decode(content[:-2])
    for what in (
        np.zeros((2, 2), complex),
        np.zeros(5),
        np.zeros((2, 2, 2, 2)),
        np.array([["a"]]),
        np.zeros((0, 3)),
    ):
        with pytest.raises(Undecodable, match="needed is"):
            decode(npy(what))
    file = io.BytesIO()
    np.save(file, np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(Undecodable):
        decode(file.getvalue())


def exif(*entries: tuple[int, int, int, bytes], tail: bytes = b"") -> bytes:
    body = b"".join(struct.pack("<HHI", tag, kind, n) + value for tag, kind, n, value in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4) + tail


SIX = (0x0112, 3, 1, struct.pack("<HH", 6, 0))


@pytest.mark.parametrize(
    ("metadata", "turned"),
    [
        (exif(SIX, (0x011A, 10, 1, struct.pack("<I", 60)), tail=struct.pack("<ii", -1, 0) * 8), True),
        (exif(SIX, (0x011A, 5, 1, struct.pack("<I", 38)), tail=bytes(64)), True),
        (exif(SIX, (0x010F, 2, 4000, struct.pack("<I", 99999))), True),
        (exif(SIX, (0x8769, 4, 1, struct.pack("<I", 999999))), True),
        (exif((0x0112, 3, 1, struct.pack("<HH", 77, 0))), False),
        (b"Exif\0\0" + bytes(range(100)), False),
        (exif(SIX)[:18], False),
    ],
)
def test_broken_metadata_beside_sound_pixels(
    metadata: bytes, turned: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    content = SOUND["jpeg"]
    content = content[:2] + b"\xff\xe1" + struct.pack(">H", len(metadata) + 2) + metadata + content[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = decode(content).pixels
    assert pixels.shape == ((192, 128, 3) if turned else (128, 192, 3))
    assert capfd.readouterr().err == ""


def test_long_and_broken_texts_in_a_png() -> None:
    rows = (b"\0" + bytes(range(1, 9))) * 8
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(8 << 20)))
    profile = chunk(b"iCCP", b"name\0\0not zlib")
    assert decode(png(rows, bomb, profile, chunk(b"tEXt", b"x" * 100_000))).pixels.shape == (8, 8)


@pytest.mark.parametrize("packed", [False, True])
def test_the_orientation_that_imagemagick_writes_into_a_png(packed: bool) -> None:
    rows = (b"\0" + bytes(range(1, 9))) * 4
    raw = exif(SIX)
    text = f"\nexif\n{len(raw):8}\n".encode() + raw.hex().encode() + b"\n"
    keyword = b"Raw profile type exif\0"
    if packed:
        told = chunk(b"zTXt", keyword + b"\0" + zlib.compress(text))
        bomb = chunk(b"zTXt", keyword + b"\0" + zlib.compress(bytes(8 << 20)))
    else:
        told, bomb = chunk(b"tEXt", keyword + text), chunk(b"tEXt", keyword + b"x" * 1_000_000)
    assert decode(png(rows, told, size=(4, 8))).pixels.shape == (8, 4)
    assert decode(png(rows, bomb, size=(4, 8))).pixels.shape == (4, 8)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"


@pytest.mark.parametrize(
    "content",
    [
        POSTSCRIPT,
        b"P6 2 2 255\n" + bytes(12),
        b"\0\0\x01\0\x01\0",
        b"RIFF\x08\0\0\0AVI ",
        b"%PDF-1.7",
        b"\x1f\x8b\x08\0",
    ],
)
def test_other_formats_never_reach_a_decoder(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("all of Pillow was asked"))
    with pytest.raises(Undecodable, match=r"known format: PNG, JPEG, WebP, GIF, TIFF, BMP or \.npy"):
        decode(content)


def tiff_of(height: int, width: int) -> bytes:
    content = bytearray(tiff(np.zeros((4, 4), np.uint8), bigtiff=True))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        for name, side in (("ImageWidth", width), ("ImageLength", height)):
            tag = file.pages.first.tags[name]
            content[tag.offset + 2 : tag.offset + 4] = (4).to_bytes(2, "little")  # a LONG
            content[tag.valueoffset : tag.valueoffset + 4] = side.to_bytes(4, "little")
    return bytes(content)


def npy_of(*shape: int) -> bytes:
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def huge() -> dict[str, bytes]:
    """Small files that say that they have 60,000 x 50,000 pixels, or as many as the format allows."""
    webp = b"WEBPVP8X\x0a\0\0\0\0\0\0\0" + (16382).to_bytes(3, "little") * 2
    sides = struct.pack("<HH", 60000, 50000)
    bmp = struct.pack("<IiiHHIIiiII", 40, 60000, 50000, 1, 24, 0, 0, 0, 0, 0, 0)
    return {
        "png": png(b"", size=(60000, 50000)),
        "webp": b"RIFF" + struct.pack("<I", len(webp)) + webp,
        "npy": npy_of(60000, 50000),
        "gif": b"GIF89a" + sides + bytes(3) + b"\x2c" + bytes(4) + sides + b"\0\x02\x00\x3b",
        "bmp": b"BM" + bytes(12) + bmp + bytes(99),
        "tiff": tiff_of(60000, 50000),
    }


@pytest.mark.parametrize("name", huge())
def test_more_pixels_than_allowed(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Undecodable, match=r"pixels.* are more than 180,000,000; set QUADZOO_MAX_PIXELS"):
            decode(huge()[name])


def test_the_limit_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUADZOO_MAX_PIXELS", str(128 * 192 - 1))
    for name in ("jpeg", "webp", "png", "tiff"):
        with pytest.raises(Undecodable, match="128 x 192 pixels"):
            decode(SOUND[name])
    monkeypatch.setenv("QUADZOO_MAX_PIXELS", str(128 * 192))
    assert decode(SOUND["jpeg"]).pixels.shape == (128, 192, 3)
    with pytest.raises(Undecodable, match="of 12 bytes are more"):
        decode(npy(np.zeros((128, 192, 3), np.float32)))
