"""Draw images of quadratic equations in the four published forms, label them, and read them again.

The forms, and the range from which each is drawn, are those of the published data set of 2,000 images.
There are two conventions for the label b of the factored form ``(x - r)(x - s) = 0``: ``published`` is
b = r + s, as in the published tables, so that a model can be compared with published figures; ``true`` is
b = -(r + s), which is what multiplying out gives. Images and all other labels are the same.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import isclose, sqrt
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from quadzoo.data.parallel import parallel
from quadzoo.errors import ConfigError
from quadzoo.scratch import scratch_folder

DETAILS_CSV = "Quadratic Equation Full Details.csv"
ROOTS_CSV = "Quadratic Roots and File Path only.csv"
IMAGES = "Images of Equations"
TARGETS = ("a", "b", "c")
LOW = (1.0, -48.0, -792.0)
HIGH = (20.0, 96.0, 600.0)

SIGNS = "0123456789x²+-=()"

_SIZE = (300, 100)
_FONT_SIZE = 25
_EDGE = 5


Labels = Literal["published", "true"]


@dataclass(frozen=True)
class Equation:
    """The equation in an image: a, b, c as multiplying out gives them, the two roots, the text."""

    a: int
    b: int
    c: int
    roots: tuple[float, float]
    text: str

    @property
    def factored(self) -> bool:
        """Whether its text is of the form ``(x - r)(x - s) = 0``."""
        return self.text.startswith("(")

    def labels(self, convention: Labels) -> tuple[int, int, int]:
        """Return the labels a, b, c by a convention."""
        return self.a, -self.b if self.factored and convention == "published" else self.b, self.c


def generate(n: int, seed: int) -> list[Equation]:
    """Return ``n`` equations, about a quarter in each form; one seed gives the same on any machine."""
    rng = random.Random(seed)
    forms = (_standard, _constant_moved, _square_moved, _factored)
    return [_publishable(rng.choice(forms), rng) for _ in range(n)]


def _publishable(form: Callable[[random.Random], Equation | None], rng: random.Random) -> Equation:
    """Draw until there are two real roots and the labels by both conventions are in the published ranges."""
    while True:
        equation = form(rng)
        if equation and all(
            low <= value <= high
            for convention in ("published", "true")
            for low, value, high in zip(LOW, equation.labels(convention), HIGH, strict=True)
        ):
            return equation


def draw(text: str, font: Path | None = None) -> Image.Image:
    """Return the equation as a grey 300x100 image, black on white, placed as in the published images.

    Where a font is too wide for the image, the text begins further left and, if that is not enough, is
    smaller. ``font`` is a TrueType or OpenType file, None Pillow's own font. Raises ConfigError for a font
    that cannot be read or lacks one of the characters.
    """
    image = Image.new("L", _SIZE, 255)
    pen = ImageDraw.Draw(image)
    x = (_SIZE[0] - 6 * len(text)) / 2 - 30
    y = 24.5
    if font:
        size = _FONT_SIZE
        while (width := _font_file(font, size).getlength(text)) > _SIZE[0] - 2 * _EDGE:
            size -= 1
        pen.text((min(x, _SIZE[0] - _EDGE - width), y), text, font=_font_file(font, size), fill=0)
        return image
    # Pillow's own font lacks the raised 2: a smaller 2 is drawn instead.
    for index, part in enumerate(text.split("²")):
        if index:
            pen.text((x, y), "2", font=_font(_FONT_SIZE * 3 // 5), fill=0)
            x += _font(_FONT_SIZE * 3 // 5).getlength("2")
        pen.text((x, y), part, font=_font(_FONT_SIZE), fill=0)
        x += _font(_FONT_SIZE).getlength(part)
    return image


def write_folder(
    folder: Path,
    n: int,
    seed: int,
    *,
    font: Path | None = None,
    labels: Labels = "published",
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Write ``n`` equations in the published layout: two tables and a folder of 300x100 RGBA PNG images.

    The folder appears whole or not at all. ``advance`` is given the number of images as they are written.
    Raises ConfigError for a font that cannot be used, and OSError where the folder cannot be written.
    """
    draw(SIGNS, font)  # raises before there is a folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder.parent) as scratch:
        partial = scratch / "new"
        (partial / IMAGES).mkdir(parents=True)
        equations = generate(n, seed)
        width = max(4, len(str(n - 1)))
        names = [f"eqn_{index:0{width}d}" for index in range(n)]

        def save(index: int) -> None:
            image = draw(equations[index].text, font).convert("RGBA")
            image.save(partial / IMAGES / f"{names[index]}.png", compress_level=1)

        for _ in parallel(save, range(n)):
            advance(1)
        _write_tables(partial, names, equations, labels)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.exists():
                raise  # otherwise another process drew the same images first


def _write_tables(folder: Path, names: list[str], equations: list[Equation], labels: Labels) -> None:
    with (
        (folder / DETAILS_CSV).open("w", newline="", encoding="utf-8") as details_file,
        (folder / ROOTS_CSV).open("w", newline="", encoding="utf-8") as roots_file,
    ):
        details, roots = csv.writer(details_file), csv.writer(roots_file)
        details.writerow(["id", "path", *TARGETS, "root_1", "root_2", "equation"])
        roots.writerow(["ID", "Path", "Roots"])
        for name, eq in zip(names, equations, strict=True):
            first, second = (round(root, 4) for root in eq.roots)
            details.writerow([name, f"quadratic/{name}", *eq.labels(labels), first, second, eq.text])
            roots.writerow([name, f"quadratic/{name}", f"{first}, {second}"])


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


@cache
def _font_file(path: Path, size: int) -> ImageFont.FreeTypeFont:
    try:
        # The published images were laid out without Raqm, which not every Pillow has.
        font = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise ConfigError(f"`font` {path}: not a font that can be read ({error})") from error
    missing = np.asarray(font.getmask("\uffff"))
    lacking = [sign for sign in SIGNS if np.array_equal(np.asarray(font.getmask(sign)), missing)]
    if lacking:
        raise ConfigError(f"`font` {path}: has no {' '.join(lacking)}; choose another font")
    return font


def terms(parts: list[tuple[int, str]]) -> str:
    """Return the text of a sum of (coefficient, unit) as in the published images.

    It has no terms that are zero, and no 1 before a letter.
    """
    return " ".join(_written(parts))


def _written(parts: list[tuple[int, str]]) -> Iterator[str]:
    first = True
    for coefficient, unit in parts:
        if coefficient == 0:
            continue
        size = abs(coefficient)
        term = f"{'' if size == 1 and unit else size}{unit}"
        if first:
            yield term if coefficient > 0 else f" - {term}"
        else:
            yield f"{'+' if coefficient > 0 else '-'} {term}"
        first = False


def _unfactored(a: int, b: int, c: int, text: str) -> Equation | None:
    """Return the equation with its roots, that of the positive square root first; None without two."""
    discriminant = b * b - 4 * a * c
    if discriminant <= 0:
        return None
    spread = sqrt(discriminant)
    return Equation(a, b, c, ((-b + spread) / (2 * a), (-b - spread) / (2 * a)), text)


def _standard(rng: random.Random) -> Equation | None:
    a, b, c = rng.randint(1, 5), rng.randint(-5, 10), rng.randint(-10, 15)
    return _unfactored(a, b, c, f"{terms([(a, 'x²'), (b, 'x'), (c, '')])} = 0")


def _constant_moved(rng: random.Random) -> Equation | None:
    a, b, c = rng.randint(10, 20), rng.randint(-25, 25), rng.randint(-100, 10)
    return _unfactored(a, b, c, f"{terms([(a, 'x²'), (b, 'x')])} = {-c}")


def _square_moved(rng: random.Random) -> Equation | None:
    a, b, c = rng.randint(3, 16), rng.randint(-16, 96), rng.randint(-9, 81)
    return _unfactored(a, b, c, f"{terms([(b, 'x'), (c, '')])} = -{a}x²")


def _factored(rng: random.Random) -> Equation | None:
    r, s = rng.randint(-16, 25), rng.randint(-36, 25)
    return factored(r, s) if r and s else None


def factored(r: int, s: int) -> Equation:
    """Return the equation with the roots r and s, neither of them 0, written as ``(x - r)(x - s) = 0``."""
    factors = "".join(f"(x {'-' if root > 0 else '+'} {abs(root)})" for root in (r, s))
    return Equation(1, -(r + s), r * s, (float(r), float(s)), f"{factors} = 0")


_FACTORED = re.compile(r"\(x([+-]\d+)\)\(x([+-]\d+)\)=0")
_SUM = re.compile(r"(?:[+-]?(?:\d+x²|\d+x|\d+|x²|x))+")
_TERM = re.compile(r"([+-]?)(\d*)(x²|x|)")


def read(text: str) -> Equation | None:
    """Return the equation of a text in one of the four forms; None for others, or without two real roots.

    The roots are in the order of the published tables: as written in the factored form, that of the
    positive square root first in the others.
    """
    squeezed = text.replace(" ", "")
    if match := _FACTORED.fullmatch(squeezed):
        r, s = -int(match[1]), -int(match[2])
        return Equation(1, -(r + s), r * s, (float(r), float(s)), text)
    sides = squeezed.split("=")
    if len(sides) != 2 or not all(_SUM.fullmatch(side) for side in sides):
        return None
    a, b, c = (left - right for left, right in zip(*map(_coefficients, sides), strict=True))
    return _unfactored(a, b, c, text) if a else None


def _coefficients(side: str) -> tuple[int, int, int]:
    found = {"x²": 0, "x": 0, "": 0}
    for sign, digits, unit in _TERM.findall(side):
        if digits or unit:
            found[unit] += int(f"{sign}{digits or 1}")
    return found["x²"], found["x"], found[""]


def form(text: str) -> str:
    """Return which of the four forms an equation has; where c is left out, the one with ``= 0``."""
    left, _, right = text.replace(" ", "").partition("=")
    if left.startswith("("):
        return "(x - r)(x - s) = 0"
    if "x²" in right:
        return "bx + c = -ax²"
    return "ax² + bx + c = 0" if right == "0" else "ax² + bx = c"


def same_roots(left: tuple[float, float], right: tuple[float, float]) -> bool:
    """Say whether two pairs of roots are the same, in any order, to the four decimals of the tables."""
    return all(isclose(p, q, abs_tol=5.1e-5) for p, q in zip(sorted(left), sorted(right), strict=True))
