"""What an ONNX graph does to an image is what training does: against `View.show`, which uses OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
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

needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")),
    reason="quadzoo[onnx] is not installed",
)
FILL = (9, 8, 7, 6, 5)
GEOMETRIES: dict[str, dict[str, Any]] = {
    "letterbox": {"size": (64, 64), "channels": 3, "max_scale": None},
    "not enlarged": {"size": (64, 64), "channels": 3, "max_scale": 1.0},
    "grey, enlarged at most twice": {"size": (64, 96), "channels": 1, "max_scale": 2.0, "fill": (9, 9, 9)},
    "stretched": {"size": (40, 72), "channels": 3, "max_scale": None, "resize": "stretch"},
    "flat": {"size": (48, 64), "channels": 3, "max_scale": 1.0},
    "wide": {"size": (96, 224), "channels": 1, "max_scale": None},
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
    # One side grows and the other shrinks where images are stretched.
    (57, 301),
    (24, 196),
    (98, 51),
    (301, 20),
    # Half a pixel when a letterbox scales them.
    (160, 35),
    (15, 192),
    (105, 192),
]


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
    preprocessing = Preprocessing(view_of(case))
    check(case, lambda images: preprocessing(torch.from_numpy(images)))


@needs_onnx
@pytest.mark.parametrize("case", ["stretched", "flat", "floating point"])
def test_so_they_do_in_a_graph(case: str, tmp_path: Path) -> None:
    import onnxruntime

    view = view_of(case)
    some = torch.zeros((2, 50, 70, view.geometry.channels), dtype=input_type(view))
    free = {place: torch.export.Dim(name) for place, name in enumerate(("batch", "height", "width"))}
    torch.onnx.export(
        Preprocessing(view).eval(), (some,), tmp_path / "it.onnx", dynamo=True, dynamic_shapes=(free,),
        input_names=["images"], verbose=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(tmp_path / "it.onnx", providers=["CPUExecutionProvider"])
    check(case, lambda images: torch.from_numpy(session.run(None, {"images": images})[0]))


def check(case: str, prepare: Callable[[np.ndarray], torch.Tensor]) -> None:
    """Compare images of all sizes; two of each at a time."""
    view = view_of(case)
    for height, width in SIZES:
        pixels = image(view, height, width)
        expected = pixels_tensor(view.show(of_array(pixels)).pixels[None]).float().permute(0, 3, 1, 2)
        given = pixels.reshape(1, height, width, -1)
        found = prepare(np.concatenate([given, given]))
        assert found.shape[0] == 2
        off = (found[:1] - expected).abs()
        assert torch.equal(found[0], found[1])
        assert off.max() <= 1, (height, width)  # of 255
        share = (off > 0.01).double().mean()
        # Few sums lie between two steps. For two bands, and below 4 pixels, OpenCV is less exact itself.
        assert share <= (0.06 if case == "two bands" or width < 4 else 0.005), (height, width)


def test_types_of_images() -> None:
    kinds = {case: str(input_type(view_of(case))).removeprefix("torch.") for case in GEOMETRIES}
    assert (kinds["letterbox"], kinds["16 bits"], kinds["16 bits in full"], kinds["floating point"]) == (
        "uint8", "uint16", "uint16", "float32",
    )  # fmt: skip
    negative = View(Geometry((8, 8), 1, None, None, (0, 0, 0), dtype="uint16", value_range=(-5.0, 900.0)))
    assert input_type(negative) == torch.float32
