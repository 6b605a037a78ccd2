from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_images

from quadzoo.data.equations import draw, generate
from quadzoo.data.near import BITS, MOST_DIFFERENT_BITS, near_pairs, perceptual_hash


def photographs() -> list[Image.Image]:
    """Twelve cuttings of two photographs that come with scikit-learn."""
    first, second = (Image.fromarray(pixels) for pixels in load_sample_images().images)
    corners = [(0, 0), (200, 0), (400, 0), (0, 200), (200, 200), (400, 200)]
    return [photo.crop((x, y, x + 200, y + 200)) for photo in (first, second) for x, y in corners]


def saved_again(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return Image.open(file)


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": saved_again,
    "scaled": lambda image: image.resize((image.width * 4 // 5, image.height * 4 // 5)),
    "lighter": lambda image: ImageEnhance.Brightness(image).enhance(1.05),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.9),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_image_is_found_and_others_are_not(edit: str) -> None:
    images = photographs()
    texts = {equation.text: equation for equation in generate(12, seed=0)}
    images += [draw(text).crop((55, 25, 265, 65)) for text in texts]
    copies = [EDITS[edit](image) for image in images]
    hashes = np.stack([perceptual_hash(np.asarray(image)) for image in images + copies])
    found = {(i, j) for i, j, _ in near_pairs(hashes)}
    right = {(i, i + len(images)) for i in range(len(images))}
    assert found <= right
    assert len(found) >= 0.75 * len(right)  # flat sky has no structure to go by


def test_pairs_are_those_of_comparing_all() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, (300, BITS // 8), dtype=np.uint8)
    for row in range(150, 300):  # half are others with some bits flipped
        bits = np.unpackbits(hashes[row - 150])
        bits[rng.choice(BITS, rng.integers(0, 12), replace=False)] ^= 1
        hashes[row] = np.packbits(bits)
    apart = np.unpackbits(hashes[:, None] ^ hashes[None], axis=2).sum(axis=2, dtype=int)
    expected = [
        (i, j, int(apart[i, j]))
        for i in range(300)
        for j in range(i + 1, 300)
        if apart[i, j] <= MOST_DIFFERENT_BITS
    ]
    assert 50 < len(expected) < 150
    assert near_pairs(hashes) == expected


def test_nothing_to_compare() -> None:
    assert near_pairs(np.zeros((0, BITS // 8), np.uint8)) == []
    assert near_pairs(np.zeros((1, BITS // 8), np.uint8)) == []
