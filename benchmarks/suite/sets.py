"""The data sets: pure functions from arrays to rows, an image and its targets each.

An image is uint8 (H, W, 3), blue first, or (H, W), or uint16 (H, W, C) of other bands. Everything is drawn
from a generator with a fixed seed.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 64  # of most images, in pixels
_MARGIN = 16  # of a crop that is to be blurred; 4 σ of the strongest blur
_TRIES = 8
Change = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, float]]


class Row(NamedTuple):
    """An image, its targets, and the photograph that it is a part of."""

    image: np.ndarray
    targets: dict[str, float]
    photo: str | None = None


def reduced(photo: np.ndarray) -> np.ndarray:
    """Return a photograph made smaller: by a third at least, so that it is sharp; 768 pixels at most."""
    height, width = photo.shape[:2]
    share = min(768 / max(height, width), 1 / 1.5)
    return cv2.resize(photo, (round(width * share), round(height * share)), interpolation=cv2.INTER_AREA)


def crop(photo: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return of eight random squares the one with the most detail, (side, side, 3).

    Blur cannot be read off a clear sky, nor off what was out of focus.
    """
    squares = []
    for _ in range(_TRIES):
        top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
        squares.append(photo[top : top + side, left : left + side])
    return max(squares, key=lambda square: float(np.abs(cv2.Laplacian(square, cv2.CV_32F)).mean()))


def blur(photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Blur with a Gaussian; the target is its σ, 0 to 4 pixels."""
    sigma = float(rng.uniform(0, 4))
    wide = crop(photo, SIDE + 2 * _MARGIN, rng)
    # A kernel of no width is not one for OpenCV.
    blurred = cv2.GaussianBlur(wide, (0, 0), sigma) if sigma > 0.05 else wide
    return blurred[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN], sigma


def exposure(photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Expose longer or shorter; the target is the change in stops, -2 to 2, in linear light, cut at white."""
    stops = float(rng.uniform(-2, 2))
    values = np.arange(256) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)  # sRGB
    exposed = np.minimum(linear * 2**stops, 1)
    encoded = np.where(exposed <= 0.0031308, exposed * 12.92, 1.055 * exposed ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)[crop(photo, SIDE, rng)], stops


def jpeg(photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Compress as JPEG; the target is the quality, 5 to 95."""
    quality = int(rng.integers(5, 96))
    _, coded = cv2.imencode(".jpg", crop(photo, SIDE, rng), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)), float(quality)


def scale(photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Lose resolution; the target is the factor, 1 to 8, by which the image was made smaller and enlarged."""
    side = round(SIDE / 2 ** rng.uniform(0, 3))
    small = cv2.resize(crop(photo, SIDE, rng), (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), SIDE / side


def rotation(photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Rotate a large part of the photograph; the target is the angle, -45 to 45 degrees, counterclockwise."""
    angle = float(rng.uniform(-45, 45))
    side = int(min(photo.shape[:2]) * rng.uniform(0.8, 1))
    top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
    # The largest square without corners is smaller by √2. It is rotated at three times its final size, so
    # that the interpolation leaves no trace.
    wide = -(-3 * SIDE * 1414 // 1000) + 2
    square = cv2.resize(photo[top : top + side, left : left + side], (wide, wide))
    turned = cv2.warpAffine(
        square, cv2.getRotationMatrix2D(((wide - 1) / 2, (wide - 1) / 2), angle, 1), (wide, wide),
        flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    start = (wide - 3 * SIDE) // 2
    middle = turned[start : start + 3 * SIDE, start : start + 3 * SIDE]
    return cv2.resize(middle, (SIDE, SIDE), interpolation=cv2.INTER_AREA), angle


def of_photos(
    photos: Mapping[str, np.ndarray], target: str, change: Change, number: int, seed: int
) -> Iterator[Row]:
    """Yield images of all photographs in turn, each changed by a random amount."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(sorted(photos))
    for position in range(number):
        name = str(names[position % len(names)])
        image, amount = change(photos[name], rng)
        yield Row(image, {target: amount}, name)


def disparity(photo: np.ndarray, truth: np.ndarray) -> Iterator[Row]:
    """Yield the tiles of one photograph and their median disparity in pixels.

    Tiles in which more than a tenth of the disparity (uint8 (H, W)) is 0, which means unknown, are left out.
    A block of 4 × 4 tiles counts as one photograph, so that neighbours are on one side of the split.
    """
    for row in range(photo.shape[0] // SIDE):
        for column in range(photo.shape[1] // SIDE):
            square = np.s_[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
            known = truth[square][truth[square] > 0]
            if known.size >= 0.9 * SIDE**2:
                yield Row(photo[square], {"disparity": float(np.median(known))}, f"{row // 4}-{column // 4}")


# Reflectance in blue, green, red, red edge and near infrared, roughly as plants and bare ground have it; a
# net is as green as a plant, but dark beyond red.
_SPECTRA = {
    "ground": (0.10, 0.14, 0.18, 0.22, 0.26),
    "plant": (0.04, 0.09, 0.05, 0.25, 0.45),
    "net": (0.04, 0.09, 0.05, 0.06, 0.07),
}
_UNIT = 10_000  # of reflectance, as satellites' data have it


def cover(number: int, seed: int) -> Iterator[Row]:
    """Draw fields in five bands, uint16 (64, 64, 5); the target is the share of ground covered by plants.

    The light differs from image to image and falls off to one side. Green nets cover some ground, too.
    """
    rng = np.random.default_rng(seed)
    for _ in range(number):
        what = np.zeros((SIDE, SIDE), np.uint8)
        most = rng.uniform(0, 0.6, 2) * SIDE**2
        for kind, pixels in zip((2, 1), most, strict=True):
            while (what == kind).sum() < pixels:
                centre, axes = rng.integers(0, SIDE, 2), rng.integers(2, 9, 2)
                cv2.ellipse(
                    what, centre.tolist(), axes.tolist(), float(rng.uniform(0, 180)), 0, 360, kind, -1
                )
        image = np.array([_SPECTRA[name] for name in ("ground", "plant", "net")])[what]
        image = image * rng.normal(1, 0.08, (SIDE, SIDE, 1)) + rng.normal(0, 0.005, image.shape)
        light = np.linspace(1, rng.uniform(0.6, 1), SIDE)[:, None, None] * rng.uniform(0.5, 1.2)
        stored = np.rint(np.clip(image * light, 0, 6) * _UNIT).astype(np.uint16)
        yield Row(stored, {"cover": float((what == 1).mean())})


def digits(number: int | None = None) -> Iterator[Row]:
    """Yield scikit-learn's scans of handwritten digits, 8 × 8 pixels, or the first of them."""
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    for scan, label in islice(zip(scans, labels, strict=True), number):
        yield Row(np.rint(scan.reshape(8, 8) * 255 / 16).astype(np.uint8), {"digit": float(label)})


def dials(number: int = 500) -> Iterator[Row]:
    """Yield what the script of the tutorial draws: photos of a dashboard, at half their size."""
    page = Path(__file__).parents[2] / "docs" / "tutorial-dials.md"
    (script,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
        with open(f"{folder}/dials/dials.csv", encoding="utf-8", newline="") as table:
            for row in islice(csv.DictReader(table), number):
                image = np.asarray(cv2.imread(f"{folder}/dials/photos/{row.pop('photo')}.jpg"))
                half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
                yield Row(half, {name: float(value) for name, value in row.items()})
