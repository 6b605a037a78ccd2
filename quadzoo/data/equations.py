"""Draw pictures of quadratic equations in the four published forms, and label them as published.

The forms, and the range each is drawn from, are those of the published data set of 2,000 pictures. The
factored form keeps the published convention: ``(x - r)(x - s) = 0`` is labelled b = r + s, the opposite
of what multiplying out gives, so that a model can be compared with what was published.
"""

from __future__ import annotations

import csv
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

DETAILS_CSV = "Quadratic Equation Full Details.csv"
ROOTS_CSV = "Quadratic Roots and File Path only.csv"
PICTURES = "Images of Equations"
TARGETS = ("a", "b", "c")
LOW = (1.0, -48.0, -792.0)
HIGH = (20.0, 96.0, 600.0)

_SIZE = (300, 100)
_FONT_SIZE = 25


@dataclass(frozen=True)
class Equation:
    """One row of the table: the published labels, the roots and what is written in the picture."""

    a: int
    b: int
    c: int
    roots: tuple[float, float]
    text: str


def generate(n: int, seed: int) -> list[Equation]:
    """Return ``n`` equations, about a quarter in each form; the same for the same seed, on any machine."""
    rng = random.Random(seed)
    forms = (_standard, _constant_moved, _square_moved, _factored)
    return [_publishable(rng.choice(forms), rng) for _ in range(n)]


def _publishable(form: Callable[[random.Random], Equation | None], rng: random.Random) -> Equation:
    """Draw until the equation has two real roots (or is factored) and labels in the published ranges."""
    while True:
        equation = form(rng)
        if equation and all(
            low <= value <= high
            for low, value, high in zip(LOW, (equation.a, equation.b, equation.c), HIGH, strict=True)
        ):
            return equation


def draw(text: str) -> Image.Image:
    """Return the equation as a grey 300x100 picture, black on white, placed as the published ones are."""
    picture = Image.new("L", _SIZE, 255)
    pen = ImageDraw.Draw(picture)
    x = (_SIZE[0] - 6 * len(text)) / 2 - 30
    y = 24.5
    # Pillow's own font lacks the raised 2: a smaller 2 stands for it.
    for index, part in enumerate(text.split("²")):
        if index:
            pen.text((x, y), "2", font=_font(_FONT_SIZE * 3 // 5), fill=0)
            x += _font(_FONT_SIZE * 3 // 5).getlength("2")
        pen.text((x, y), part, font=_font(_FONT_SIZE), fill=0)
        x += _font(_FONT_SIZE).getlength(part)
    return picture


def write_folder(folder: Path, n: int, seed: int, advance: Callable[[int], None] = lambda _: None) -> None:
    """Write ``n`` equations in the published layout: two tables and a folder of PNG pictures.

    The folder appears whole or not at all. ``advance`` is told the number of pictures as they are done.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (partial / PICTURES).mkdir()
        equations = generate(n, seed)
        width = max(4, len(str(n - 1)))
        names = [f"eqn_{index:0{width}d}" for index in range(n)]

        def save(name: str, equation: Equation) -> None:
            draw(equation.text).save(partial / PICTURES / f"{name}.png", compress_level=1)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(save, names, equations):
                advance(1)
        _write_tables(partial, names, equations)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.exists():
                raise  # otherwise another process drew the same pictures first
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_tables(folder: Path, names: list[str], equations: list[Equation]) -> None:
    with (
        (folder / DETAILS_CSV).open("w", newline="", encoding="utf-8") as details_file,
        (folder / ROOTS_CSV).open("w", newline="", encoding="utf-8") as roots_file,
    ):
        details, roots = csv.writer(details_file), csv.writer(roots_file)
        details.writerow(["id", "path", *TARGETS, "root_1", "root_2", "equation"])
        roots.writerow(["ID", "Path", "Roots"])
        for name, eq in zip(names, equations, strict=True):
            first, second = (round(root, 4) for root in eq.roots)
            details.writerow([name, f"quadratic/{name}", eq.a, eq.b, eq.c, first, second, eq.text])
            roots.writerow([name, f"quadratic/{name}", f"{first}, {second}"])


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def _terms(terms: list[tuple[int, str]]) -> str:
    """Write a sum as the published pictures do: no zero terms, no coefficient 1 before a letter."""
    return " ".join(_written(terms))


def _written(terms: list[tuple[int, str]]) -> Iterator[str]:
    first = True
    for coefficient, unit in terms:
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
    """Return the equation with its roots, the larger first; None without two real ones."""
    discriminant = b * b - 4 * a * c
    if discriminant <= 0:
        return None
    spread = sqrt(discriminant)
    return Equation(a, b, c, ((-b + spread) / (2 * a), (-b - spread) / (2 * a)), text)


def _standard(rng: random.Random) -> Equation | None:
    a, b, c = rng.randint(1, 5), rng.randint(-5, 10), rng.randint(-10, 15)
    return _unfactored(a, b, c, f"{_terms([(a, 'x²'), (b, 'x'), (c, '')])} = 0")


def _constant_moved(rng: random.Random) -> Equation | None:
    a, b, c = rng.randint(10, 20), rng.randint(-25, 25), rng.randint(-100, 10)
    return _unfactored(a, b, c, f"{_terms([(a, 'x²'), (b, 'x')])} = {-c}")


def _square_moved(rng: random.Random) -> Equation | None:
    a, b, c = rng.randint(3, 16), rng.randint(-16, 96), rng.randint(-9, 81)
    return _unfactored(a, b, c, f"{_terms([(b, 'x'), (c, '')])} = -{a}x²")


def _factored(rng: random.Random) -> Equation | None:
    r, s = rng.randint(-16, 25), rng.randint(-36, 25)
    if r == 0 or s == 0:
        return None
    factors = "".join(f"(x {'-' if root > 0 else '+'} {abs(root)})" for root in (r, s))
    return Equation(1, r + s, r * s, (float(r), float(s)), f"{factors} = 0")
