"""The data sets of benchmarks/suite: built from photographs that are drawn here, without a download."""

from __future__ import annotations

import csv
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from quadzoo.grid.config import BenchConfig

SUITE = Path(__file__).parents[2] / "benchmarks" / "suite"
sys.path.append(str(SUITE))

import make  # noqa: E402
import sets  # noqa: E402
import small  # noqa: E402
import sources  # noqa: E402


def photo(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (50, 60, 3), np.uint8)
    return cv2.resize(noise, (300, 250))


def detail(image: np.ndarray) -> float:
    return float(np.abs(cv2.Laplacian(image, cv2.CV_32F)).mean())


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take drawn photographs in the place of those that packages ship."""
    truth = np.full((250, 300), 100, np.uint8)
    truth[:64, :64] = 0
    files = {file.name: file for file in sources.files()}
    monkeypatch.setattr(
        sources, "fetch", lambda wanted, cache: {file.name: Path(file.name) for file in wanted}
    )
    monkeypatch.setattr(
        sources,
        "read",
        lambda path, flags=1: truth if files[path.name].use == "labels" else photo(len(path.name)),
    )


def test_every_set_of_the_suite_file_is_built(drawn: None, tmp_path: Path) -> None:
    make.make(tmp_path, say=lambda line: None)
    suite = tomllib.loads((tmp_path / "suite.toml").read_text())
    shared = {name: value for name, value in suite.items() if name != "sets"}
    assert {path.name for path in tmp_path.iterdir()} == {*suite["sets"], "suite.toml"} - {"equations"}
    assert len(suite["sets"]) >= 9
    for name, parameters in suite["sets"].items():
        config = BenchConfig(**shared | parameters)
        if name == "equations":
            continue
        with (tmp_path / config.data).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert config.images is not None
        assert config.targets is not None
        assert {path.name for path in (tmp_path / config.images).iterdir()} == {row["id"] for row in rows}
        assert list(rows[0]) == ["id", *config.targets, *(["photo"] if config.group_column else [])]
        sizes = {"few": range(40, 101), "digits": range(600, 601), "disparity": range(1, 12)}
        assert len(rows) in sizes.get(name, range(300, 601)), name


def test_a_set_is_the_same_each_time_and_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    def written(number: int) -> dict[str, bytes]:
        rows = sets.of_photos({"a": photo(1), "b": photo(2)}, "sigma", sets.blur, number, seed=3)
        assert make.write(tmp_path / "blur", rows) == number
        return {path.name: path.read_bytes() for path in (tmp_path / "blur").rglob("*.*")}

    many, few, again = written(6), written(3), written(3)
    assert few == again
    assert set(few) == {"table.csv", "0000.png", "0001.png", "0002.png"}
    assert many["0002.png"] == few["0002.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["blur"]


@pytest.mark.parametrize(
    ("change", "low", "high"),
    [(sets.blur, 0, 4), (sets.exposure, -2, 2), (sets.jpeg, 5, 95), (sets.scale, 1, 8),
     (sets.rotation, -45, 45)],
)  # fmt: skip
def test_changes_cover_their_range(change: sets.Change, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    images, amounts = zip(*(change(photo(), rng) for _ in range(200)), strict=True)
    assert {image.shape for image in images} == {(64, 64, 3)}
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}
    share = (np.asarray(amounts) - low) / (high - low)
    assert share.min() >= 0
    assert share.max() <= 1
    assert share.min() < 0.1
    assert share.max() > 0.9


@pytest.mark.parametrize(("change", "sign"), [(sets.blur, -1), (sets.scale, -1)])
def test_blurred_and_scaled_images_have_less_detail(change: sets.Change, sign: int) -> None:
    rng = np.random.default_rng(0)
    images, amounts = zip(*(change(photo(), rng) for _ in range(50)), strict=True)
    assert sign * np.corrcoef([detail(image) for image in images], amounts)[0, 1] > 0.7


def test_a_stop_more_is_twice_the_light() -> None:
    grey = np.full((100, 100, 3), 100, np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(20):
        image, stops = sets.exposure(grey, rng)
        linear = [((value / 255 + 0.055) / 1.055) ** 2.4 for value in (100, int(image[0, 0, 0]))]
        expected = min(linear[0] * 2**stops, 1)
        assert linear[1] == pytest.approx(expected, abs=0.005)


def test_the_angle_is_counterclockwise_and_no_corner_shows() -> None:
    ramp = np.repeat(np.linspace(0, 255, 300).astype(np.uint8)[None, :, None], 250, 0).repeat(3, 2)
    rows, columns = np.mgrid[:64, :64]
    plane = np.stack([columns.ravel(), rows.ravel(), np.ones(64 * 64)], 1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        image, angle = sets.rotation(ramp, rng)
        (right, down, _), residual, *_ = np.linalg.lstsq(plane, image[..., 0].ravel().astype(float))
        assert np.rad2deg(np.arctan2(-down, right)) == pytest.approx(angle, abs=0.5)
        assert np.sqrt(residual / plane.shape[0]) < 1


def test_tiles_with_unknown_disparity_are_left_out() -> None:
    truth = np.full((128, 64 * 6), 7, np.uint8)
    truth[:64, :64] = 0
    truth[:3, 64:128] = 0
    rows = list(sets.disparity(np.zeros((128, 64 * 6, 3), np.uint8), truth))
    assert len(rows) == 11
    assert {row.targets["disparity"] for row in rows} == {7}
    assert {row.photo for row in rows} == {"0-0", "0-1"}


def test_plants_can_be_told_from_nets_beyond_red_alone() -> None:
    rows = list(sets.cover(40, seed=0))
    images = np.stack([row.image for row in rows]).astype(float)
    assert images.shape == (40, 64, 64, 5)
    assert rows[0].image.dtype == np.uint16
    index = (images[..., 4] - images[..., 2]) / (images[..., 4] + images[..., 2])
    found = (index > 0.6).mean(axis=(1, 2))
    assert np.abs(found - [row.targets["cover"] for row in rows]).max() < 0.05
    greenness = (images[..., 1] / (images[..., 0] + images[..., 2]) > 0.7).mean(axis=(1, 2))
    assert np.abs(greenness - [row.targets["cover"] for row in rows]).mean() > 0.1


def test_readme_states_the_licence_of_every_file() -> None:
    files = sources.files()
    assert len({file.name for file in files}) == len(files)
    assert sum(file.use == "labels" for file in files) == 1
    text = (SUITE / "README.md").read_text(encoding="utf-8")
    for file in files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.author
        (line,) = re.findall(rf"^\| {re.escape(file.package)}\b.*$", text, re.MULTILINE)
        count = sum(other.package == file.package for other in files)
        assert f"| {count}" in line
        assert file.license in line


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that is unpacked already; every unpacking leaves a line in the file `unpacked`."""
    root = tmp_path / "package"
    root.mkdir()
    (root / "a.png").write_bytes(b"content")

    def unpacked(name: str, folder: Path) -> Path:
        with (tmp_path / "unpacked").open("a") as file:
            file.write(f"{name}\n")
        return root

    monkeypatch.setattr(sources, "_unpacked", unpacked)
    return root


FILE = sources.File(
    "a", "somewhere", "a.png",
    "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73", "any", "", ""
)  # fmt: skip


def test_a_package_is_unpacked_once_unless_the_cache_is_damaged(package: Path, tmp_path: Path) -> None:
    def unpackings() -> int:
        paths = sources.fetch([FILE], tmp_path / "cache")
        assert paths["a"].read_bytes() == b"content"
        return len((tmp_path / "unpacked").read_text().split())

    assert [unpackings(), unpackings()] == [1, 1]
    (tmp_path / "cache" / "a.png").write_bytes(b"cont")
    assert unpackings() == 2


def test_another_file_than_the_one_written_down_is_refused(package: Path, tmp_path: Path) -> None:
    (package / "a.png").write_bytes(b"other")
    with pytest.raises(sources.SourceError, match=r"a\.png of package somewhere: SHA-256 d9298a10d1b0, "):
        sources.fetch([FILE], tmp_path / "cache")
    (package / "a.png").unlink()
    with pytest.raises(sources.SourceError, match=r"package somewhere has no a\.png"):
        sources.fetch([FILE], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_cannot_be_downloaded_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["make.py", str(tmp_path / "suite")])
    with pytest.raises(SystemExit) as stopped:
        make.main()
    assert stopped.value.code == (
        "error: package lomiri-wallpapers-16.04: apt-get is not here; "
        "the photographs need Debian or a derivative"
    )
    assert not (tmp_path / "suite").exists()


def test_files_of_an_installed_package_are_as_written_down(tmp_path: Path) -> None:
    wanted = [file for file in sources.files() if file.package == "scikit-learn"]
    paths = sources.fetch(wanted, tmp_path)
    assert {sources.read(path).shape for path in paths.values()} == {(427, 640, 3)}


def row(name: str, seeds: int, val_mse: float | None) -> dict[str, Any]:
    return {"backbone": name, "seeds": seeds, "val_mse": val_mse, "test_mse": 0.5}


def test_the_check_for_ci_compares_the_best_of_both_by_val() -> None:
    rows = [row("a", 1, 0.3), row("b", 3, 0.1), row("ridge", 0, 0.2), row("mean", 0, 0.4), row("f", 1, None)]
    assert small.verdict(rows) == (True, "b val MSE 0.1 (test 0.5), ridge val MSE 0.2 (test 0.5)")
    assert not small.verdict([*rows, row("better", 0, 0.1)])[0]
    assert small.verdict(rows[2:]) == (False, "no network has a val MSE")


def test_the_workflow_runs_what_ci_runs() -> None:
    root = Path(__file__).parents[2]
    wanted = re.findall(r"benchmarks/\S+\.py", (root / ".ci" / "run").read_text())
    workflow = (root / ".github" / "workflows" / "tests.yml").read_text()
    assert "benchmarks/suite/small.py" in wanted
    assert [one for one in wanted if f"run: python {one}\n" not in workflow] == []
