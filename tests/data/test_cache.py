from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from quadzoo.data.cache import Pictures, parse_image_size, prepare
from quadzoo.data.sources import DataRequest, open_source
from quadzoo.errors import ConfigError, DataError

Prepare = Callable[..., Pictures]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path


def prepared(folder: Path, image_size: str = "auto") -> Pictures:
    names = sorted(path.name for path in (folder / "photos").iterdir())
    (folder / "t.csv").write_text("id,y\n" + "".join(f"{name},{i}\n" for i, name in enumerate(names)))
    return prepare(open_source(DataRequest(str(folder / "t.csv"), folder / "photos", ("y",))), image_size)


def save(folder: Path, name: str, picture: np.ndarray) -> None:
    assert cv2.imwrite(str(folder / "photos" / name), picture)


def test_common_border_is_cut_without_loss(folder: Path) -> None:
    for index in range(3):
        picture = np.full((100, 300), 250, np.uint8)
        picture[40 + index : 60, 50 : 200 + index] = 7
        save(folder, f"{index}.png", picture)
    result = prepared(folder)
    geometry = result.geometry
    assert (geometry.size, geometry.channels, geometry.fill) == ((32, 152), 1, (250, 250, 250))
    array = np.load(result.file)
    assert array.shape == (3, 32, 152, 1)
    for index in range(3):
        assert (array[index] == 7).sum() == (20 - index) * (150 + index)
        assert set(np.unique(array[index])) == {7, 250}


def test_mixed_sizes_keep_their_aspect(folder: Path) -> None:
    for name, (height, width) in {"tall.png": (80, 40), "wide.png": (20, 60), "small.png": (10, 10)}.items():
        picture = np.full((height, width, 3), 30, np.uint8)
        cv2.circle(picture, (width // 2, height // 2), min(height, width) // 2 - 2, (200, 0, 100), -1)
        save(folder, name, picture)
    result = prepared(folder, "40x40")
    array = np.load(result.file)
    assert array.shape == (3, 40, 40, 3)
    for picture in array:
        ink = (picture == (100, 0, 200)).all(axis=2)  # RGB, as written BGR
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        assert abs((rows[-1] - rows[0]) - (columns[-1] - columns[0])) <= 1  # a circle stays round
    assert prepared(folder).geometry.size == (80, 64)


def test_large_pictures_are_scaled_to_the_cap(folder: Path) -> None:
    rng = np.random.default_rng(0)
    save(folder, "a.png", rng.integers(0, 255, (600, 900, 3), dtype=np.uint8))
    save(folder, "b.png", rng.integers(0, 255, (600, 900, 3), dtype=np.uint8))
    assert prepared(folder).geometry.size == (152, 224)


def test_kinds_of_pictures(folder: Path) -> None:
    half_clear = np.zeros((32, 32, 4), np.uint8)
    half_clear[:, :16, 3] = 255  # left black, right transparent
    save(folder, "alpha.png", half_clear)
    save(folder, "deep.png", np.full((32, 32), 65535 // 2, np.uint16))
    Image.fromarray(np.full((32, 32), 77, np.uint8)).convert("P").save(folder / "photos" / "palette.png")
    Image.fromarray(np.full((32, 32), 50, np.uint8)).save(folder / "photos" / "t.tiff")
    Image.fromarray(np.full((32, 32), 60, np.uint8)).save(folder / "photos" / "w.webp", lossless=True)
    array = np.load(prepared(folder, "32").file)[..., 0]
    assert np.unique(array[0, :, :16]).tolist() == [0]
    assert np.unique(array[0, :, 16:]).tolist() == [255]
    assert [int(np.median(picture)) for picture in array[1:]] == [127, 77, 50, 60]


def test_camera_rotation_is_heeded(folder: Path) -> None:
    picture = Image.new("RGB", (64, 32), "white")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    picture.save(folder / "photos" / "phone.jpg", exif=exif)
    Image.new("RGB", (32, 64), "black").save(folder / "photos" / "upright.png")
    assert prepared(folder).geometry.size == (64, 32)


def test_identical_pixels_are_counted_whatever_the_file(folder: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)
    save(folder, "a.png", picture)
    save(folder, "b.bmp", picture)
    save(folder, "c.png", cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    save(folder, "d.png", 255 - picture)
    result = prepared(folder)
    assert result.duplicates == 2
    assert result.pixels[0] == result.pixels[1] == result.pixels[2] != result.pixels[3]
    assert result.geometry.channels == 1


def test_cached_by_content(folder: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.zeros((32, 32), np.uint8)
    picture[5:20, 5:20] = 200
    save(folder, "a.png", picture)
    save(folder, "b.png", picture.T[::-1].copy())
    first = prepared(folder)
    decodes: list[object] = []
    original = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *a: (decodes.append(a), original(*a))[1])
    assert prepared(folder).file == first.file
    assert not decodes
    save(folder, "b.png", 255 - picture)
    changed = prepared(folder)
    assert decodes
    assert changed.file != first.file
    assert changed.hash != first.hash
    assert not list(cache_folder.rglob("*.partial"))


def test_hash_depends_on_targets_not_on_place(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    save(folder, "a.png", np.eye(32, dtype=np.uint8))
    other = tmp_path_factory.mktemp("other")
    (other / "photos").mkdir()
    save(other, "a.png", np.eye(32, dtype=np.uint8))
    assert prepared(folder).hash == prepared(other).hash
    (other / "t.csv").write_text("id,y\na,5\n")
    source = open_source(DataRequest(str(other / "t.csv"), other / "photos", ("y",)))
    assert prepare(source, "auto").hash != prepared(other).hash


@pytest.mark.parametrize("content", [b"", b"GIF89a nonsense", b"\x89PNG\r\n\x1a\n broken"])
def test_unreadable_picture_names_file_and_row(folder: Path, cache_folder: Path, content: bytes) -> None:
    save(folder, "a.png", np.zeros((32, 32), np.uint8))
    (folder / "photos" / "b.png").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.csv: row 3: picture .*b\.png is unreadable"):
        prepared(folder)


def test_cut_off_jpeg_is_unreadable(folder: Path) -> None:
    save(folder, "a.jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    whole = (folder / "photos" / "a.jpg").read_bytes()
    (folder / "photos" / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"row 2: picture .*a\.jpg is unreadable"):
        prepared(folder)


@pytest.mark.parametrize(
    ("text", "size"), [("auto", None), ("224", (224, 224)), ("32x200", (32, 200)), ("32X64", (32, 64))]
)
def test_image_size(text: str, size: tuple[int, int] | None) -> None:
    assert parse_image_size(text) == size


@pytest.mark.parametrize("text", ["", "3", "x", "32x", "1x2x3", "-8", "99999", "8.5", "3²"])
def test_bad_image_size(text: str) -> None:
    with pytest.raises(ConfigError, match="--image-size"):
        parse_image_size(text)


def test_published_pictures(published: Path) -> None:
    result = prepare(open_source(DataRequest(str(published))), "auto")
    assert result.duplicates == 161
    assert result.geometry.size == (32, 200)
    assert result.geometry.channels == 1
    # lossless: the ink that facts about the data promise, grey level by grey level
    first = cv2.imread(str(published / "Images of Equations" / "eqn_0000.png"), cv2.IMREAD_GRAYSCALE)
    top, left, bottom, right = result.geometry.crop or (0, 0, 0, 0)
    assert np.array_equal(np.load(result.file, mmap_mode="r")[0, :, :, 0], first[top:bottom, left:right])
