from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from quadzoo.data import equations
from quadzoo.data.decoding import decode
from quadzoo.data.equations import (
    DETAILS_CSV,
    HIGH,
    IMAGES,
    LOW,
    ROOTS_CSV,
    draw,
    generate,
    read,
    same_roots,
    write_folder,
)


def signed(sign: str, number: str) -> int:
    return int(f"{sign or '+'}{number or 1}")


def side(text: str) -> tuple[int, int, int]:
    """Coefficients of x², x and 1 in a written sum."""
    found = [0, 0, 0]
    for sign, number, unit in re.findall(r"([+-]?)\s*(\d*)(x²|x|)", text):
        if number or unit:
            found[("x²", "x", "").index(unit)] += signed(sign, number)
    return found[0], found[1], found[2]


def test_labels_are_what_is_written() -> None:
    forms = {"factored": 0, "moved": 0, "square": 0, "standard": 0}
    for eq in generate(2000, seed=3):
        for labels in (eq.labels("true"), eq.labels("published")):
            assert all(low <= v <= high for low, v, high in zip(LOW, labels, HIGH, strict=True))
        left, right = eq.text.split(" = ")
        if factors := re.fullmatch(r"\(x ([+-]) (\d+)\)\(x ([+-]) (\d+)\)", left):
            forms["factored"] += 1
            r, s = -signed(factors[1], factors[2]), -signed(factors[3], factors[4])
            assert (eq.a, eq.b, eq.c, eq.roots) == (1, -(r + s), r * s, (r, s))
            # the published convention: b is the sum of the roots, not its opposite
            assert (eq.labels("true"), eq.labels("published")) == ((1, -(r + s), r * s), (1, r + s, r * s))
            continue
        forms["square" if "²" in right else "standard" if right == "0" else "moved"] += 1
        written = tuple(p - q for p, q in zip(side(left), side(right), strict=True))
        assert written == (eq.a, eq.b, eq.c) == eq.labels("true") == eq.labels("published")
        assert all(eq.a * root**2 + eq.b * root + eq.c == pytest.approx(0, abs=1e-6) for root in eq.roots)
        assert " 1x" not in eq.text
        assert not re.search(r"\b0x|[+-] 0", eq.text)
    assert min(forms.values()) > 400


def test_same_seed_same_equations() -> None:
    assert generate(50, seed=7) == generate(50, seed=7) != generate(50, seed=8)


def test_image() -> None:
    image = np.array(draw("38x + 14 = -7x²"))
    assert image.shape == (100, 300)
    assert image[0, 0] == 255
    assert image.min() == 0
    rows = np.flatnonzero((image < 255).any(axis=1))
    assert rows[0] > 20
    assert rows[-1] < 70


@pytest.mark.parametrize("size", [25, 32, 60])
def test_a_wide_font_stays_in_the_image(size: int, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equations, "_FONT_SIZE", size)
    image = draw("(x - 16)(x + 28) = 0", published.parent / "fonts" / "HindSiliguri-Regular.ttf")
    columns = np.flatnonzero((np.array(image) < 128).any(axis=0))
    assert columns[0] >= 4
    assert 200 < columns[-1] <= 295


def test_folder_has_the_published_layout(tmp_path: Path) -> None:
    done: list[int] = []
    write_folder(tmp_path / "made", 12, seed=5, advance=done.append)
    assert sum(done) == 12
    with (tmp_path / "made" / DETAILS_CSV).open(encoding="utf-8") as file:
        details = list(csv.DictReader(file))
    assert list(details[0]) == ["id", "path", "a", "b", "c", "root_1", "root_2", "equation"]
    assert [row["id"] for row in details] == [f"eqn_{i:04d}" for i in range(12)]
    with (tmp_path / "made" / ROOTS_CSV).open(encoding="utf-8") as file:
        roots = list(csv.DictReader(file))
    assert list(roots[0]) == ["ID", "Path", "Roots"]
    assert roots[3]["Roots"] == f"{details[3]['root_1']}, {details[3]['root_2']}"
    assert sorted(p.stem for p in (tmp_path / "made" / IMAGES).iterdir()) == [r["id"] for r in details]
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_drawn_can_be_read(seed: int) -> None:
    for eq in generate(1000, seed):
        assert read(eq.text) == eq
        assert same_roots(eq.roots, (round(eq.roots[1], 4), round(eq.roots[0], 4)))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("x² - x = 0", (1, -1, 0)),
        (" - 11x - 9 = -5x²", (5, -11, -9)),
        ("4 = -3x²+13x", (3, -13, 4)),
        ("(x+1)(x-5)=0", (1, -4, -5)),
    ],
)
def test_ways_to_write(text: str, written: tuple[int, int, int]) -> None:
    equation = read(text)
    assert equation
    assert (equation.a, equation.b, equation.c) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "x = 1",
        "x² + 1 = 0",
        "x² = = 4",
        "x³ = 1",
        "(x - 1)(x - 2) = 3",
        "2y² = 8",
        "x²",
        "x² - 2x + 1 = 0",
    ],
)
def test_what_is_no_such_equation(text: str) -> None:
    assert read(text) is None


def test_roots_are_the_same_to_four_decimals() -> None:
    assert same_roots((1.23456, -2), (-2.00004, 1.2346))
    assert not same_roots((1.23456, -2), (1.2348, -2))
    assert not same_roots((1, 2), (float("nan"), 2))


def test_the_published_images_can_be_drawn_again(published: Path) -> None:
    """All 2,000, to within one grey level in every pixel; and every label, root and name as published."""
    font = published.parent / "fonts" / "HindSiliguri-Regular.ttf"
    with (published / DETAILS_CSV).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2000
    exact = 0
    for row in rows:
        equation = read(row["equation"])
        assert equation
        assert tuple(int(row[name]) for name in "abc") == equation.labels("published")
        assert (row["root_1"], row["root_2"]) == tuple(str(round(root, 4)) for root in equation.roots)
        assert row["path"] == f"quadratic/{row['id']}"
        original = decode((published / IMAGES / f"{row['id']}.png").read_bytes()).pixels.astype(int)
        difference = np.abs(original - np.asarray(draw(equation.text, font)))
        assert difference.max() <= 1, row
        exact += difference.max() == 0
    assert exact == 1118
