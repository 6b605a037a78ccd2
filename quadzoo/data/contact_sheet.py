"""A sheet of some images as a network sees them, for people to look at."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from quadzoo.data.geometry import Geometry, fit, viewable
from quadzoo.data.image_checks import mixture, oddities
from quadzoo.data.survey import Survey
from quadzoo.errors import ConfigError, unwritable
from quadzoo.storage import write_atomically

N_SHOWN = 12
_COLUMNS = 4
_GAP, _LINE = 8, 14  # pixels
_LEAST = 160  # pixels of an image's longer side on the sheet
_PAPER, _INK = (236, 236, 236), (20, 20, 20)
_LETTER = 6  # pixels, of the width of a label


def check_file(show: Path, images: Path) -> None:
    """Check where a sheet will be written. Raises ConfigError where it cannot, or where an image is."""
    if show.suffix.lower() != ".png":
        raise ConfigError(f"`show` {show}: name a file that ends in .png")
    if not show.absolute().parent.is_dir() or show.is_dir():
        raise ConfigError(f"`show` {show}: it cannot be written there; name a file in a folder that exists")
    if show.exists() and show.resolve().is_relative_to(images.resolve()):
        raise ConfigError(f"`show` {show}: it exists, among the images; name another file")


def write_sheet(
    show: Path,
    pixels: Callable[[int], np.ndarray],
    labels: Sequence[str],
    survey: Survey,
    geometry: Geometry,
) -> bool:
    """Write twelve images as a network sees them, some that are odd first; say whether that was done.

    ``pixels`` returns a decoded image, uint8 or deeper (H, W) or (H, W, C). Images that do not belong
    together cannot be shown. Raises ConfigError where the file cannot be written.
    """
    if mixture(survey, ranged=geometry.value_range is not None):
        return False
    odd = [position for one in oddities(survey, geometry) for position in one.images]
    rows = _spread(len(labels), odd)
    factor = np.float32(255 / 65535) if geometry.dtype == "uint16" else 1
    seen = [fit(pixels(row), geometry) * factor for row in rows]
    try:
        write_atomically(show, contact_sheet(seen, [labels[row] for row in rows]))
    except OSError as error:
        raise unwritable(f"`show` {show}", error, "name another file") from error
    return True


def _spread(n: int, first: Sequence[int] = ()) -> list[int]:
    """Return at most twelve of n positions: three of the ``first`` at most, then others from all over."""
    odd = sorted(first)[: N_SHOWN // 4]
    evenly = np.linspace(0, n - 1, min(n, N_SHOWN - len(odd))).round().astype(int).tolist()
    others = [one for one in dict.fromkeys([*evenly, *range(min(n, N_SHOWN))]) if one not in odd]
    return [*odd, *sorted(others[: N_SHOWN - len(odd)])]


def contact_sheet(images: Sequence[np.ndarray], labels: Sequence[str]) -> bytes:
    """Return a PNG of images (H, W, C) of one size, uint8 or float32 from 0 to 255, each above its label."""
    height, width = images[0].shape[:2]
    factor = max(1, _LEAST // max(height, width))
    cell = width * factor + _GAP, height * factor + _GAP + _LINE
    columns = min(_COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        x, y = _GAP + number % columns * cell[0], _GAP + number // columns * cell[1]
        one = Image.fromarray(viewable(image)).convert("RGB")
        sheet.paste(one.resize((width * factor, height * factor), Image.Resampling.NEAREST), (x, y))
        most = max(1, width * factor // _LETTER)
        text = label if len(label) <= most else f"…{label[-most + 1 :]}"
        pen.text((x, y + height * factor + 1), text, fill=_INK)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()
