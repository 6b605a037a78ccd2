"""A trained network as an ONNX graph that prepares images itself, checked against that network."""

from __future__ import annotations

import io
import json
import logging
import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from quadzoo.data.decoding import Undecodable
from quadzoo.errors import ConfigError
from quadzoo.inference.exported import TOLERANCE, Checked, Elsewhere
from quadzoo.inference.graph import Graph, input_type
from quadzoo.inference.images import Image
from quadzoo.inference.network import Network
from quadzoo.inference.predict import Member, predict
from quadzoo.inference.view import View, decoded

INPUT, OUTPUT = "images", "predictions"
N_CHECKED = 64  # images
BATCHES = (1, 7)
_FACTORS = (  # of the height and the width of real images, to have them at other sizes, too
    (0.5, 0.5), (2, 2), (0.6, 2.3), (2.3, 0.6), (1.02, 1.02), (0.98, 0.98), (1.37, 1.61), (0.71, 0.43),
)  # fmt: skip
_N_SCALED, _EACH = 8, 3  # real images that are shown so, and how many of them at one size
_AT_ENDS = 2  # real images that are shown at the smallest and at the largest size of the model's own images
_NEEDED = ("onnx", "onnxruntime", "onnxscript")
_LONGEST_SIDE = 640  # of made images
_REASON = 140  # characters
_TRACED = (2, 50, 70)  # images, height and width: all are free in the graph


class _Sample(NamedTuple):
    """An image to check a graph on; ``own`` says that it has a size of the model's, or was given."""

    image: Image
    own: bool


def check_installed() -> None:
    """Check that the packages are there. Raises ConfigError where one is missing."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(f"`onnx` needs {', '.join(missing)}: pip install 'quadzoo[onnx]'")


def write_onnx(network: Network, path: Path) -> None:
    """Write the graph of a network on the CPU: images (B, H, W, C) to predictions, float64 (B, T).

    Number and size of images are free; `quadzoo.inference.graph` says what is in the graph. Raises
    ConfigError for a network that cannot be a graph.
    """
    trained, view = network.trained, network.view
    record = trained.record
    graph = Graph(network.module, view, trained.unit).eval()
    images = torch.zeros((*_TRACED, view.geometry.channels), dtype=input_type(view))
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("height"), 2: torch.export.Dim("width")}
    try:
        with _silent(), torch.no_grad():
            program: Any = torch.onnx.export(
                graph, (images,), dynamo=True, dynamic_shapes=(free,), input_names=[INPUT],
                output_names=[OUTPUT], external_data=False, verbose=False,
            )  # fmt: skip
            facts = {"targets": json.dumps(record.targets), "quadzoo_key": record.key}
            program.model.metadata_props.update(facts)
            program.save(path, external_data=False)
    except Exception as error:  # what torch and onnxscript raise has no common base
        raise ConfigError(
            f"`onnx`: {record.backbone} + {record.head} cannot be an ONNX graph ({_reason(error)}); export "
            "it without `onnx`"
        ) from error


def check_onnx(network: Network, path: Path, images: Sequence[Image]) -> Checked:
    """Compare a graph, run by onnxruntime, with what `quadzoo predict` answers for 64 images.

    They are taken from ``images``, at equal distances, and a few also at the smallest and the largest size of
    the model's own images, and at sizes that these do not have; made ones of many sizes where there are none.
    The graph gets them one by one and in batches of 7. A run in bf16 is compared in float32, in which the
    graph computes. Raises ConfigError where a target differs by more than 1e-3 of its range, but at other
    sizes, and where no image can be predicted.
    """
    record = network.trained.record
    real = bool(images)
    chosen = _sampled(images, network.view) if real else _made(network.view)
    samples = [(one, pixels) for one in chosen if (pixels := _pixels(one.image, network.view)) is not None]
    in_float32 = replace(network, trained=replace(
        network.trained, record=record.model_copy(update={"precision": "32"})))  # fmt: skip
    expected, good = _predicted(in_float32, [one.image for one, _ in samples])
    own = good & np.array([one.own for one, _ in samples], dtype=bool)
    if not own.any():
        raise ConfigError("`images`: none of them can be predicted, so the ONNX graph cannot be checked")
    inputs = [pixels for (_, pixels), usable in zip(samples, good, strict=True) if usable]
    try:
        session = _session(path)
        answers = [_run(session, inputs, batch) for batch in BATCHES]
    except Exception as error:  # of onnxruntime
        raise ConfigError(
            f"`onnx`: onnxruntime cannot run the graph of {record.backbone} + {record.head} "
            f"({_reason(error)}); export it without `onnx`"
        ) from error
    off = np.max([np.abs(answer - expected[good]) for answer in answers], axis=0)
    ranges = np.subtract(record.target_high, record.target_low)
    own, shapes = own[good], [one.shape for one in inputs]
    difference = off[own].max(axis=0)
    worst = int(np.argmax(np.nan_to_num(difference / ranges, nan=np.inf)))
    share, n = float(difference[worst] / ranges[worst]), int(own.sum())
    if not share <= TOLERANCE:  # NaN is not
        raise ConfigError(
            f"`onnx`: the graph of {record.backbone} + {record.head} is off by up to {share:.2g} of the "
            f"range of {record.targets[worst]}, more than {TOLERANCE:g}, over {n} images; export it without "
            "`onnx`"
        )
    of_run = None
    if record.precision != "32":
        of_model, _ = _predicted(network, [one.image for one, _ in samples])
        of_run = float((np.abs(answers[0] - of_model[good]) / ranges)[own].max())
    return Checked(
        input=_in_words(network.view),
        n=n,
        sizes=len({shape for shape, mine in zip(shapes, own, strict=True) if mine}),
        real=real,
        difference=dict(zip(record.targets, difference.tolist(), strict=True)),
        share=share,
        of_run=of_run,
        elsewhere=_elsewhere((off / ranges).max(axis=1), shapes, ~own),
    )


def _elsewhere(shares: np.ndarray, shapes: Sequence[tuple[int, ...]], other: np.ndarray) -> Elsewhere | None:
    """Return what differences (N,) say of the images (N,) that have ``other`` sizes, bool (N,)."""
    if not other.any():
        return None
    worst = int(np.argmax(np.where(other, np.nan_to_num(shares, nan=np.inf), -1)))
    sizes = {shape for shape, is_other in zip(shapes, other, strict=True) if is_other}
    height, width, _ = shapes[worst]
    return Elsewhere(int(other.sum()), len(sizes), float(shares[worst]), (height, width))


def _in_words(view: View) -> str:
    """Say what the graph of a view takes."""
    geometry = view.geometry
    kind = str(input_type(view)).removeprefix("torch.")
    channels = {1: "grey", 3: "red, green, blue"}.get(geometry.channels, f"{geometry.channels} bands")
    values = "values from 0 to 255"
    if geometry.dtype != "uint8":
        low, high = geometry.value_range or (0, 65535)
        values = f"values as in the files, {low:g} to {high:g}"
        if geometry.value_range is None:
            values += "; multiply those of images of 8 bits by 257"
    return (
        f"Its input images is {kind} (B, H, W, {geometry.channels}), {channels}, {values}: any number of "
        "images of one size, which is free."
    )


def _predicted(network: Network, images: Sequence[Image]) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions, float64 (N, T), and which images could be predicted, bool (N,)."""
    done = predict([Member(network, 1.0)], images)
    values = done.frame[done.columns].to_numpy()
    return values, np.isfinite(values).all(axis=1)


def _pixels(image: Image, view: View) -> np.ndarray | None:
    """Return an image as the graph takes it, (H, W, C); None for one that cannot be read."""
    try:
        pixels = decoded(image.source, view.geometry.bands).pixels  # type: ignore[arg-type]
    except (OSError, Undecodable):
        return None
    return as_input(pixels, view)


def as_input(pixels: np.ndarray, view: View) -> np.ndarray | None:
    """Return decoded pixels, (H, W) or (H, W, C), as the graph of a view takes them.

    They are (H, W, C), uint8, uint16 or float32. None where their bands do not fit.
    """
    channels = view.geometry.channels
    kind = str(input_type(view)).removeprefix("torch.")
    if kind == "uint16" and view.geometry.value_range is None and pixels.dtype == np.uint8:
        pixels = pixels * np.uint16(257)  # 8 and 16 bits each have their own white
    if kind == "uint8" and pixels.dtype != np.uint8:
        return None
    if pixels.ndim == 3 and channels == 1:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], channels, axis=2) if channels in (1, 3) else pixels[:, :, None]
    if pixels.shape[2] != channels:
        return None
    if kind == "uint16":
        pixels = np.clip(pixels, 0, 65535)
    return np.ascontiguousarray(pixels.astype(kind))


def _sampled(images: Sequence[Image], view: View) -> list[_Sample]:
    """Return 64 of the images, and some of them at other sizes, too."""
    rows = np.unique(np.linspace(0, len(images) - 1, N_CHECKED).astype(int))
    some = [images[row] for row in rows]
    samples = [_Sample(image, own=True) for image in some]
    whole = []
    for image in some[:_N_SCALED]:
        with suppress(OSError, Undecodable):
            whole.append((image.id, decoded(image.source, None).pixels))
    if known := view.originals:
        ends = list(zip(known.height, known.width, strict=True))
        samples += [_Sample(_at_size(*one, size), own=True) for one in whole[:_AT_ENDS] for size in ends]
    for turn in range(min(_EACH, len(whole))):
        for place, factors in enumerate(_FACTORS):
            identity, pixels = whole[(place + turn) % len(whole)]
            height, width = (
                max(1, math.ceil(side * factor) if factor > 1 else math.floor(side * factor))
                for side, factor in zip(pixels.shape, factors, strict=False)
            )
            samples.append(_Sample(_at_size(identity, pixels, (height, width)), own=False))
    return samples


def _at_size(identity: Any, pixels: np.ndarray, size: tuple[int, int]) -> Image:
    """Return an image at another size, each pixel that of the nearest place: of any type and bands."""
    rows, columns = (
        ((np.arange(made) + 0.5) * given / made).astype(int)
        for made, given in zip(size, pixels.shape, strict=False)
    )
    return Image(f"{identity} at {size[0]}x{size[1]}", pixels[rows][:, columns])


def _made(view: View) -> list[_Sample]:
    """Return 64 images of many sizes: smooth patterns with noise, in all values that the network reads.

    A quarter has the largest or the smallest size of the model's own images.
    """
    rng = np.random.default_rng(0)
    geometry = view.geometry
    bands = max(geometry.bands) if geometry.bands else geometry.channels
    kind = {"uint8": np.uint8, "uint16": np.uint16, "float32": np.float32}[
        str(input_type(view)).removeprefix("torch.")
    ]
    low, high = geometry.value_range or (0.0, 255.0 if geometry.dtype == "uint8" else 65535.0)
    known = view.originals
    smallest, largest = zip(known.height, known.width, strict=True) if known else [geometry.size] * 2
    samples = []
    for number in range(N_CHECKED):
        usual = smallest if number % 8 == 4 else largest
        factors = (1.0, 1.0) if number % 4 == 0 else np.exp(rng.uniform(np.log(0.4), np.log(2.5), 2))
        if number % 4 == 1:
            factors = (factors[0], factors[0])
        height, width = (
            int(np.clip(round(side * factor), 2, max(_LONGEST_SIDE, side)))
            for side, factor in zip(usual, factors, strict=True)
        )
        coarse = rng.random((rng.integers(2, 9), rng.integers(2, 9), bands))
        smooth = np.stack([cv2.resize(coarse[:, :, band], (width, height)) for band in range(bands)], axis=2)
        pixels = low + (high - low) * np.clip(smooth + 0.05 * rng.normal(size=smooth.shape), 0, 1)
        pixels = pixels.astype(kind) if bands > 1 else pixels[:, :, 0].astype(kind)
        samples.append(_Sample(Image(number, pixels), own=number % 4 == 0))
    return samples


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _run(session: Any, images: Sequence[np.ndarray], batch: int) -> np.ndarray:
    """Return the graph's answers, float64 (N, T); each batch has ``batch`` images, the last ones repeated."""
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, image in enumerate(images):
        by_shape[image.shape].append(place)
    answers: dict[int, np.ndarray] = {}
    for places in by_shape.values():
        for start in range(0, len(places), batch):
            some = np.resize(places[start : start + batch], batch)
            (values,) = session.run(None, {INPUT: np.stack([images[place] for place in some])})
            answers |= zip(some.tolist(), values, strict=True)
    return np.stack([answers[place] for place in range(len(images))])


def _reason(error: Exception) -> str:
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and isinstance(cause, Exception):
        causes.append(cause)
    text = " ".join(str(causes[-1]).split()) or type(causes[-1]).__name__
    return text if len(text) <= _REASON else f"{text[: _REASON - 1]}…"


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the exporter from telling of each step."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
