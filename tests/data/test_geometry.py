from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from quadzoo.data.decoding import Decoded
from quadzoo.data.geometry import Geometry, Resize, choose_geometry, fit, parse_image_size
from quadzoo.data.survey import Survey, describe
from quadzoo.errors import ConfigError


def surveyed(images: list[np.ndarray]) -> Survey:
    survey = Survey()
    for image in images:
        survey.add(describe(Decoded(image, "PNG", "L")))
    return survey


def fitted(
    images: list[np.ndarray], size: str = "auto", resize: Resize = "letterbox"
) -> tuple[Geometry, list[np.ndarray]]:
    geometry = choose_geometry(surveyed(images), parse_image_size(size), resize)
    return geometry, [fit(image, geometry) for image in images]


def box(image: np.ndarray, ink: int | tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of all that has the colour of the ink."""
    marked = (image == ink).all(axis=2)
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)


def bordered() -> list[np.ndarray]:
    images = [np.full((100, 300), 250, np.uint8) for _ in range(3)]
    for index, image in enumerate(images):
        image[40 + index : 60, 50 : 200 + index] = 7
    return images


def shapes() -> list[np.ndarray]:
    """A disc in each of three sizes of image."""
    images = []
    for height, width in ((80, 40), (20, 60), (10, 10)):
        image = np.full((height, width, 3), 30, np.uint8)
        cv2.circle(image, (width // 2, height // 2), min(height, width) // 2 - 2, (100, 0, 200), -1)
        images.append(image)
    return images


def test_common_border_is_cut_without_loss() -> None:
    geometry, images = fitted(bordered())
    assert (geometry.size, geometry.channels, geometry.fill) == ((32, 152), 1, (250, 250, 250))
    for index, image in enumerate(images):
        assert image.shape == (32, 152, 1)
        assert (image == 7).sum() == (20 - index) * (150 + index)
        assert set(np.unique(image)) == {7, 250}


def test_a_border_that_one_image_lacks_stays() -> None:
    images = bordered()
    images[1][0, 0] = 249
    assert fitted(images)[0].crop is None
    images = [*bordered(), np.full((100, 299), 250, np.uint8)]
    assert fitted(images)[0].crop is None


def test_mixed_sizes_keep_their_aspect() -> None:
    geometry, images = fitted(shapes(), "40x40")
    assert geometry.channels == 3
    for image in images:
        height, width = box(image, (100, 0, 200))
        assert abs(height - width) <= 1
    assert fitted(shapes())[0].size == (80, 64)


def test_stretch_fills_the_size() -> None:
    geometry, images = fitted(shapes(), "40x40", "stretch")
    assert geometry.resize == "stretch"
    for image in images:
        assert image.shape == (40, 40, 3)
        assert (image[[0, 0, -1, -1], [0, -1, 0, -1]] == 30).all()  # their own ground in the corners, no fill
    height, width = box(images[0], (100, 0, 200))  # of 80x40: half as high for its width
    assert abs(2 * height - width) <= 2
    assert fitted(shapes(), "auto", "stretch")[0].size == (80, 64)


def test_stretch_cuts_the_common_border_too() -> None:
    geometry, images = fitted(bordered(), "64x64", "stretch")
    assert geometry.crop == (40, 50, 60, 202)
    assert (images[0][:, 0] == 7).all()


def test_large_images_are_scaled_to_the_cap() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (600, 900, 3), dtype=np.uint8) for _ in range(2)]
    assert fitted(images)[0].size == (152, 224)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((8, 8), (64, 64)), ((1, 1), (64, 64)), ((5, 8), (40, 64)), ((28, 28), (64, 64)), ((4, 40), (32, 64)),
        ((51, 20), (64, 32)), ((52, 52), (56, 56)), ((64, 64), (64, 64)), ((10, 100), (32, 104)),
    ],
)  # fmt: skip
def test_tiny_images_are_enlarged(shape: tuple[int, int], size: tuple[int, int]) -> None:
    images = [np.random.default_rng(n).integers(0, 255, shape, dtype=np.uint8) for n in range(3)]
    geometry, made = fitted(images)
    assert geometry.size == size
    assert all(image.shape == (*size, 1) for image in made)
    if max(shape) > 1:  # the long side is filled
        side = max(shape) * (64 / max(shape) if max(shape) < 52 else 1)
        for image in made:
            rows = np.flatnonzero(
                (image[:, :, 0] != geometry.fill[0]).any(axis=0 if shape[1] > shape[0] else 1)
            )
            assert rows[-1] - rows[0] + 1 >= side - 2


def test_tiny_images_of_mixed_sizes_are_enlarged_by_one_factor() -> None:
    """What is twice as large stays twice as large."""
    images = [np.zeros((side, side), np.uint8) for side in (32, 16)]
    for image in images:
        image[2:-2, 2:-2] = 200
    geometry, (large, small) = fitted(images)
    assert (geometry.size, geometry.max_scale) == ((64, 64), 2.0)
    assert abs((large > 100).any(axis=0).sum() - 56) <= 1
    assert abs((small > 100).any(axis=0).sum() - 24) <= 1


def squares_at(shape: tuple[int, int], *places: tuple[int, int]) -> list[np.ndarray]:
    """Images of 250, on each a square of 8 pixels of 7 whose top left corner is at a place."""
    images = [np.full(shape, 250, np.uint8) for _ in places]
    for image, (top, left) in zip(images, places, strict=True):
        image[top : top + 8, left : left + 8] = 7
    return images


def seen_by(like: Geometry, images: list[np.ndarray]) -> Geometry:
    return choose_geometry(surveyed(images), None, "stretch", like=like)


def test_what_a_model_saw_is_kept() -> None:
    images = squares_at((60, 80), (10, 10), (30, 34))
    model, _ = fitted(images)
    assert (model.crop, model.size, model.max_scale) == ((10, 10, 38, 42), (56, 64), 2.0)
    assert seen_by(model, images) == model
    assert seen_by(model, images[:1]) == model
    assert seen_by(model, [*images, np.full((60, 80), 99, np.uint8)]) == model  # one colour: nothing is lost
    assert seen_by(replace(model, crop=None), images).crop is None


def test_a_crop_that_would_lose_something_is_another_one_at_the_same_scale() -> None:
    model, _ = fitted(squares_at((60, 80), (10, 10), (30, 34)))
    beyond = seen_by(model, squares_at((60, 80), (50, 60)))
    assert beyond == replace(model, crop=(32, 48, 60, 80))  # 28x32 as before, moved to the edge
    large = seen_by(model, squares_at((200, 300), (10, 10), (90, 210)))
    assert large == replace(model, crop=(10, 10, 98, 218))
    assert seen_by(model, squares_at((20, 20), (6, 6))) == replace(model, crop=(0, 0, 20, 20))
    several = [*squares_at((60, 80), (10, 10)), *squares_at((60, 90), (10, 10))]
    assert seen_by(model, several) == replace(model, crop=None)


def test_one_colour_image_among_grey() -> None:
    grey, colour = np.eye(32, dtype=np.uint8), np.zeros((32, 32, 3), np.uint8)
    colour[3, 3] = (1, 2, 3)
    geometry, images = fitted([grey, colour], "32")
    assert geometry.channels == 3
    assert np.array_equal(images[0], np.repeat(grey[:, :, None], 3, axis=2))


def test_survey_counts() -> None:
    grey = np.eye(32, dtype=np.uint8)
    survey = surveyed([grey, np.zeros((32, 32), np.uint8), grey.copy(), grey[:16]])
    assert survey.blank == [1]
    assert survey.shapes == {(32, 32): 3, (16, 32): 1}
    assert survey.content_ids[0] == survey.content_ids[2]
    assert len(set(survey.content_ids.tolist())) == 3


def test_the_same_bytes_in_another_shape_are_another_image() -> None:
    row = np.arange(64, dtype=np.uint8)
    assert len(set(surveyed([row.reshape(8, 8), row.reshape(4, 16)]).content_ids.tolist())) == 2


@pytest.mark.parametrize(
    ("text", "size"), [("auto", None), ("224", (224, 224)), ("32x200", (32, 200)), ("32X64", (32, 64))]
)
def test_image_size(text: str, size: tuple[int, int] | None) -> None:
    assert parse_image_size(text) == size


@pytest.mark.parametrize("text", ["", "3", "x", "32x", "1x2x3", "-8", "99999", "8.5", "3²"])
def test_bad_image_size(text: str) -> None:
    with pytest.raises(ConfigError, match="`image_size`"):
        parse_image_size(text)
