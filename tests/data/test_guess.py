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


@pytest.mark.parametrize("start", ["C:\\Daten\\patches\\", "/home/anna/patches/"])
def test_paths_of_another_machine_name_what_they_mean_row_by_row(tmp_path: Path, start: str) -> None:
    names = photos(tmp_path / "patches", 12)
    path = table(tmp_path / "t.csv", [(f"{start}{one}", i) for i, one in enumerate(names)], ("path", "y"))
    for images in (None, tmp_path / "patches"):
        told = refused(path, images=images)
        assert "row 2: " in told
        assert f"{names[0]}'? (12 such rows" in told.partition("did you mean '")[2]


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


def numbered(folder: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> Path:
    """A table whose first column is the number of the row, beside 30 images 1.png to 30.png."""
    photos(folder / "photos", 31, "{}.png")
    return table(folder / "t.csv", [(i, *row) for i, row in enumerate(rows, 1)], header)


@pytest.mark.parametrize("asked", [True, False])
def test_an_id_that_numbers_the_rows_does_not_win_over_the_names_of_files(
    tmp_path: Path, asked: bool
) -> None:
    rows = [(f"{i * 7 % 31}.png", i * 1.5) for i in range(1, 31)]
    path = numbered(tmp_path, ("id", "file", "age"), rows)
    images = {"images": tmp_path / "photos"} if asked else {}
    assert (
        "columns 'id' and 'file' name different images ('1.png' and '7.png' in one row); say which with "
        "--id-column" in refused(path, **images)
    )
    by_file = benched(path, id_column="file", **images).source
    assert by_file.target_names == ("age",)
    assert dict(zip(by_file.files, by_file.targets[:, 0], strict=True))["7.png"] == 1.5
    assert (
        dict(zip((by_id := benched(path, id_column="id").source).files, by_id.targets[:, 0], strict=True))[
            "1.png"
        ]
        == 1.5
    )


def test_some_missing_images_leave_the_doubt(tmp_path: Path) -> None:
    rows = [(f"{i * 7 % 31 + (i < 4) * 90}.png", i * 1.5) for i in range(1, 31)]
    assert "columns 'id' and 'file' name different images" in refused(
        numbered(tmp_path, ("id", "file", "age"), rows)
    )
    assert "columns 'nr' and 'file' name different images" in refused(
        numbered(tmp_path, ("nr", "file", "age"), rows)
    )


def test_an_id_that_names_no_image_leaves_it_to_the_column_that_does(tmp_path: Path) -> None:
    names = photos(tmp_path / "photos", 30)
    rows = [(i, names[-i], i * 1.5) for i in range(1, 31)]
    path = table(tmp_path / "t.csv", rows, ("id", "file", "age"))
    bench = benched(path)
    assert bench.warned("column 'file' names the images")
    assert bench.source.target_names == ("age",)
    assert bench.source.files[0] == "p00.png"
    assert bench.source.targets[0, 0] == 45


@pytest.mark.parametrize("spelling", ["C:\\data\\{}.png", "{}.jpg", "/home/me/{}.png", "raw/{:03d}.tif"])
def test_names_of_files_that_are_only_nearly_right_leave_the_doubt(tmp_path: Path, spelling: str) -> None:
    others = [(spelling.format(31 - i), i * 1.5) for i in range(1, 31)]
    told = "columns 'id' and 'file' name different images ('1.png' and '30.png' in one row)"
    assert told in refused(numbered(tmp_path, ("id", "file", "age"), others))
    same = [(spelling.format(i), i * 1.5) for i in range(1, 31)]
    for name in ("id", "name"):
        assert guessed(numbered(tmp_path, (name, "file", "age"), same)).doubts == []


@pytest.mark.parametrize("path_of", ["{}.png", "photos/{}.png", "./{}"])
def test_an_id_and_a_path_of_the_same_images_are_no_doubt(tmp_path: Path, path_of: str) -> None:
    rows = [(path_of.format(i), i * 1.5) for i in range(1, 31)]
    found = guessed(numbered(tmp_path, ("id", "path", "age"), rows))
    assert (found.id_column, found.images, found.doubts) == ("id", tmp_path / "photos", [])


@pytest.mark.parametrize("name", ["age", "count"])
def test_targets_that_happen_to_be_names_of_images_are_no_doubt(tmp_path: Path, name: str) -> None:
    path = numbered(tmp_path, ("id", name), [(i * i % 19 + 1,) for i in range(1, 31)])
    found = guessed(path)
    assert (found.id_column, found.targets, found.doubts) == ("id", (name,), [])
    backwards = numbered(tmp_path, ("id", name), [(31 - i,) for i in range(1, 31)])
    assert f"columns 'id' and '{name}' name different images" in refused(backwards)
    assert benched(backwards, targets=(name,)).source.targets[0, 0] == 30


@pytest.mark.parametrize("names", ["{}.png", "{}"])
@pytest.mark.parametrize("first", ["id", "file"])
def test_different_numbers_that_name_fewer_images_are_no_doubt(
    tmp_path: Path, names: str, first: str
) -> None:
    photos(tmp_path, 40, "{}.png")
    path = table(tmp_path / "t.csv", [(names.format(i), i + 7) for i in range(40)], (first, "y"))
    found = guessed(path)
    assert (found.id_column, found.targets, found.doubts) == (first, ("y",), [])


def test_targets_that_name_images_in_the_first_rows_are_looked_at_in_all(tmp_path: Path) -> None:
    photos(tmp_path, 300, "{}.png")
    path = table(tmp_path / "t.csv", [(i, (i * 7) % 60) for i in range(300)], ("id", "y"))
    assert guessed(path).doubts == []


def test_a_wide_table_is_not_searched_for_names_among_its_decimals(tmp_path: Path) -> None:
    names = photos(tmp_path, 10)
    header = ("id", *(f"f{k}" for k in range(80)), "file")
    path = table(tmp_path / "t.csv", [(i, *[i + 0.5] * 80, one) for i, one in enumerate(names)], header)
    assert guessed(path, targets=("f1",)).id_column == "file"


@pytest.mark.parametrize(
    ("name", "numbers", "is_target"),
    [
        ("lfd. Nr.", range(12, 0, -1), False),
        ("sample_no", [*range(1, 12), 0], False),
        ("y", range(1, 13), True),  # nothing says so
        ("lfd. Nr.", [*range(1, 11), 11, 11], True),
        ("piano", range(1, 13), True),
    ],
)
def test_a_column_that_numbers_the_rows_in_another_order(
    tmp_path: Path, name: str, numbers: list[int], is_target: bool
) -> None:
    rows = [(one, n, n * n % 7) for one, n in zip(photos(tmp_path, 12), numbers, strict=True)]
    path = table(tmp_path / "t.csv", rows, ("file", name, "age"))
    assert guessed(path).targets == ((name, "age") if is_target else ("age",))
