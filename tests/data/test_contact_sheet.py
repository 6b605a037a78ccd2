from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quadzoo.data.contact_sheet import _spread, contact_sheet
from tests.conftest import Result
from tests.data.kinds import bands, disc, pillow, tiff, write_set

Command = Callable[..., Result]


def test_twelve_images_each_above_its_name() -> None:
    images = [np.full((40, 60, 1), 20 * index, np.uint8) for index in range(12)]
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(images, [f"p{index}" for index in range(12)]))))
    levels = {tuple(colour) for colour in sheet.reshape(-1, 3)[::7].tolist()}
    assert levels >= {(20 * index,) * 3 for index in range(12)}
    assert sheet.shape[0] < sheet.shape[1]
    assert contact_sheet(images[:1], ["a name that is much longer than its image is wide"])


@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "5 bands", "floating point"])
def test_check_shows_any_kind(kind: str, tmp_path: Path, quadzoo: Command) -> None:
    def make(radius: float, index: int) -> bytes:
        grey = disc(radius, index)
        if kind == "8 bits":
            return pillow(grey, "PNG")
        many = bands(radius, index, 5, 1)
        deep = {"16 bits": grey.astype(np.uint16) * 5, "floating point": grey.astype(np.float32) / 1e5}
        return tiff(deep.get(kind, many))

    table = write_set(tmp_path, ".tif" if kind != "8 bits" else ".png", make)
    show = tmp_path / "show.png"
    assert quadzoo("data", "check", table, "--images", tmp_path / "img", "--show", show).status == 0
    sheet = np.asarray(Image.open(show))
    assert np.ptp(sheet[8:100, 8:100, 0]) > 150  # disc and ground can be told apart


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("show.jpg", "ends in .png"),
        ("none/show.png", "folder that exists"),
        ("img/p03.png", "exists, among the images"),
    ],
)
def test_where_a_sheet_cannot_be(name: str, message: str, tmp_path: Path, quadzoo: Command) -> None:
    table = write_set(tmp_path, ".png", lambda radius, index: pillow(disc(radius, index), "PNG"))
    before = (tmp_path / "img" / "p03.png").read_bytes()
    found = quadzoo("data", "check", table, "--images", tmp_path / "img", "--show", tmp_path / name)
    assert found.status == 2
    assert message in found.error
    assert found.error.startswith("quadzoo: error: --show")
    assert (tmp_path / "img" / "p03.png").read_bytes() == before


def test_odd_images_come_first() -> None:
    assert _spread(100, [70, 20, 90, 95]) == [20, 70, 90, 0, 12, 25, 37, 50, 62, 74, 87, 99]
    assert _spread(3, [2]) == [2, 0, 1]
    assert _spread(12) == list(range(12))


@pytest.mark.parametrize("usable", [True, False])
def test_a_sheet_that_cannot_be_drawn_is_told(usable: bool, tmp_path: Path, quadzoo: Command) -> None:
    def make(radius: float, index: int) -> bytes:
        return tiff(bands(radius, index, 4 + index % 2, 1)) if usable else b"no image"

    table = write_set(tmp_path, ".tif", make)
    show = tmp_path / "show.png"
    found = quadzoo("data", "check", table, "--images", tmp_path / "img", "--show", show)
    why = "the images have other bands or values" if usable else "no row has a usable image"
    assert found.status == 1
    assert f"warning  1 × sheet that is not written\n           {show}: {why}\n" in found.out
    assert not show.exists()
