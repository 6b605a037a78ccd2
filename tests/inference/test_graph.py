"""What an ONNX graph does to an image is what training does: against `View.show`, which uses OpenCV."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from quadzoo.data.datamodule import pixels_tensor
from quadzoo.data.decoding import of_array
from quadzoo.data.geometry import Geometry
from quadzoo.inference.graph import Preprocessing, input_type
from quadzoo.inference.view import View
from quadzoo.records.keys import Originals

FILL = (9, 8, 7, 6, 5)
GEOMETRIES: dict[str, dict[str, Any]] = {
    "letterbox": {"size": (64, 64), "channels": 3, "max_scale": None},
    "not enlarged": {"size": (64, 64), "channels": 3, "max_scale": 1.0},
    "grey, enlarged at most twice": {"size": (64, 96), "channels": 1, "max_scale": 2.0, "fill": (9, 9, 9)},
    "stretched": {"size": (40, 72), "channels": 3, "max_scale": None, "resize": "stretch"},
    "two bands": {"size": (40, 72), "channels": 2, "max_scale": None},
    "a border": {"size": (32, 48), "channels": 3, "max_scale": 1.0, "crop": (3, 4, 60, 90)},
    "16 bits": {"size": (40, 72), "channels": 3, "max_scale": None, "dtype": "uint16",
                "value_range": (100.0, 60000.0)},
    "16 bits in full": {"size": (40, 72), "channels": 1, "max_scale": None, "dtype": "uint16"},
    "floating point": {"size": (40, 72), "channels": 5, "max_scale": None, "dtype": "float32",
                       "value_range": (-10.0, 70000.0), "resize": "stretch"},
}  # fmt: skip
SIZES = [
    (64, 64),
    (128, 128),
    (80, 144),
    (33, 70),
    (300, 217),
    (20, 17),
    (7, 1),
    (500, 3),
    (40, 72),
    (66, 100),
]
# Where one side grows and the other shrinks, OpenCV's sums are in steps of 1/2048, rounded down twice.
MIXED = {"stretched": [(64, 64), (33, 70), (300, 217), (20, 17), (500, 3), (66, 100), (7, 1)]}


def view_of(case: str) -> View:
    fields = {"crop": None, "fill": FILL, **GEOMETRIES[case]}
    originals = Originals(height=(66, 66), width=(100, 100), bands=(3,)) if fields["crop"] else None
    return View(Geometry(**fields), originals)


def image(view: View, height: int, width: int) -> np.ndarray:
    """A smooth image with noise: (H, W) or (H, W, C)."""
    rng = np.random.default_rng(height * 1000 + width)
    coarse = rng.random((6, 7, view.geometry.channels)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height)).reshape(height, width, -1)
    pixels = np.clip(smooth + 0.1 * rng.normal(size=smooth.shape), 0, 1)
    kind = str(input_type(view)).removeprefix("torch.")
    pixels = (pixels * {"uint8": 255, "uint16": 65535, "float32": 80000}[kind]).astype(kind)
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


@pytest.mark.parametrize("case", GEOMETRIES)
def test_images_of_any_size_come_out_as_training_prepares_them(case: str) -> None:
    view = view_of(case)
    preprocessing = Preprocessing(view)
    for height, width in SIZES:
        pixels = image(view, height, width)
        expected = pixels_tensor(view.show(of_array(pixels)).pixels[None]).float().permute(0, 3, 1, 2)
        given = torch.from_numpy(pixels.reshape(1, height, width, -1))
        found = preprocessing(torch.cat([given, given]))
        assert found.shape[0] == 2
        off = (found[:1] - expected).abs()
        assert torch.equal(found[0], found[1])
        assert off.max() <= 1, (height, width)  # of 255
        share = (off > 0.01).double().mean()
        assert share <= (0.3 if (height, width) in MIXED.get(case, []) else 0.05), (height, width)


def test_types_of_images() -> None:
    kinds = {case: str(input_type(view_of(case))).removeprefix("torch.") for case in GEOMETRIES}
    assert (kinds["letterbox"], kinds["16 bits"], kinds["16 bits in full"], kinds["floating point"]) == (
        "uint8", "uint16", "uint16", "float32",
    )  # fmt: skip
    negative = View(Geometry((8, 8), 1, None, None, (0, 0, 0), dtype="uint16", value_range=(-5.0, 900.0)))
    assert input_type(negative) == torch.float32
