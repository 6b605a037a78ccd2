"""Images of every depth and number of bands, whose answer is known, written as other programs write them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

N = 12
SIZE = (32, 48)


def disc(radius: float, seed: int = 0) -> np.ndarray:
    """Return uint8 (H, W): a bright disc on dark noise."""
    ground = np.random.default_rng(seed).integers(20, 60, SIZE).astype(np.uint8)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    ground[(rows - SIZE[0] / 2) ** 2 + (columns - SIZE[1] / 2) ** 2 <= radius**2] = 220
    return ground


def bands(radius: float, seed: int, n: int, visible: int) -> np.ndarray:
    """Return uint8 (H, W, n): the disc is visible in one band, numbered from 1."""
    noise = np.random.default_rng(seed + 1000).integers(20, 60, (*SIZE, n)).astype(np.uint8)
    noise[:, :, visible - 1] = disc(radius, seed)
    return noise


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    options = {"photometric": "minisblack"} | options
    if pixels.ndim == 3 and "planarconfig" not in options:
        options["planarconfig"] = "contig"
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def npy(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, pixels)
    return file.getvalue()


def pillow(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def write_set(folder: Path, suffix: str, make: Callable[[float, int], bytes], n: int = N) -> Path:
    """Write t.csv (id,y) and img/ with ``n`` files, ``make(radius, index)``; return the table."""
    (folder / "img").mkdir(parents=True)
    radii: Sequence[float] = np.linspace(3, 14, n).round(2).tolist()
    for index, radius in enumerate(radii):
        (folder / "img" / f"p{index:02d}{suffix}").write_bytes(make(radius, index))
    rows = "".join(f"p{index:02d}{suffix},{radius}\n" for index, radius in enumerate(radii))
    (folder / "t.csv").write_text(f"id,y\n{rows}")
    return folder / "t.csv"
