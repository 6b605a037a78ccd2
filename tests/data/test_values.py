"""Deep, signed and floating-point pixels keep their values, and any number of bands is kept."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from quadzoo.data.cache import prepare
from quadzoo.data.datamodule import ArrayFile
from quadzoo.data.decoding import Decoded, Undecodable, decode
from quadzoo.data.geometry import Geometry, choose_geometry, fit, viewable
from quadzoo.data.reading import Reading
from quadzoo.data.sources import DataRequest, Source, open_source
from quadzoo.data.survey import Survey, describe
from quadzoo.errors import DataError
from tests.data.kinds import N, bands, disc, npy, pillow, tiff, write_set

RAMP = np.arange(32 * 48).reshape(32, 48)


def surveyed(*images: np.ndarray) -> Survey:
    survey = Survey()
    for image in images:
        survey.add(describe(Decoded(image, "TIFF", ""), closely=True))
    return survey


def source_of(table: Path) -> Source:
    return open_source(DataRequest(str(table), table.parent / "img", ("y",)))


def seen(table: Path, reading: Reading = Reading()) -> np.ndarray:  # noqa: B008  # it is frozen
    """Return what networks get of a set of 32x48 images, float64 (N, H, W, C) from 0 to 1."""
    file = ArrayFile(prepare(source_of(table), "32x48", reading=reading).file)
    return file[torch.arange(file.shape[0])].double().numpy() / 255


@pytest.mark.parametrize(
    "pixels",
    [
        RAMP.astype(np.uint16),
        (RAMP * 40).astype(np.uint16),
        (RAMP - 700).astype(np.int16),
        (RAMP % 256 - 128).astype(np.int8),
        RAMP.astype(np.uint32) * 1000 + 4_000_000_000,
        RAMP.astype(np.int32) * -7,
        RAMP.astype(np.float32) * 1e-5,
        RAMP.astype(np.float64) - 1e6,
        (RAMP % 100).astype(np.float16) / 100,
        RAMP.astype(np.int64) + 2**40,
    ],
    ids=lambda pixels: str(pixels.dtype),
)
@pytest.mark.parametrize("save", [tiff, npy])
def test_every_level_reaches_the_network_in_order(
    pixels: np.ndarray, save: Callable[[np.ndarray], bytes]
) -> None:
    decoded = decode(save(pixels)).pixels
    assert np.array_equal(decoded, pixels)
    survey = surveyed(decoded)
    assert survey.levels == len(np.unique(pixels))
    geometry = choose_geometry(survey, (32, 48), "letterbox")
    made = fit(decoded, geometry)[:, :, 0].astype(np.float64) / (65535 if geometry.dtype == "uint16" else 255)
    low, high = float(pixels.min()), float(pixels.max())
    assert (made.min(), made.max()) == (0, 1)
    assert np.abs(made - (pixels.astype(np.float64) - low) / (high - low)).max() < 1e-5
    assert len(np.unique(made)) == len(np.unique(pixels))


def test_eight_bits_stay_as_they_are_whatever_they_use() -> None:
    dark = (RAMP % 50 + 20).astype(np.uint8)
    geometry = choose_geometry(surveyed(dark), (32, 48), "letterbox")
    assert geometry == Geometry((32, 48), 1, (0, 0, 32, 48), 1.0, (20, 20, 20))
    assert np.array_equal(fit(dark, geometry)[:, :, 0], dark)


def test_one_range_for_the_whole_set() -> None:
    images = [(RAMP + start).astype(np.uint16) for start in (500, 1000, 3000)]
    geometry = choose_geometry(surveyed(*images), (32, 48), "letterbox")
    assert (geometry.value_range, geometry.dtype) == ((500.0, 4535.0), "uint16")
    lows = [fit(image, geometry).min() / 65535 for image in images]
    assert lows == pytest.approx([0, 500 / 4035, 2500 / 4035], abs=1e-5)


def test_a_range_of_ones_own_cuts_off_and_tells() -> None:
    survey = Survey()
    survey.add(describe(Decoded(RAMP.astype(np.uint16), "TIFF", ""), (100, 611)))
    assert survey.clipped == pytest.approx(2 / 3, abs=1e-3)
    made = fit(RAMP.astype(np.uint16), choose_geometry(survey, (32, 48), "letterbox", value_range=(100, 611)))
    assert made[0, 47, 0] == 0
    assert made[-1, 0, 0] == 65535
    assert made[2, 10, 0] == round((2 * 48 + 10 - 100) / 511 * 65535)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 16])
@pytest.mark.parametrize("size", [(20, 30), (64, 96)])
def test_any_number_of_bands_is_scaled_like_one(n: int, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (32, 48, n)).astype(np.uint16)
    pixels = pixels[:, :, 0] if n == 1 else pixels
    geometry = choose_geometry(surveyed(pixels), size, "stretch")
    made = fit(pixels, geometry)
    assert made.shape == (*size, n)
    for band in range(n):
        one = fit(pixels.reshape(32, 48, n)[:, :, band], Geometry(**{**geometry.__dict__, "channels": 1}))
        assert np.abs(made[:, :, band].astype(int) - one[:, :, 0]).max() <= 1


def test_the_border_of_deep_images_is_cut_and_the_canvas_is_filled_with_it() -> None:
    images = [np.full((40, 60), 900, np.uint16) for _ in range(3)]
    for index, image in enumerate(images):
        image[10 : 20 + index, 10:50] = 1500 + index
    geometry = choose_geometry(surveyed(*images), (64, 64), "letterbox")
    assert geometry.crop == (10, 10, 22, 50)
    made = fit(images[0], geometry)
    assert made[0, 0, 0] == 0  # 900, the low end
    mixed = [*images, np.full((40, 61), 900, np.uint16)]
    assert choose_geometry(surveyed(*mixed), (64, 64), "letterbox").fill == (900.0, 900.0, 900.0)


def test_bands_are_chosen_and_put_in_order() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 9, 5)).astype(np.uint8)
    content = tiff(pixels)
    assert np.array_equal(decode(content, (5, 1, 3)).pixels, pixels[:, :, [4, 0, 2]])
    assert np.array_equal(decode(content, (2,)).pixels, pixels[:, :, 1])
    with pytest.raises(Undecodable, match="`bands` 6: it has 5 bands"):
        decode(content, (6,))
    rgba = pillow(pixels[:, :, :4].copy(), "PNG")
    assert np.array_equal(decode(rgba, (4, 3, 2, 1)).pixels, pixels[:, :, [3, 2, 1, 0]])
    assert decode(rgba).transparent
    assert decode(rgba).pixels.shape == (8, 9, 3)
    grey = pillow(pixels[:, :, 0].copy(), "PNG")
    assert np.array_equal(decode(grey, (1,)).pixels, pixels[:, :, 0])
    equal = np.repeat(pixels[:, :, :1], 3, axis=2)
    assert decode(pillow(equal, "PNG")).pixels.shape == (8, 9)
    assert decode(pillow(equal, "PNG"), (1, 2, 3)).pixels.shape == (8, 9, 3)


@pytest.mark.parametrize("n", [2, 4, 5, 16])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("packed", [None, "lzw", "deflate"])
def test_bands_of_tiffs(n: int, dtype: type, packed: str | None) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 24, n)).astype(dtype)
    for options in ({}, {"tile": (16, 16)}, {"rowsperstrip": 7}):
        assert np.array_equal(decode(tiff(pixels, compression=packed, **options)).pixels, pixels)
    planes = np.moveaxis(pixels, 2, 0)
    assert np.array_equal(decode(tiff(planes, compression=packed, planarconfig="separate")).pixels, pixels)


def test_a_fourth_band_that_is_not_declared_as_opacity_is_a_band() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 24, 4)).astype(np.uint8)
    content = tiff(pixels, photometric="rgb", extrasamples=["unspecified"])
    assert np.array_equal(decode(content).pixels, pixels)
    declared = decode(tiff(pixels, photometric="rgb", extrasamples=["unassalpha"]))
    assert declared.transparent
    assert declared.pixels.shape == (20, 24, 3)
    deep = pixels.astype(np.uint16) * 257
    laid = decode(tiff(deep, photometric="rgb", extrasamples=["unassalpha"])).pixels
    assert np.abs(laid.astype(int) // 257 - declared.pixels).max() <= 1


def test_seventeen_bands_are_too_many_unless_some_are_chosen() -> None:
    content = tiff(np.zeros((8, 9, 17), np.uint8))
    with pytest.raises(Undecodable, match="17 bands; 1 to 16 can be read: choose some with `bands`"):
        decode(content)
    assert decode(content, (17, 1)).pixels.shape == (8, 9, 2)


def test_pages_and_frames_are_counted() -> None:
    grey, other = disc(5), disc(9, 1)
    others = [Image.fromarray(other // step) for step in (1, 2, 3)]
    more = {"save_all": True, "append_images": others}
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        decoded = decode(pillow(grey, kind, **more, **options))
        assert decoded.frames == 4, kind
        assert np.array_equal(decoded.pixels, grey), kind
    assert decode(pillow(grey, "MPO", **more)).frames == 4
    assert decode(tiff(np.stack([grey.astype(np.uint16)] * 3), planarconfig=None)).frames == 3
    assert (
        decode(
            tiff(np.stack([grey.astype(np.uint16)] * 5), imagej=True, photometric=None, planarconfig=None)
        ).frames
        == 5
    )


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_deep_images_are_turned_upright(orientation: int) -> None:
    content = tiff(RAMP.astype(np.uint16), extratags=[(274, "H", 1, orientation, True)])
    turns = {1: 0, 3: 2, 6: -1, 8: 1}[orientation]
    assert np.array_equal(decode(content).pixels, np.rot90(RAMP, turns))


def test_a_scene_looks_alike_at_every_depth(tmp_path: Path) -> None:
    made = {}
    for name, dtype, factor, start in (
        ("mm", np.uint16, 1, 500), ("stretched", np.uint16, 50, 0), ("signed", np.int16, 3, -900),
        ("wide", np.int32, 1000, -5), ("metres", np.float32, 0.001, 0),
    ):  # fmt: skip

        def make(
            radius: float, index: int, dtype: type = dtype, factor: float = factor, start: int = start
        ) -> bytes:
            return tiff((disc(radius, index).astype(np.float64) * factor + start).astype(dtype))

        table = write_set(tmp_path / name, ".tif", make)
        made[name] = seen(table)
        ids = prepare(source_of(table), "32x48").content_ids
        assert ids.tolist() == list(range(N)), "the same scenes have the same split"
    for name, values in made.items():
        assert np.abs(values - made["mm"]).max() < 2e-5, name
    assert len(np.unique(made["mm"])) > 40


def test_sets_that_do_not_belong_together(tmp_path: Path) -> None:
    def mixed(radius: float, index: int) -> bytes:
        return tiff(bands(radius, index, 5 if index == 3 else 4, 1))

    with pytest.raises(DataError) as told:
        prepare(source_of(write_set(tmp_path / "a", ".tif", mixed)), "32")
    assert "11 of 4 bands, 1 of 5 bands; choose the same with `bands`" in str(told.value)
    assert "row 5 (p03.tif) has 5 bands" in str(told.value)
    table = tmp_path / "a" / "t.csv"
    assert seen(table, Reading(bands=(4, 1))).shape == (N, 32, 48, 2)

    def depths(radius: float, index: int) -> bytes:
        return tiff(disc(radius, index).astype(np.uint16 if index == 3 else np.uint8))

    table = write_set(tmp_path / "b", ".tif", depths)
    with pytest.raises(
        DataError, match="11 of 8-bit values, 1 of integer values; save all alike, or say with `value_r"
    ):
        prepare(source_of(table), "32")
    assert seen(table, Reading(value_range=(0, 255))).shape == (N, 32, 48, 1)

    def full(radius: float, index: int) -> bytes:
        grey = disc(radius, index)
        grey[0, 0] = 250
        return tiff(grey.astype(np.uint16) * 257 if index % 2 else grey)

    values = seen(write_set(tmp_path / "d", ".tif", full))  # the usual white of each
    assert np.abs(values[0, 0, 0] - 250 / 255).max() == np.abs(values[1, 0, 0] - 250 / 255).max() < 1e-6

    def colours(radius: float, index: int) -> bytes:
        grey = disc(radius, index).astype(np.uint16) * 16
        return tiff(np.dstack([grey, grey, grey // 2]), photometric="rgb") if index % 2 else tiff(grey)

    assert seen(write_set(tmp_path / "c", ".tif", colours)).shape == (N, 32, 48, 3)


def test_damaged_images_are_left_out_on_request(tmp_path: Path) -> None:
    def make(radius: float, index: int) -> bytes:
        content = pillow(disc(radius, index), "JPEG", quality=95)
        return content[: len(content) // 2] + b"\xff\xd9" if index in (3, 7) else content

    table = write_set(tmp_path / "a", ".jpg", make)
    with pytest.raises(DataError, match=r"row 5: image .*p03\.jpg is unreadable \(Corrupt JPEG data"):
        prepare(source_of(table), "32")
    skip = Reading(damaged="skip")
    source = source_of(table)
    for _ in range(2):  # decoded, and from the cache
        images = prepare(source, "32", reading=skip)
        assert images.left_out == (3, 7)
        assert len(images.digests) == len(ArrayFile(images.file)[torch.arange(10)]) == N - 2
    for name in ("p03.jpg", "p07.jpg"):
        text = table.read_text().splitlines(keepends=True)
        table.write_text("".join(line for line in text if not line.startswith(name)))
    assert prepare(source_of(table), "32").hash == images.hash
    with pytest.raises(DataError, match="no image can be read"):
        prepare(source_of(write_set(tmp_path / "b", ".jpg", lambda *_: b"\xff\xd8\xff")), "32", reading=skip)


def test_what_people_see() -> None:
    deep = (RAMP * 2 + 700).astype(np.uint16)
    geometry = choose_geometry(surveyed(deep), (32, 48), "letterbox")
    shown = viewable(deep, geometry)
    assert (shown.dtype, shown.shape, shown.min(), shown.max()) == (np.uint8, (32, 48), 0, 255)
    assert viewable(np.zeros((4, 4, 2), np.float32)).shape == (4, 4)
    assert viewable(np.zeros((4, 4, 7), np.float32)).shape == (4, 4, 3)
    image = np.zeros((4, 4, 3), np.uint8)
    assert viewable(image) is image or np.array_equal(viewable(image), image)


def sizes(*shapes: tuple[int, int]) -> Geometry:
    return choose_geometry(surveyed(*(np.eye(*shape, dtype=np.uint8) for shape in shapes)), None, "letterbox")


def test_one_odd_image_does_not_set_the_size() -> None:
    ordinary = [(192, 256)] * 30
    assert sizes(*ordinary).size == sizes(*ordinary, (60, 4000)).size == (168, 224)
    assert sizes(*ordinary, (4000, 3000)).size == sizes(*ordinary, (60, 4000), (3000, 90)).size == (168, 224)
    small = [(48, 64)] * 30
    assert sizes(*small, (3000, 4000)).size == (48, 64)
    assert sizes(*small, (3000, 4000)).max_scale == 1.0
    assert sizes(*[(8, 8)] * 30, (600, 800)).size == (64, 64)
    assert sizes((48, 64), (48, 64), (50, 60), (48, 64), (60, 4000)).size == (64, 64)  # of five, too
    odd = fit(np.full((60, 4000), 200, np.uint8), sizes(*ordinary, (60, 4000)))
    assert (odd > 100).any(axis=0).all()  # all of it is there, small


def test_ordinary_variety_is_kept() -> None:
    rng = np.random.default_rng(0)
    varied = [(int(h), int(w)) for h, w in rng.integers(100, 180, (40, 2))]
    assert sizes(*varied).size == tuple(8 * -(-max(side) // 8) for side in zip(*varied, strict=True))
    turned = [(150, 200)] * 20 + [(200, 150)] * 3
    assert sizes(*turned).size == (200, 200)


def test_a_range_that_few_values_use_is_told(tmp_path: Path) -> None:
    def make(radius: float, index: int) -> bytes:
        pixels = disc(radius, index).astype(np.uint16) + 500
        pixels[0, 0] = 65535  # what a sensor gives where it sees nothing
        return tiff(pixels)

    (remark,) = prepare(source_of(write_set(tmp_path, ".tif", make)), "32").remarks
    assert "520 to 65535 become 0 to 1, nearly all lie in 520 to 720" in remark


def test_the_spool_keeps_every_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [
        np.uint8,
        np.int8,
        np.uint16,
        np.int16,
        np.uint32,
        np.int32,
        np.float32,
        np.float64,
        np.int64,
        np.uint64,
    ]

    def make(radius: float, index: int) -> bytes:
        return npy(bands(radius, index, 5, 2).astype(kinds[index]))

    from quadzoo.data.reading import ImageReader

    table = write_set(tmp_path, ".npy", make, len(kinds))
    with ImageReader(source_of(table)) as reader:
        reader.survey(lambda _: None)
        for index, kind in enumerate(kinds):
            found = reader.pixels(index)
            assert found.dtype == kind
            assert np.array_equal(
                found, np.load(io.BytesIO((tmp_path / "img" / f"p{index:02d}.npy").read_bytes()))
            )


def test_opencv_gives_bands_of_its_own_deep_png() -> None:
    content = cv2.imencode(".png", (bands(5, 0, 4, 4).astype(np.uint16) * 257))[1].tobytes()
    assert np.array_equal(decode(content, (4,)).pixels, disc(5, 0).astype(np.uint16) * 257)
