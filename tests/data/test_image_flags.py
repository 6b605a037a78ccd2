"""`data check` and `bench` on images of other kinds: what they tell, refuse and train on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

import quadzoo as package
from quadzoo.errors import ConfigError
from quadzoo.records.record import read_records
from tests.conftest import Result
from tests.data.kinds import N, bands, disc, pillow, tiff, write_set

Command = Callable[..., Result]


def check(quadzoo: Command, table: Path, *flags: object) -> str:
    return quadzoo("data", "check", table, "--images", table.parent / "img", *flags).out


def test_check_tells_depth_range_levels_and_bands(tmp_path: Path, quadzoo: Command) -> None:
    deep = write_set(tmp_path / "a", ".tif", lambda r, i: tiff(disc(r, i).astype(np.uint16) * 3))
    assert "1 band; 16 bits: 60 to 660, 41 levels; 60 to 660 become 0 to 1, 0.0% cut off" in check(
        quadzoo, deep
    )
    told = check(quadzoo, deep, "--value-range", "0,90")
    assert "0 to 90 become 0 to 1" in told
    assert "`value_range` 0,90 cuts off" in told.replace("--value-range", "`value_range`")
    five = write_set(tmp_path / "b", ".tif", lambda r, i: tiff(bands(r, i, 5, 5)))
    assert "5 bands; 8 bits: 20 to 220" in check(quadzoo, five)
    assert "2 bands; 8 bits" in check(quadzoo, five, "--bands", "5,1")
    found = json.loads(check(quadzoo, five, "--json"))["pixels"]
    assert found["bands"] == {"5": N}
    assert found["types"] == {"uint8": N}

    clear = write_set(tmp_path / "c", ".png", lambda r, i: pillow(bands(r, i, 4, 4), "PNG"))
    assert "12 images are transparent in parts, and laid on white; `--bands 1,2,3,4`" in check(quadzoo, clear)


def test_check_and_bench_count_pages(tmp_path: Path, quadzoo: Command) -> None:
    def make(radius: float, index: int) -> bytes:
        pages = [disc(radius, index)] * (3 if index in (2, 5) else 1)
        return tiff(np.stack(pages), planarconfig=None)

    table = write_set(tmp_path, ".tif", make)
    assert "2 × image with further pages or frames" in check(quadzoo, table)
    assert "row 4 (p02.tif): 3 pages or frames" in check(quadzoo, table)
    bench = ("bench", "--data", table, "--images", tmp_path / "img", "--targets", "y", "--weights", "none")
    told = quadzoo(*bench, "--backbones", "tiny_cnn", "--dry-run", "--out", tmp_path / "out").err
    assert (
        "warning: 2 × image with further pages or frames, of which only the first is read: row 4 (p02.tif)"
        in told
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--bands", "0"), "numbered from 1"),
        (("--bands", "1,1"), "names a band twice"),
        (("--bands", "a"), "say numbers from 1"),
        (("--bands", ",".join(map(str, range(1, 19)))), "name 1 to 16 bands"),
        (("--value-range", "5"), "two numbers"),
        (("--value-range", "9,3"), "the lower one first"),
        (("--value-range", "0,nan"), "two numbers"),
    ],
)
@pytest.mark.parametrize("command", ["check", "bench"])
def test_flags_that_make_no_sense(
    command: str, flags: tuple[str, str], message: str, tmp_path: Path, quadzoo: Command
) -> None:
    table = write_set(tmp_path, ".tif", lambda r, i: tiff(disc(r, i)))
    words = ("data", "check", table) if command == "check" else ("bench", "--data", table, "--targets", "y")
    found = quadzoo(*words, "--images", tmp_path / "img", *flags)
    assert found.status == 2
    assert message in found.err
    assert len(found.err.splitlines()[-1]) <= 300


def test_a_limit_that_is_no_number(tmp_path: Path, quadzoo: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_set(tmp_path, ".tif", lambda r, i: tiff(disc(r, i)))
    for wrong in ("many", "-5", "0", "9" * 5000):
        monkeypatch.setenv("QUADZOO_MAX_PIXELS", wrong)
        assert "QUADZOO_MAX_PIXELS" in quadzoo("data", "check", table, "--images", tmp_path / "img").error


def half_seen(folder: Path) -> Path:
    """The disc is in the fourth of five floating-point bands, and two of 40 files are cut off."""

    def make(radius: float, index: int) -> bytes:
        content = tiff(bands(radius, index, 5, 4).astype(np.float32) / 4e4, compression="deflate")
        return content[: len(content) // 2] if index in (3, 11) else content

    return write_set(folder, ".tif", make, 40)


def test_floating_point_bands_train_and_are_seen(tmp_path: Path, quadzoo: Command) -> None:
    table = half_seen(tmp_path)
    call = {
        "data": str(table), "images": tmp_path / "img", "targets": ["y"], "backbones": ["tiny_cnn"],
        "weights": "none", "epochs": 25, "augment": "photo", "precision": "32",
    }  # fmt: skip
    with pytest.raises(package.QuadzooError, match=r"row 5: image .*p03\.tif is unreadable"):
        package.bench(**call, out=tmp_path / "none")
    assert not (tmp_path / "none" / "runs").exists()
    board = package.bench(**call, damaged="skip", out=tmp_path / "out")
    (record,) = read_records(tmp_path / "out")
    assert (record.status, record.data.n, record.data.damaged) == ("ok", 38, 2)
    assert (record.image.channels, record.image.dtype) == (5, "float32")
    assert record.image.value_range == pytest.approx((20 / 4e4, 220 / 4e4))
    assert record.identity.key == record.key
    scores = board.to_frame().set_index("backbone")["test_mse"]
    assert scores["tiny_cnn"] < scores["mean-of-train"] / 4
    trained = tmp_path / "out" / "runs" / record.key
    weights = load_file(trained / "model.safetensors")
    assert weights["mean"].reshape(-1)[:3] == pytest.approx([0.485, 0.456, 0.406])  # as the backbone says
    assert 0.05 < weights["mean"].reshape(-1)[4] < 0.15  # noise from 20 to 60, of 20 to 220
    assert weights["std"].reshape(-1)[3] > weights["std"].reshape(-1)[4]  # the disc
    with Image.open(trained / "worst.webp") as worst:
        assert worst.size == (64, 48 * len(record.worst))

    one = package.bench(**call, damaged="skip", bands=[4], value_range=[0, 0.006], out=tmp_path / "one")
    (record,) = read_records(tmp_path / "one")
    assert (record.image.channels, record.image.bands, record.image.value_range) == (1, (4,), (0.0, 0.006))
    assert record.flags["--bands"] == "4"
    assert record.flags["--value-range"] == "0,0.006"
    assert record.flags["--damaged"] == "skip"
    assert one.to_frame().set_index("backbone")["test_mse"]["tiny_cnn"] < scores["mean-of-train"] / 4

    again = {name: call[name] for name in ("data", "images", "targets")}
    tested = package.bench(**again, init=str(trained), epochs=0, damaged="skip", out=tmp_path / "tested")
    assert tested.to_frame()["test_mse"][0] == pytest.approx(scores["tiny_cnn"])


def test_parameters_of_the_api_are_lists() -> None:
    with pytest.raises(ConfigError, match="a list is needed"):
        package.bench(bands=4)


def test_torch_can_take_rows_of_deep_images(tmp_path: Path) -> None:
    from quadzoo.data.datamodule import ArrayFile

    np.save(tmp_path / "a.npy", np.array([0, 257, 65535, 7], np.uint16).reshape(4, 1, 1, 1))
    file = ArrayFile(tmp_path / "a.npy")
    assert file[torch.tensor([1, 2])].flatten().tolist() == pytest.approx([1, 255])
    assert file.to(torch.device("cpu")).dtype == torch.float32
    assert file.nbytes == 16
