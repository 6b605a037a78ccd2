"""A bench that starts from a model shows it images as the model was trained to see them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import pytest

import quadzoo as package

from ..conftest import Result
from ..runs import records

Call = Callable[..., Result]
N = 48
LAST_DIGITS = 2e-6  # of a target's range, in float32
GROUND, DISC = (40, 120, 200), (250, 240, 10)


class Trained(NamedTuple):
    """The table and the images of a data set, and the folder of a run on it."""

    table: Path
    run: Path
    record: dict[str, Any]

    @property
    def flags(self) -> dict[str, Any]:
        return of(self.table)


def of(table: Path) -> dict[str, Any]:
    return {"data": str(table), "images": table.parent / "img", "targets": ["radius"], "id_column": "id"}


def write(folder: Path, shape_of: Callable[[int], tuple[int, int]], at: tuple[int, int] | None) -> Path:
    """Write a disc on each of N images, ``at`` (x, y) and a little beside it, or in the middle."""
    (folder / "img").mkdir(parents=True)
    rng, rows = np.random.default_rng(3), ["id,radius"]
    for index in range(N):
        height, width = shape_of(index)
        radius, off = int(rng.integers(4, 14)), (rng.integers(-16, 17), rng.integers(-16, 17))
        x, y = (at[0] + off[0], at[1] + off[1]) if at else (width // 2, height // 2)
        pixels = np.full((height, width, 3), GROUND, np.uint8)
        cv2.circle(pixels, (int(x), int(y)), radius, DISC, -1)
        cv2.imwrite(str(folder / "img" / f"{index:02d}.png"), pixels)
        rows.append(f"{index:02d},{radius}")
    (folder / "t.csv").write_text("\n".join(rows) + "\n")
    return folder / "t.csv"


def trained(table: Path) -> Trained:
    out = table.parent / "out"
    package.bench(["tiny_cnn"], ["linear"], **of(table), weights="none", epochs=2, precision="32", out=out)
    (record,) = records(out)
    return Trained(table, out / "runs" / record["key"], record)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained on images of mixed sizes, with the size that is taken by itself."""
    rng = np.random.default_rng(1)
    shapes = [(int(rng.integers(30, 60)), int(rng.integers(30, 80))) for _ in range(N)]
    return trained(write(tmp_path_factory.mktemp("mixed"), shapes.__getitem__, None))


@pytest.fixture(scope="module")
def bordered(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained on images of one size, whose border was cut off."""
    return trained(write(tmp_path_factory.mktemp("bordered"), lambda _: (90, 160), (70, 40)))


def retested(model: Trained, table: Path, out: Path) -> dict[str, Any]:
    """The record of the model's test on the images of a table."""
    package.bench(**of(table), init=str(model.run), epochs=0, precision="32", out=out)
    (record,) = records(out)
    return record


def far_off(model: Trained, retest: Path) -> float:
    """The largest difference, as a share of the target's range, of a test's answers to `quadzoo predict`'s.

    That is shown the images that the model was trained on.
    """
    told = pd.read_csv(retest / "predictions.csv", dtype={"id": str})
    images = [model.table.parent / "img" / f"{name}.png" for name in told["id"]]
    answers = package.load(model.run).predict(images)["radius"].to_numpy()
    span = model.record["target_high"][0] - model.record["target_low"][0]
    return float(np.abs(answers - told["radius_pred"].to_numpy()).max() / span)


def test_images_of_mixed_sizes_are_not_enlarged(mixed: Trained, tmp_path: Path) -> None:
    assert (mixed.record["image"]["crop"], mixed.record["image"]["max_scale"]) == (None, 1.0)
    record = retested(mixed, mixed.table, tmp_path)
    assert record["image"] == mixed.record["image"]
    assert record["metrics"] == mixed.record["metrics"]


def test_a_shared_border_is_cut_as_it_was(bordered: Trained, tmp_path: Path) -> None:
    assert bordered.record["image"]["crop"]
    record = retested(bordered, bordered.table, tmp_path)
    assert record["image"] == bordered.record["image"]
    assert record["metrics"] == bordered.record["metrics"]


def test_images_without_a_border_to_cut_keep_theirs(mixed: Trained, tmp_path: Path) -> None:
    """The model saw whole images, so it does here, though these share a border."""
    record = retested(mixed, write(tmp_path, lambda _: (50, 70), (35, 25)), tmp_path / "out")
    assert record["image"] == mixed.record["image"]


def test_some_of_the_images_are_shown_as_predict_shows_them(bordered: Trained, tmp_path: Path) -> None:
    """Their own border is larger, and no reason to show them larger or elsewhere."""
    table = pd.read_csv(bordered.table, dtype={"id": str})
    small = table[table["radius"] < 9]
    small.to_csv(bordered.table.parent / "small.csv", index=False)
    record = retested(bordered, bordered.table.parent / "small.csv", tmp_path)
    assert record["image"] == bordered.record["image"]
    assert far_off(bordered, tmp_path / "runs" / record["key"]) < LAST_DIGITS


def test_images_of_another_size_are_seen_at_the_model_s_scale(bordered: Trained, tmp_path: Path) -> None:
    other = write(tmp_path, lambda _: (200, 240), (150, 130))  # the same discs, elsewhere
    record = retested(bordered, other, tmp_path / "out")
    (top, left, bottom, right), own = record["image"]["crop"], bordered.record["image"]
    assert (bottom - top, right - left) == tuple(own["size"])
    assert top > 90
    assert record["image"] == own | {"crop": record["image"]["crop"]}
    assert far_off(bordered, tmp_path / "out" / "runs" / record["key"]) < LAST_DIGITS


def test_fewer_images_of_another_size_are_no_larger(bordered: Trained, tmp_path: Path) -> None:
    table = write(tmp_path, lambda _: (200, 240), (150, 130))
    rows = pd.read_csv(table, dtype={"id": str})
    rows[rows["radius"] < 9].to_csv(table, index=False)
    image = retested(bordered, table, tmp_path / "out")["image"]
    assert image == bordered.record["image"] | {"crop": image["crop"]}


def test_training_goes_on_with_the_same_view(mixed: Trained, tmp_path: Path) -> None:
    package.bench(**mixed.flags, init=str(mixed.run), epochs=1, precision="32", out=tmp_path)
    (record,) = records(tmp_path)
    assert record["image"] == mixed.record["image"]


def test_values_that_the_model_cannot_take_are_refused(
    bordered: Trained, quadzoo: Call, tmp_path: Path
) -> None:
    (tmp_path / "img").mkdir()
    for path in (bordered.table.parent / "img").iterdir():
        pixels = cv2.imread(str(path)).astype(np.uint16) * 200
        cv2.imwrite(str(tmp_path / "img" / path.name), pixels)
    (tmp_path / "t.csv").write_text(bordered.table.read_text())
    flags = (
        "bench", "--data", tmp_path / "t.csv", "--images", tmp_path / "img", "--targets", "radius",
        "--id-column", "id", "--init", bordered.run, "--epochs", 0, "--out", tmp_path / "out",
    )  # fmt: skip
    refused = quadzoo(*flags)
    assert refused.status == 2
    assert "images of uint16 values for a model of 8 bits; convert them to uint8" in refused.error
    assert quadzoo(*flags, "--value-range", "0,51000").status == 0  # 255 * 200
    (record,) = records(tmp_path / "out")
    assert record["image"]["crop"] == bordered.record["image"]["crop"]
    assert far_off(bordered, tmp_path / "out" / "runs" / record["key"]) < LAST_DIGITS


def test_a_record_that_makes_no_sense_of_images_is_refused(
    bordered: Trained, quadzoo: Call, tmp_path: Path
) -> None:
    from quadzoo.records.record import RunRecord

    shutil.copytree(bordered.run, tmp_path / "model")
    fields = bordered.record | {"image": bordered.record["image"] | {"fill": [1]}}
    fields["key"] = RunRecord.model_validate(fields).identity.key
    (tmp_path / "model" / "record.json").write_text(json.dumps(fields))
    refused = quadzoo("bench", "--data", bordered.table, "--images", bordered.table.parent / "img",
                      "--targets", "radius", "--id-column", "id", "--init", tmp_path / "model", "--epochs", 0,
                      "--out", tmp_path / "out")  # fmt: skip
    assert refused.status == 2
    assert "its record says nothing sensible of images" in refused.error
