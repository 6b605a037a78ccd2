"""Any data set in one line: a folder of every kind of image, a table as a spreadsheet writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

Call = Callable[..., Any]
N = 48
TARGETS = 120


def save(path: Path, pixels: np.ndarray, kind: int) -> None:
    """Save RGB pixels as one of eight kinds of file."""
    image = Image.fromarray(pixels)
    grey = image.convert("L")
    deep = Image.fromarray((np.asarray(grey).astype(np.uint16) * 257).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 3
    clear = image.copy()
    clear.putalpha(200)
    path.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case 0:
            image.save(path.with_suffix(".png"))
        case 1:
            image.rotate(180).save(path.with_suffix(".JPG"), quality=95, exif=exif)
        case 2:
            image.save(path.with_suffix(".webp"), lossless=True)
        case 3:
            deep.save(path.with_suffix(".tiff"))
        case 4:
            grey.save(path.with_suffix(".bmp"))
        case 5:
            image.convert("P").save(path.with_suffix(".png"))
        case 6:
            clear.save(path.with_suffix(".png"))
        case 7:
            grey.convert("LA").save(path.with_suffix(".png"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 images in sub-folders with odd names, and 120 targets in a table with semicolons and a BOM."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    names = [
        f"{('Äpfel', 'ein Ordner', '日本')[i % 3]}/0{i}{('', ' ß, 1e5', '.v2')[i % 3]}" for i in range(N)
    ]
    with (folder / "Messung.csv").open("w", encoding="utf-8-sig", newline="") as file:
        file.write("Größe;".join(["", ""]) + "Bild;" + ";".join(f"t{k}" for k in range(TARGETS)) + "\r\n")
        for index, name in enumerate(names):
            height, width = int(rng.integers(30, 90)), int(rng.integers(30, 90))
            pixels = np.full((height, width, 3), rng.integers(0, 255, 3), np.uint8)
            radius = int(rng.integers(4, 14))
            cv2.circle(pixels, (width // 2, height // 2), radius, (250, 240, 0), -1)
            save(folder / "Bilder" / f"{name}.x", pixels, index % 8)
            cells = [f"{radius * (k + 1) - index % 3}" for k in range(TARGETS)]
            file.write(";".join([f'"{height},5"', f'"{name}"', *cells]) + "\r\n")
    return folder


def test_from_folder_to_leaderboard(corpus: Path, quadzoo: Call, tmp_path: Path) -> None:
    targets = ",".join(f"t{k}" for k in range(TARGETS))
    result = quadzoo(
        "bench", "--data", corpus / "Messung.csv", "--images", corpus / "Bilder", "--id-column", "Bild",
        "--targets", targets, "--backbones", "tiny_cnn", "--heads", "mlp,linear", "--weights", "none",
        "--epochs", 1, "--out", tmp_path,
    )  # fmt: skip
    assert result.status == 0, result.err
    assert "Messung: 48 images" in result.out
    for path in tmp_path.glob("runs/*/record.json"):
        record = json.loads(path.read_text())
        assert len(record["metrics"]["test_rmse"]) == TARGETS
        assert record["image"] == {
            "size": [88, 88],
            "channels": 3,
            "crop": None,
            "max_scale": 1.0,
            "fill": [0, 0, 0],
            "resize": "letterbox",
            "dtype": "uint16",  # as some of them are
            "value_range": None,
            "bands": None,
        }
        told = pd.read_csv(path.parent / "predictions.csv", dtype={"id": str})
        assert told.shape[1] == 2 + 2 * TARGETS + 1
        assert told.columns[-1] == "image_group"
        assert all(name.split("/")[0] in ("Äpfel", "ein Ordner", "日本") for name in told["id"])

    page = (tmp_path / "leaderboard.html").read_text()
    assert page.count("Error over the range of") == 2 * 12
    assert page.count("and 108 more targets") == 2 * (1 + 10)  # under the plots and with each test image


def test_the_same_corpus_audited(corpus: Path, quadzoo: Call) -> None:
    flags = ("--images", corpus / "Bilder", "--id-column", "Bild")
    result = quadzoo("data", "check", corpus / "Messung.csv", *flags, "--json")
    found = json.loads(result.out)
    assert (found["rows"], found["usable"], found["images_without_row"]) == (N, N, 0)
    assert found["kinds"] == {
        "PNG RGB": 6, "JPEG RGB": 6, "WEBP RGB": 6, "TIFF I;16": 6, "BMP L": 6, "PNG P": 6, "PNG RGBA": 6,
        "PNG LA": 6,
    }  # fmt: skip
    assert len(found["targets"]) == TARGETS
    assert result.status == 0, result.out
