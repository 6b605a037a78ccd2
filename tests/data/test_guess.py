from __future__ import annotations

from pathlib import Path

import pytest

from quadzoo.data.guess import Guesses, complete
from tests.benched import benched, photos, refused, table


def guessed(path: Path, images: Path | None = None, **known: object) -> Guesses:
    asked = {"id_column": None, "targets": None, "group_column": None, **known}
    return complete(path, images, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("folder", ["", "images", "Bilder 1"])
def test_the_folder_and_the_column_that_name_images_are_found(tmp_path: Path, folder: str) -> None:
    names = photos(tmp_path / folder, 12)
    (tmp_path / "empty").mkdir()
    path = table(tmp_path / "t.csv", [(i, f"n{i}", one, i * i) for i, one in enumerate(names)],
                 ("nr", "who", "picture", "age"))  # fmt: skip
    found = guessed(path)
    assert (found.images, found.id_column, found.targets) == (tmp_path / folder, "picture", ("age",))
    assert found.doubts == []
    bench = benched(path)
    assert len(bench.source) == 12
    assert bench.warned("t.csv: column 'picture' names the images")
    assert bench.warned("t.csv: the target is age")
    assert bench.warned("t.csv: the images are in")


def test_two_folders_or_columns_leave_a_doubt(tmp_path: Path) -> None:
    names = photos(tmp_path / "a", 12)
    photos(tmp_path / "b", 12)
    path = table(tmp_path / "t.csv", [(one, i) for i, one in enumerate(names)])
    assert "images may be in" in refused(path)
    assert "say which with --images" in refused(path)
    assert len(benched(path, images=tmp_path / "a").source) == 12
    two = table(tmp_path / "u.csv", [(one, one, i) for i, one in enumerate(names)], ("left", "right", "y"))
    assert "columns 'left' and 'right' name images; say which with --id-column" in refused(
        two, images=tmp_path / "a"
    )


def test_no_folder_holds_the_images(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", [(f"none{i}", i) for i in range(9)])
    assert "--images: no image of the first rows is in" in refused(path)


@pytest.mark.parametrize(
    ("cells", "severity", "why"),
    [
        (["3,5", "4,25"] * 5, "warning", "it has decimal commas"),
        (["982", "1,855"] * 5, "warning", "it has thousands separators"),
        (["5 %", "6 %"] * 5, "warning", "it has percent signs"),
        (["5 kg", "6 kg"] * 5, "warning", "it has units"),
        (["1", ""] * 5, "warning", "many of its cells are empty"),
        (["1", "2", "3", "red"] * 2 + ["1", "2"], None, ""),
        (["1", "2", "red", "blue", "4"] * 2, "warning", "many of its cells are no numbers"),
        (["2024-01-01", "2024-01-02"] * 5, "note", "it has dates"),
        (["yes", "no"] * 5, "note", "it has true or false"),
        (["red", "blue"] * 5, "note", "it holds text"),
        (["7"] * 10, "note", "it is the same number in every row"),
        ([""] * 10, "note", "it is empty"),
    ],
)
def test_why_a_column_is_no_target(tmp_path: Path, cells: list[str], severity: str | None, why: str) -> None:
    names = photos(tmp_path, 10)
    rows = [(one, i, cell) for i, (one, cell) in enumerate(zip(names, cells, strict=True))]
    path = table(tmp_path / "t.csv", rows, ("id", "y", "z"))
    found = guessed(path)
    if severity is None:
        assert found.targets == ("y", "z")  # few cells: faults of their rows
        return
    assert found.targets == ("y",)
    (left,) = found.left_out
    assert (left.severity, left.count) == (severity, 1)
    assert left.text.endswith(why)
    if severity == "warning":
        assert why in refused(path)
        assert benched(path, targets=("y",)).source.target_names == ("y",)


@pytest.mark.parametrize("name", ["", "index", "Unnamed: 0", "patient_id", "split"])
def test_columns_that_are_no_targets_by_their_name(tmp_path: Path, name: str) -> None:
    names = photos(tmp_path, 10)
    path = table(tmp_path / "t.csv", [(one, i * 2, i // 2) for i, one in enumerate(names)], ("id", "y", name))
    assert guessed(path).targets == ("y",)
    assert not guessed(path).doubts


def test_many_columns_of_numbers_are_features_until_somebody_says_so(tmp_path: Path) -> None:
    names = photos(tmp_path, 10)
    header = ("id", *(f"f{k}" for k in range(40)))
    path = table(
        tmp_path / "t.csv", [(one, *(i * k for k in range(1, 41))) for i, one in enumerate(names)], header
    )
    assert "40 columns hold numbers; name those to predict" in refused(path)
    assert benched(path, targets=("f3", "f5")).source.targets.shape == (10, 2)


def test_a_table_without_a_header(tmp_path: Path) -> None:
    names = photos(tmp_path, 10)
    path = table(tmp_path / "t.csv", [(one, i) for i, one in enumerate(names[1:])], (names[0], "3.5"))
    assert "row 1: names an image ('p00.png'), not columns" in refused(path)
    assert "the first line seems to be a row ('3.5')" in refused(path, targets=("y",))
