from __future__ import annotations

import cv2
import numpy as np
import pytest

from quadzoo.data.decoding import Decoded
from quadzoo.data.geometry import Geometry, Resize, Survey, choose_geometry, fit, look, parse_image_size
from quadzoo.errors import ConfigError


def surveyed(pictures: list[np.ndarray]) -> Survey:
    survey = Survey()
    for picture in pictures:
        survey.add(look(Decoded(picture, "PNG", "L")))
    return survey


def fitted(
    pictures: list[np.ndarray], size: str = "auto", resize: Resize = "letterbox"
) -> tuple[Geometry, list[np.ndarray]]:
    geometry = choose_geometry(surveyed(pictures), parse_image_size(size), resize)
    return geometry, [fit(picture, geometry) for picture in pictures]


def box(picture: np.ndarray, ink: int | tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of all that has the colour of the ink."""
    marked = (picture == ink).all(axis=2)
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)


def bordered() -> list[np.ndarray]:
    pictures = [np.full((100, 300), 250, np.uint8) for _ in range(3)]
    for index, picture in enumerate(pictures):
        picture[40 + index : 60, 50 : 200 + index] = 7
    return pictures


def shapes() -> list[np.ndarray]:
    """A disc in each of three sizes of picture."""
    pictures = []
    for height, width in ((80, 40), (20, 60), (10, 10)):
        picture = np.full((height, width, 3), 30, np.uint8)
        cv2.circle(picture, (width // 2, height // 2), min(height, width) // 2 - 2, (100, 0, 200), -1)
        pictures.append(picture)
    return pictures


def test_common_border_is_cut_without_loss() -> None:
    geometry, pictures = fitted(bordered())
    assert (geometry.size, geometry.channels, geometry.fill) == ((32, 152), 1, (250, 250, 250))
    for index, picture in enumerate(pictures):
        assert picture.shape == (32, 152, 1)
        assert (picture == 7).sum() == (20 - index) * (150 + index)
        assert set(np.unique(picture)) == {7, 250}


def test_a_border_that_one_picture_lacks_stays() -> None:
    pictures = bordered()
    pictures[1][0, 0] = 249
    assert fitted(pictures)[0].crop is None
    pictures = [*bordered(), np.full((100, 299), 250, np.uint8)]
    assert fitted(pictures)[0].crop is None


def test_mixed_sizes_keep_their_aspect() -> None:
    geometry, pictures = fitted(shapes(), "40x40")
    assert geometry.channels == 3
    for picture in pictures:
        height, width = box(picture, (100, 0, 200))
        assert abs(height - width) <= 1
    assert fitted(shapes())[0].size == (80, 64)


def test_stretch_fills_the_size() -> None:
    geometry, pictures = fitted(shapes(), "40x40", "stretch")
    assert geometry.resize == "stretch"
    for picture in pictures:
        assert picture.shape == (40, 40, 3)
        assert (
            picture[[0, 0, -1, -1], [0, -1, 0, -1]] == 30
        ).all()  # their own ground in the corners, no fill
    height, width = box(pictures[0], (100, 0, 200))  # of 80x40: half as high for its width
    assert abs(2 * height - width) <= 2
    assert fitted(shapes(), "auto", "stretch")[0].size == (80, 64)


def test_stretch_cuts_the_common_border_too() -> None:
    geometry, pictures = fitted(bordered(), "64x64", "stretch")
    assert geometry.crop == (40, 50, 60, 202)
    assert (pictures[0][:, 0] == 7).all()


def test_large_pictures_are_scaled_to_the_cap() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (600, 900, 3), dtype=np.uint8) for _ in range(2)]
    assert fitted(pictures)[0].size == (152, 224)


def test_one_colour_picture_among_grey() -> None:
    grey, colour = np.eye(32, dtype=np.uint8), np.zeros((32, 32, 3), np.uint8)
    colour[3, 3] = (1, 2, 3)
    geometry, pictures = fitted([grey, colour])
    assert geometry.channels == 3
    assert np.array_equal(pictures[0], np.repeat(grey[:, :, None], 3, axis=2))


def test_survey_counts() -> None:
    grey = np.eye(32, dtype=np.uint8)
    survey = surveyed([grey, np.zeros((32, 32), np.uint8), grey.copy(), grey[:16]])
    assert survey.blank == [1]
    assert survey.shapes == {(32, 32): 3, (16, 32): 1}
    assert survey.pixels[0] == survey.pixels[2]
    assert len(set(survey.pixels.tolist())) == 3


def test_the_same_bytes_in_another_shape_are_another_picture() -> None:
    row = np.arange(64, dtype=np.uint8)
    assert len(set(surveyed([row.reshape(8, 8), row.reshape(4, 16)]).pixels.tolist())) == 2


@pytest.mark.parametrize(
    ("text", "size"), [("auto", None), ("224", (224, 224)), ("32x200", (32, 200)), ("32X64", (32, 64))]
)
def test_image_size(text: str, size: tuple[int, int] | None) -> None:
    assert parse_image_size(text) == size


@pytest.mark.parametrize("text", ["", "3", "x", "32x", "1x2x3", "-8", "99999", "8.5", "3²"])
def test_bad_image_size(text: str) -> None:
    with pytest.raises(ConfigError, match="--image-size"):
        parse_image_size(text)
