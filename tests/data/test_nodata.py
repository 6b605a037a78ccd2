"""Values that stand for missing pixels are told, and a few hot pixels do not make a set what it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quadzoo.data.decoding import Decoded, decode
from quadzoo.data.geometry import choose_geometry
from quadzoo.data.image_checks import ImageRemark, between, mixture, oddities
from quadzoo.data.survey import Survey, describe
from tests.conftest import Result
from tests.data.kinds import disc, tiff, write_set

Command = Callable[..., Result]
N = 12
RAMP = np.linspace(0, 1, 32 * 48).reshape(32, 48)


def surveyed(images: Iterable[np.ndarray], nodata: float | None = None) -> Survey:
    survey = Survey()
    for image in images:
        survey.add(describe(Decoded(image, "TIFF", "", nodata=nodata)))
    return survey


def told(survey: Survey, code: str) -> list[ImageRemark]:
    geometry = choose_geometry(survey, (32, 48), "letterbox")
    return [one for one in oddities(survey, geometry) if one.code == code]


def scenes(dtype: str, low: float, high: float) -> list[np.ndarray]:
    return [(low + (high - low) * np.roll(RAMP, 5 * i, 1)).astype(dtype) for i in range(N)]


def spoiled(images: list[np.ndarray], value: float, rows: int, which: Iterable[int]) -> list[np.ndarray]:
    for index in which:
        images[index][:rows] = value
    return images


@pytest.mark.parametrize(
    ("dtype", "low", "high", "value"),
    [
        ("float32", 0, 0.3, -9999),
        ("float32", -1, 1, -3.4e38),
        ("float32", 270, 310, 1e20),
        ("uint16", 0, 3000, 65535),
        ("uint16", 2700, 3100, 0),
        ("int16", -50, 3000, -32768),
        ("int32", 0, 9000, -99999),
    ],
)
@pytest.mark.parametrize("which", [range(N), [3]])
def test_a_value_alone_at_an_end_is_told(
    dtype: str, low: float, high: float, value: float, which: Iterable[int]
) -> None:
    (found,) = told(surveyed(spoiled(scenes(dtype, low, high), value, 3, which)), "no-data")
    share = 3 / 32 * len(list(which)) / N
    assert f"value {np.dtype(dtype).type(value):.9g} may stand for missing pixels" in found.text
    assert f"{share:.2%} of all, in {len(list(which))} of 12 images" in found.text
    first, last = found.text.split("`value_range` ")[1].split(" these")[0].split(",")
    assert low <= float(first) < float(last) <= high * 1.001
    assert len(found.text) < 250
    assert list(found.images) == [next(iter(which))]


def test_values_alone_at_both_ends() -> None:
    images = spoiled(scenes("float32", 0, 3000), -9999, 2, [1, 2])
    images[5][-2:] = 65535
    found = told(surveyed(images), "no-data")
    assert [one.text.split(" may")[0] for one in found] == ["value -9999", "value 65535"]
    assert all("`value_range` 0,3000 " in one.text for one in found)


@pytest.mark.parametrize(
    "images",
    [
        scenes("uint16", 0, 65535),
        scenes("float32", -1, 1),
        [(0.02 * i < RAMP).astype(np.int32) for i in range(1, N)],  # masks
        [np.full((8, 8), 7, np.uint16)] * 3,
        [np.full((8, 8), i * i, np.uint16) for i in range(9)],
        spoiled(scenes("uint16", 500, 1000), 0, 3, [2]),
        [disc(9, i).astype(np.float32) for i in range(5)],  # of one colour
        [np.arange(10_000, dtype=np.uint16).reshape(100, 100)] * 3,
        spoiled(scenes("uint8", 0, 50), 255, 3, range(N)),
    ],
)
def test_other_values_are_not_told(images: list[np.ndarray]) -> None:
    assert not told(surveyed(images), "no-data")


def test_one_hot_pixel_is_not_missing_data() -> None:
    images = [np.tile(image, (3, 3)) for image in scenes("uint16", 0, 3000)]
    images[0][5, 5] = 65535
    assert not told(surveyed(images), "no-data")


def test_what_a_geotiff_declares() -> None:
    pixels = scenes("uint16", 500, 1000)[0]
    pixels[:4] = 700
    decoded = decode(tiff(pixels, extratags=[(42113, "s", 0, "700", True)]))
    assert decoded.nodata == 700
    (found,) = told(surveyed([pixels, pixels], 700), "no-data")
    assert "value 700 is declared as no data, and is read as a value: 12." in found.text
    (lowest,) = told(surveyed(spoiled(scenes("uint16", 500, 1000), 400, 3, [1]), 400), "no-data")
    assert "value 400 is declared" in lowest.text
    assert "`value_range` 500,1000 these alone" in lowest.text
    assert decode(tiff(pixels, extratags=[(42113, "s", 0, "nothing", True)])).nodata is None
    assert decode(tiff(pixels, extratags=[(42113, "s", 0, "nan", True)])).nodata is None
    assert not told(surveyed([pixels, pixels], 123), "no-data")


def declaring(value: float) -> dict[str, Any]:
    return {"extratags": [(42113, "s", 0, str(value), True)]}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "lzw"},
        {"photometric": "miniswhite"},
        {"compression": "jpeg"},
        {"photometric": "rgb"},
    ],
    ids=str,
)
@pytest.mark.parametrize("value", [0, 255, 130])
def test_what_a_geotiff_of_eight_bits_declares(options: dict[str, Any], value: int) -> None:
    survey = Survey()
    for index, image in enumerate(spoiled(scenes("uint8", 60, 200), value, 8, [2, 5])):
        stored = 255 - image if options.get("photometric") == "miniswhite" else image
        declared = 255 - value if options.get("photometric") == "miniswhite" else value
        stored = np.stack([stored, image, image // 2], 2) if "rgb" in options.values() else stored
        decoded = decode(tiff(stored, **declaring(declared), **options), (1,))
        assert decoded.nodata == value
        survey.add(describe(decoded))
        assert not survey.ends.stand_ins or index >= 2 or value == 130
    (found,) = told(survey, "no-data")
    assert f"value {value} is declared as no data, and is read as a value: " in found.text
    assert ("`value_range`" in found.text) == (value != 130)
    if value != 130 and options.get("compression") != "jpeg":
        assert "in 2 of 12 images; the others lie in 60 to 200; with `value_range` 60,200 these" in found.text


def test_no_value_of_eight_bits_is_told_that_is_not_there_or_not_declared() -> None:
    images = spoiled(scenes("uint8", 0, 50), 255, 3, range(N))
    for declared in (99, -9999, 0.5, 1e30):
        assert not told(surveyed(images, declared), "no-data")
    (found,) = told(surveyed([np.zeros((8, 8), np.uint8)] * 3, 0), "no-data")
    assert found.text.endswith("100.00% of all, in 3 of 3 images, and no other is there")
    palette = np.array([[0, 40], [0, 7]], np.uint8)
    content = tiff(palette, photometric="palette", colormap=np.zeros((3, 256), np.uint16), **declaring(0))
    assert decode(content).nodata is None
    assert decode(tiff(palette > 0, **declaring(1))).nodata is None


def test_eight_bits_and_twelve_are_mixed_in_spite_of_a_hot_pixel() -> None:
    twelve, eight = scenes("uint16", 0, 4095), scenes("uint8", 0, 255)
    twelve[0][5, 5] = 65535
    twelve[1][:] = 65535
    found = mixture(surveyed([*twelve, *eight]), ranged=False)
    assert found
    assert found.code == "mixed-depths"
    assert mixture(surveyed([*scenes("uint16", 0, 65535), *eight]), ranged=False) is None


def test_ranges_that_are_named_can_be_said() -> None:
    blank = surveyed([np.full((8, 8), 1000, np.uint16)] * 5)
    assert not [one for one in told(blank, "narrow-values") if "`value_range`" in one.text]
    images = [np.full((32, 32), 1000, np.uint16) for _ in range(5)]
    images[0][0, :2] = 9000, 0
    (few,) = told(surveyed(images), "narrow-values")
    assert "nearly all values are 1000, and 0 to 9000 become 0 to 1" in few.text
    assert between(1_000_000.25, 1_000_000.5) == "1000000.25,1000000.5"
    assert between(0.1, 0.25) == "0.1,0.25"


@pytest.mark.parametrize("command", ["check", "bench"])
def test_check_and_bench_tell(command: str, tmp_path: Path, quadzoo: Command) -> None:
    def make(radius: float, index: int) -> bytes:
        pixels = disc(radius, index).astype(np.float32) / 1000
        pixels[:3] = -9999 if index == 4 else pixels[:3]
        return tiff(pixels)

    table = write_set(tmp_path, ".tif", make)
    images = ("--images", tmp_path / "img")
    if command == "check":
        found = quadzoo("data", "check", table, *images).out
    else:
        bench = ("bench", "--data", table, *images, "--targets", "y", "--backbones", "tiny_cnn")
        found = quadzoo(*bench, "--weights", "none", "--dry-run", "--out", tmp_path / "out").err
    text = " ".join(found.split())
    assert "value -9999 may stand for missing pixels, and is read as a value: 0.78% of all, in 1" in text
    assert "with --value-range 0.02,0.22 these alone become 0 to 1, and it looks" in text
    assert "row 6 (p04.tif)" in text
