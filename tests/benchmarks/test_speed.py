from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from quadzoo.records.record import read_records


@pytest.fixture
def result(script: Callable[..., None], tmp_path: Path) -> dict:
    script("speed", "--backbones", "tiny_cnn", "--rounds", "1", "--n", "60", "--to", tmp_path)
    return json.loads((tmp_path / "results" / "speed.json").read_text())


def test_small(result: dict, tmp_path: Path) -> None:
    figures = {one["contender"]: one for one in result["figures"]}
    figures.pop("fastai", None)  # it takes part where it is installed
    assert list(figures) == [
        "quadzoo, 32", "quadzoo", "quadzoo, auto", "tutorial", "script", "lightning", "timm", "torchvision"
    ]  # fmt: skip
    assert figures["quadzoo"]["image_size"] == [100, 100]
    assert all(one["images_per_second"] > 0 and one["whole_seconds"] > 1 for one in figures.values())
    assert result["train"] + result["val"] + result["test"] == 60
    own = figures["quadzoo"]
    assert 2 * result["train"] / own["images_per_second"] < own["run_seconds"] < own["whole_seconds"]
    assert own["fit_seconds"] < own["run_seconds"]
    page = (tmp_path / "SPEED.md").read_text()
    ratio = figures["quadzoo"]["images_per_second"] / figures["tutorial"]["images_per_second"]
    (line,) = (line for line in page.splitlines() if line.startswith("| quadzoo |"))
    assert f"| {ratio:.2f} ({ratio:.2f} – {ratio:.2f}) |" in line
    for name in ("tutorial", "script"):
        shorter = figures[name]["whole_seconds"] / figures["quadzoo"]["whole_seconds"]
        assert f"| {shorter:.2f} ({shorter:.2f} – {shorter:.2f}) |" in line


def test_the_page_is_what_the_measurements_give(script: Callable[..., None], tmp_path: Path) -> None:
    published = Path(__file__).parents[2] / "benchmarks"
    (tmp_path / "results").symlink_to(published / "results")
    script("speed", "--rounds", "0", "--to", tmp_path)
    assert (tmp_path / "SPEED.md").read_text() == (published / "SPEED.md").read_text()


def test_a_ratio_compares_what_stood_side_by_side() -> None:
    from speed import ratio

    figures = [
        {"round": number, "backbone": "b", "contender": name, "s": value}
        for number, pair in enumerate([(10.0, 5.0), (30.0, 10.0), (4.0, 1.0)])
        for name, value in zip(("quadzoo", "tutorial"), pair, strict=True)
    ]
    assert ratio(figures, "b", "quadzoo", key="s") == "3.00 (2.00 – 4.00)"
    assert ratio(figures, "b", "quadzoo", key="s", inverse=True) == "0.33 (0.25 – 0.50)"


def test_grid(script: Callable[..., None], tmp_path: Path) -> None:
    script("grid", "--backbone", "tiny_cnn", "--heads", "linear", "--seeds", "0,1", "--epochs", "2",
           "--n", "60", "--to", tmp_path / "grid.json")  # fmt: skip
    result = json.loads((tmp_path / "grid.json").read_text())
    assert result["runs"] == 2
    assert result["ratio"] == pytest.approx(
        2 * result["one_by_one_seconds"]["linear"] / result["grid_seconds"]
    )


def test_scaling(script: Callable[..., None], tmp_path: Path) -> None:
    script("scaling", "--images", "60,80", "--runs", "1,2", "--to", tmp_path)
    result = json.loads((tmp_path / "results" / "scaling.json").read_text())
    assert list(result["images"]) == ["60", "80"]
    assert list(result["runs"]) == ["1", "2"]
    assert all(one["fit_seconds"] > 0 for one in result["runs"].values())
    page = (tmp_path / "SCALING.md").read_text()
    assert page.count("xychart") == 3
    assert f"| 80 | {result['images']['80']['empty']['seconds']:.1f} s |" in page


def test_training_time_is_that_of_all_runs(equations: Path, tmp_path: Path) -> None:
    from scaling import bench

    result = bench(str(equations), tmp_path, "--epochs", "1", "--seeds", "0,1")
    seconds = [record.cost.fit_seconds or 0 for record in read_records(tmp_path)]
    assert len(seconds) == 2
    assert result["fit_seconds"] == pytest.approx(sum(seconds))


def test_step(script: Callable[..., None], tmp_path: Path) -> None:
    script("step", "--backbones", "tiny_cnn", "--image-size", "32x96", "--repeats", "1",
           "--to", tmp_path / "PROFILE.md")  # fmt: skip
    page = (tmp_path / "PROFILE.md").read_text()
    assert "## tiny_cnn, precision " in page
    assert "| forward and backward |" in page
    assert "convolution_backward" in page
