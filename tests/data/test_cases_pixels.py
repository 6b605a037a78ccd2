"""Inputs from public reports of bugs; each case's make.py builds its files, expected.md says what must come.

They lie in the folder ``cases`` beside the one that QUADZOO_SHARED_DATA names.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from quadzoo.data.cache import prepare
from quadzoo.data.datamodule import ArrayFile
from quadzoo.data.decoding import Undecodable, decode
from quadzoo.data.sources import DataRequest, open_source
from tests.conftest import Result

Command = Callable[..., Result]
Built = Callable[[str], Path]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Return the folder of a case's files, by the beginning of its name."""
    shared = os.environ.get("QUADZOO_SHARED_DATA")
    cases = Path(shared).parent / "cases" if shared else None
    if cases is None or not cases.is_dir():
        pytest.skip("no folder `cases` beside the one that QUADZOO_SHARED_DATA names")
    made: dict[str, Path] = {}

    def build(number: str) -> Path:
        if number not in made:
            (case,) = cases.glob(f"{number}-*")
            made[number] = tmp_path_factory.mktemp(number)
            subprocess.run([sys.executable, case / "make.py"], cwd=made[number], check=True)
        return made[number]

    return build


def seen(table: Path, images: Path) -> np.ndarray:
    """Return what networks get, float64 (N, H, W, C) from 0 to 1."""
    file = ArrayFile(prepare(open_source(DataRequest(str(table), images, ("y",))), "48x64").file)
    return file[torch.arange(file.shape[0])].double().numpy() / 255


def test_40_deep_grey(built: Built, quadzoo: Command) -> None:
    folder = built("40")
    made = {
        name: seen(folder / "my.csv", folder / name) for name in ("full", "bit12", "depth_mm", "bit10", "dim")
    }
    for name, values in made.items():
        levels = len({level for path in (folder / name).iterdir() for level in np.unique(decoded(path))})
        assert len(np.unique(values)) == levels, name
        assert np.abs(values - made["full"]).max() < (0.01 if name == "dim" else 0.002), name
    told = quadzoo("data", "check", folder / "my.csv", "--images", folder / "depth_mm").out
    assert "16 bits: 94 to 1035, 41 levels; 94 to 1035 become 0 to 1" in told
    colours = seen(folder / "rgb.csv", folder / "rgb12")
    assert colours.shape == (12, 48, 64, 3)
    assert len(np.unique(colours)) == 43


def decoded(path: Path) -> np.ndarray:
    return decode(path.read_bytes()).pixels


@pytest.mark.parametrize("name", ["hu16", "hu32", "neg", "count", "s8"])
def test_41_signed(built: Built, name: str) -> None:
    folder = built("41")
    values = seen(folder / f"{name}.csv", folder / "img")
    stored = np.stack([decoded(path) for path in sorted((folder / "img").glob(f"{name}_*"))]).astype(
        np.float64
    )
    low, high = stored.min(), stored.max()
    assert np.abs(values[..., 0] - (stored - low) / (high - low)).max() < 1e-4
    assert len(np.unique(values)) == len(np.unique(stored)) == 41


@pytest.mark.parametrize(("suffix", "frames"), [("tif", 3), ("gif", 3), ("webp", 3), ("png", 3), ("jpg", 2)])
def test_42_stacks(built: Built, quadzoo: Command, suffix: str, frames: int, tmp_path: Path) -> None:
    folder = built("42")
    bench = ("bench", "--data", folder / f"{suffix}.csv", "--images", folder / "img", "--targets", "y")
    told = quadzoo(*bench, "--backbones", "tiny_cnn", "--weights", "none", "--dry-run", "--out", tmp_path).err
    assert "warning: 12 × image with further pages or frames, of which only the first is read" in told
    assert f"{frames} pages or frames" in told
    stem = quadzoo("data", "check", folder / "stem.csv", "--images", folder / "img")
    assert re.search(r"'a00' could be a00\.gif, a00\.png, a00\.webp; add the suffix", stem.out + stem.err)


@pytest.mark.parametrize(
    ("name", "bands"), [("unspec", 4), ("two", 2), ("five", 5), ("multi", 6), ("u16x4_", 4), ("unassoc", 3)]
)
def test_45_bands(built: Built, quadzoo: Command, name: str, bands: int) -> None:
    folder = built("45")
    assert (
        f"{bands} bands; " in quadzoo("data", "check", folder / f"{name}.csv", "--images", folder / "img").out
    )
    values = seen(folder / f"{name}.csv", folder / "img")
    assert values.shape == (12, 48, 64, bands)
    inside, outside = values[-1, 20:28, 28:36], values[-1, :4, :4]
    assert max(abs(inside[..., band].mean() - outside[..., band].mean()) for band in range(bands)) > 0.4


def test_45_opacity_is_told(built: Built, quadzoo: Command) -> None:
    folder = built("45")
    told = quadzoo("data", "check", folder / "png.csv", "--images", folder / "img").out
    assert "12 images are transparent in parts, and laid on white" in told


def test_46_damaged(built: Built, quadzoo: Command, tmp_path: Path) -> None:
    images = built("46") / "img"
    for path in sorted(images.iterdir()):
        kind, index, suffix = re.fullmatch(r"([a-z]+\d*?)(\d\d)\.(\w+)", path.name).groups()  # type: ignore[union-attr]
        if int(index) > 3:
            continue
        raw = suffix in ("bmp", "tif") and kind not in ("cut", "cut2", "cut40", "cuteoi")  # bare pixels
        silent = suffix == "jpg" and kind in ("flip", "swap")  # where libjpeg may have nothing to say
        if kind in ("good", "trail"):
            assert decoded(path).shape == (288, 384, 3)
        elif not (raw or silent):
            with pytest.raises(Undecodable):
                decoded(path)
    for kind in ("zeros", "zeroseoi", "cuteoi", "ff", "flip", "prog"):
        table = images.parent / f"{kind}.csv"
        found = quadzoo("data", "check", table, "--images", images, "--json")
        assert found.status == 1
        assert f"row 5: image {images}/{kind}03.jpg is unreadable" in found.out
        bench = (
            "bench",
            "--data",
            table,
            "--images",
            images,
            "--targets",
            "y",
            "--weights",
            "none",
            "--out",
            tmp_path,
        )
        bench = (*bench, "--backbones", "tiny_cnn", "--dry-run")
        refused = quadzoo(*bench)
        assert refused.status == 2
        assert f"row 5: image {images}/{kind}03.jpg is unreadable" in refused.error
        assert (
            "2 images cannot be read and are left out: the first is row 5"
            in quadzoo(*bench, "--damaged", "skip").err
        )


def test_47_metadata(built: Built, capfd: pytest.CaptureFixture[str]) -> None:
    images = built("47") / "img"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shapes = {path.name: decoded(path).shape[:2] for path in images.iterdir()}
    upright = {name for name, shape in shapes.items() if shape == (64, 48)}
    assert set(shapes.values()) == {(64, 48), (48, 64)}
    assert {"o6.jpg", "o6.png", "o6.webp", "o6.tif", "o6deep.tif", "xmp.jpg"} <= upright
    assert {
        f"x_{name}.jpg" for name in ("double", "rational6", "rationalu6", "far", "type", "undef", "gps")
    } <= upright
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "size", "odd"),
    [("pano", "168x224", "60x4000"), ("big", "168x224", "4000x3000"), ("smallbig", "48x64", "3000x4000")],
)
def test_49_one_panorama(built: Built, quadzoo: Command, name: str, size: str, odd: str) -> None:
    folder, images = built("49"), "small" if name == "smallbig" else "img"
    told = quadzoo("data", "check", folder / f"{name}.csv", "--images", folder / images).out
    assert re.search(rf"auto`? makes them {size}", told)
    assert f".png): {odd}" in told
    assert "odd size: nearly all images are at most" in told


def test_62_depth_costs_no_accuracy(built: Built, quadzoo: Command) -> None:
    """The images that networks get are the same to the last bit, and so is the split: so are the scores."""
    folder = built("62")
    sets = [
        prepare(open_source(DataRequest(str(folder / "my.csv"), folder / name, ("y",))), "auto")
        for name in ("mm", "stretched")
    ]
    assert np.array_equal(*(np.load(one.file) for one in sets))
    assert np.array_equal(*(one.content_ids for one in sets))
    assert [one.duplicates for one in sets] == [0, 0]
