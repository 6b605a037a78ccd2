from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from quadzoo.cli.options import with_flags
from quadzoo.data.split_files import read_division
from quadzoo.errors import SplitError
from tests.benched import benched, checked, finding, photos, table

FILES = [f"sub/Ü{i:02d}.png" for i in range(10)]
SIDES = ["train"] * 6 + ["val"] * 2 + ["test"] * 2


def division(path: Path) -> tuple[list[list[int]], int]:
    names = [file.removesuffix(".png") for file in FILES]
    sides, unused = read_division(path, FILES, names, FILES)
    return [side.tolist() for side in sides], unused


@pytest.mark.parametrize(
    "words",
    [
        {"train": "training", "val": "Validation", "test": "TEST "},
        {"train": "TRAIN", "val": "dev", "test": "holdout"},
        {"train": "Train\u00a0", "val": "valid", "test": "Hold-Out"},
        {"train": "trn", "val": "development", "test": "held_out"},
    ],
)
def test_sides_in_the_usual_words(tmp_path: Path, words: dict[str, str]) -> None:
    path = table(
        tmp_path / "s.csv", zip(FILES, (words[side] for side in SIDES), strict=True), ("id", "split")
    )
    assert division(path) == ([[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]], 0)


@pytest.mark.parametrize(
    "spell",
    [
        lambda file: file.removesuffix(".png"),
        lambda file: f"./{file}",
        lambda file: f" {file}\u00a0",
        lambda file: unicodedata.normalize("NFD", file),
    ],
)
def test_ids_in_other_spellings(tmp_path: Path, spell: Callable[[str], str]) -> None:
    path = table(tmp_path / "s.csv", zip(map(spell, FILES), SIDES, strict=True), ("id", "split"))
    assert division(path)[0] == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (("id", "split"), {"delimiter": ";"}),
        (("Image", "Set"), {"delimiter": "\t"}),
        (("file", "subset"), {"encoding": "utf-16"}),
        (("picture", "partition"), {"encoding": "utf-8-sig"}),
        (("id", "Split "), {"delimiter": "|"}),
    ],
)
def test_tables_as_others_write_them(tmp_path: Path, header: tuple[str, str], kind: dict[str, str]) -> None:
    path = table(tmp_path / "s.csv", zip(FILES, SIDES, strict=True), header, **kind)
    assert division(path)[0] == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]


def test_unused_images_are_counted(tmp_path: Path) -> None:
    sides = ["unused", *SIDES[1:-1], "Excluded"]
    path = table(tmp_path / "s.csv", zip(FILES, sides, strict=True), ("id", "split"))
    assert division(path) == ([[1, 2, 3, 4, 5], [6, 7], [8]], 2)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda rows: rows[:7], r"leaves out 3 of 10 images \(sub/Ü07.png, sub/Ü08.png, sub/Ü09.png\)"),
        (
            lambda rows: [*rows, (FILES[0], "test")],
            "row 12: id 'sub/Ü00.png' is in train by row 2 and in test",
        ),
        (lambda rows: [*rows, (FILES[0][:-4], "train")], "row 12: id 'sub/Ü00' is in train twice"),
        (lambda rows: [(FILES[0], ""), *rows[1:]], "row 2: split '' is not train, val or test"),
        (lambda rows: [(FILES[0], "0"), *rows[1:]], "row 2: split '0' is not train, val or test"),
        (lambda rows: [*rows, ("sub/x.png", "train")], "row 12: id 'sub/x.png' is not in the data$"),
        (lambda rows: [(FILES[0].upper(), "val"), *rows[1:]], "row 2: .*; did you mean 'sub/Ü00.png'"),
        (lambda rows: [("img\\Ü00.png", "val"), *rows[1:]], "row 2: .*; did you mean 'sub/Ü00.png'"),
        (lambda rows: [("Ü00.jpg", "val"), *rows[1:]], "row 2: .*; did you mean 'sub/Ü00.png'"),
        (lambda rows: [("Ü0", "val"), *rows[1:]], "row 2: .*; did you mean 'sub/Ü00.png'"),
        (lambda rows: [rows[0][:1], *rows[1:]], "row 2: 1 cell where the header has 2"),
        (lambda rows: [*rows, ("id", "split")], "row 12: the header again"),
    ],
)
def test_one_line_names_the_row(
    tmp_path: Path, edit: Callable[[list[tuple[str, ...]]], list[tuple[str, ...]]], told: str
) -> None:
    rows: list[tuple[str, ...]] = list(zip(FILES, SIDES, strict=True))
    path = table(tmp_path / "s.csv", edit(rows), ("id", "split"))
    with pytest.raises(SplitError, match=told) as error:
        division(path)
    assert len(str(error.value).replace(str(tmp_path), "")) < 250


def test_the_columns_cannot_be_told(tmp_path: Path) -> None:
    rows = list(zip(FILES, SIDES, strict=True))
    with pytest.raises(SplitError, match="the first line seems to be a row"):
        division(table(tmp_path / "s.csv", rows[1:], rows[0]))
    twice = [(FILES[-at - 1], file, side) for at, (file, side) in enumerate(rows)]
    with pytest.raises(SplitError, match="row 2: columns 'left' and 'right' name different images"):
        division(table(tmp_path / "s.csv", twice, ("left", "right", "split")))
    with pytest.raises(SplitError, match="none of its columns names images"):
        division(table(tmp_path / "s.csv", [("1", "2", "train")], ("left", "right", "split")))


def test_two_columns_of_the_same_images(tmp_path: Path) -> None:
    rows = [(file[:-4], file, side) for file, side in zip(FILES, SIDES, strict=True)]
    for header in (("left", "right", "split"), ("file", "id", "split")):
        assert division(table(tmp_path / "s.csv", rows, header))[0] == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (("id", "file", "y", "split"), ""),  # the table itself
        (("id", "image", "y", "split"), "columns 'id' and 'image' name different images ('1' and '7.png')"),
        (("nr", "image", "y", "split"), "columns 'nr' and 'image' name different images ('1' and '7.png')"),
    ],
)
def test_the_column_that_names_images_in_the_table_names_them_in_the_split(
    tmp_path: Path, header: tuple[str, ...], told: str
) -> None:
    photos(tmp_path, 31, "{}.png")
    sides = ["train"] * 20 + ["val"] * 4 + ["test"] * 6
    rows = [(i, f"{i * 7 % 31}.png", i * 1.5, sides[i - 1]) for i in range(1, 31)]
    path = table(tmp_path / "t.csv", rows, ("id", "file", "y", "split"))
    given = {"id_column": "file", "targets": ("y",), "split": str(table(tmp_path / "s.csv", rows, header))}
    if told:
        with pytest.raises(SplitError) as error:
            benched(path, **given)
        assert told in str(error.value)
        return
    bench = benched(path, **given)
    (split,) = bench.splits
    assert sorted(bench.source.targets[split.test, 0]) == [i * 1.5 for i in range(25, 31)]


def test_the_column_with_most_images_is_taken_where_the_table_has_another_name(tmp_path: Path) -> None:
    rows = [(file, "one site", side) for file, side in zip(FILES, SIDES, strict=True)]
    path = table(tmp_path / "s.csv", rows, ("picture", "id", "split"))
    names = [file.removesuffix(".png") for file in FILES]
    sides, _ = read_division(path, FILES, names, FILES, id_column="file")
    assert [side.tolist() for side in sides] == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize("spelling", ["C:\\data\\{}.png", "photos/{}.png", "{:03d}.jpg"])
@pytest.mark.parametrize("name", ["file", "path"])
def test_row_numbers_do_not_win_over_names_that_are_nearly_right(
    tmp_path: Path, spelling: str, name: str
) -> None:
    names = [str(i) for i in range(1, 11)]
    rows = [(i, spelling.format(11 - i), side) for i, side in enumerate(SIDES, 1)]
    path = table(tmp_path / "s.csv", rows, ("id", name, "split"))
    told = "did you mean '10'" if name == "file" else "columns 'id' and 'path' name different images"
    with pytest.raises(SplitError, match=told):
        read_division(path, names, names, [f"{one}.png" for one in names], id_column="file")
    same = [(i, spelling.format(i), side) for i, side in enumerate(SIDES, 1)]
    path = table(tmp_path / "s.csv", same, ("id", "path", "split"))
    sides, _ = read_division(path, names, names, [f"{one}.png" for one in names], id_column="file")
    assert [side.tolist() for side in sides] == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]


def test_a_column_of_nearly_as_many_other_images_leaves_a_doubt(tmp_path: Path) -> None:
    names = [str(i) for i in range(1, 31)]
    sides = ["train"] * 20 + ["val"] * 5 + ["test"] * 5
    rows = [(i, 31 - i if i > 1 else "gone", i % 11, side) for i, side in enumerate(sides, 1)]
    path = table(tmp_path / "s.csv", rows, ("nr", "image", "age", "split"))
    with pytest.raises(SplitError, match="columns 'nr' and 'image' name different images"):
        read_division(path, names, names, names)
    alone = table(tmp_path / "s.csv", [(nr, age, side) for nr, _, age, side in rows], ("nr", "age", "split"))
    assert [len(side) for side in read_division(alone, names, names, names)[0]] == [20, 5, 5]


@pytest.mark.parametrize("suffix", [True, False])
def test_absolute_paths_into_the_folder(tmp_path: Path, suffix: bool) -> None:
    names = [file.removesuffix(".png") for file in FILES]
    rows = [(f"{tmp_path}/{one}", side) for one, side in zip(FILES if suffix else names, SIDES, strict=True)]
    path = table(tmp_path / "s.csv", rows, ("id", "split"))
    sides, _ = read_division(path, FILES, names, FILES, folder=tmp_path)
    assert [side.tolist() for side in sides] == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize("spelling", ["{}", "{}.png", "{folder}/{}", "{folder}/{}.png"])
def test_images_that_are_left_out_may_be_named_in_any_spelling(tmp_path: Path, spelling: str) -> None:
    names = photos(tmp_path, 20, "{}.png")
    rows = [(one, "" if i == 4 else i * 1.5) for i, one in enumerate(names)]
    path = table(tmp_path / "t.csv", rows, ("file", "y"))
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:200])
    sides = ("train", "train", "train", "val", "test")
    split = table(
        tmp_path / "s.csv",
        [(spelling.format(i, folder=tmp_path), sides[i % 5]) for i in range(20)],
        ("id", "split"),
    )
    bench = benched(
        path, id_column="file", targets=("y",), split=str(split), damaged="skip", missing_targets="mask"
    )
    assert bench.sizes == (12, 3, 3)


def test_a_column_of_the_table_that_divides_it_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    photos(tmp_path, 30)
    sides = ["Train"] * 20 + ["val"] * 4 + ["test"] * 6

    def told(name: str, cells: Sequence[object], **more: object) -> str:
        rows = [(f"p{i:02d}", i * 1.5, cell) for i, cell in enumerate(cells)]
        path = table(tmp_path / "t.csv", rows, ("id", "y", name))
        notes = [line for line in benched(path, targets=("y",), **more).told if "seems to divide" in line]
        split = str(more.get("split", "grouped"))
        found = [one for one in checked(path, split, targets=("y",)).findings if one.code == "own-split"]
        assert [with_flags(one.examples[0]) for one in found] == [line.split("used: ")[1] for line in notes]
        return "".join(notes).replace(str(tmp_path), "")

    said = "note: column of the table that seems to divide the images, and is not used: "
    assert told("split", sides).endswith("/t.csv uses it")
    assert told("split", sides).startswith(f"{said}split (20 train, 4 val, 6 test): --split ")
    assert told("split", sides, split=str(tmp_path / "t.csv")) == ""
    assert "purpose (20 train, 4 val, 6 test): name the column split" in told("purpose", sides)
    assert "(20 train, 10 test): write val for some rows, then" in told("set", sides[:20] + ["test"] * 10)
    assert "subset (A, B): write train, val, test or unused in it" in told("subset", ["A", "B"] * 15)
    assert "split (0, empty): write train" in told("split", ["0", ""] * 15)
    for name, cells in (("y2", ["test"] * 30), ("colour", ["red", "blue"] * 15), ("set", range(30))):
        assert told(name, cells) == ""


def test_folds_of_the_table_are_tested_in_turn_as_the_note_says(tmp_path: Path) -> None:
    photos(tmp_path, 30)
    path = table(tmp_path / "t.csv", [(f"p{i:02d}", i * 1.5, i % 5) for i in range(30)], ("id", "y", "fold"))
    assert benched(path).warned(
        "fold (5 numbers): --group-column fold with --folds 5 tests each of them in turn"
    )
    bench = benched(path, group_column="fold", folds=5)
    assert sorted(sorted(int(i) % 5 for i in one.test) for one in bench.splits) == [[k] * 6 for k in range(5)]
    assert not bench.warned("seems to divide")


def test_one_check_tells_all_that_is_wrong_with_a_split_file(tmp_path: Path) -> None:
    photos(tmp_path, 60)
    path = table(tmp_path / "t.csv", [(f"p{i:02d}", i * 1.5) for i in range(60)])
    sides = ["train"] * 30 + ["val"] * 10 + ["test"] * 20
    sides[3:10], sides[30:32] = ["blind"] * 7, ["extra", "?"]
    rows: list[tuple[str, ...]] = [(f"p{i:02d}", side) for i, side in enumerate(sides)]
    rows[57:] = [("x57", "test"), ("p00", "val"), ("p59",)]
    (tmp_path / "p59.png").write_bytes((tmp_path / "p00.png").read_bytes())
    (tmp_path / "p56.png").write_bytes((tmp_path / "p01.png").read_bytes())
    split = str(table(tmp_path / "s.csv", rows, ("id", "split")))
    with pytest.raises(SplitError) as error:
        benched(path, split=split)
    assert "row 5: split 'blind' is not train, val or test" in str(error.value)
    assert "(9 such rows: 5, 6, 7, 8, …; 3 other faults; " in str(error.value)
    found = checked(path, split)
    told = [
        (one.severity, one.count, one.text.split("file ")[-1])
        for one in found.findings
        if one.code == "split"
    ]
    assert told == [
        ("error", 1, "that is not as wide as the header, or the header again"),
        ("error", 9, "whose word is no side: 7 × 'blind', 1 × 'extra', 1 × '?'"),
        ("error", 1, "that names no image of the data"),
        ("error", 1, "whose image has one already"),
        ("error", 3, "leaves out; add it, or write unused as its split"),
        ("note", 1, "shares and leaks are those of the images with a side"),
    ]
    assert finding(found, "leak").count == 1
    (one,) = found.splits
    assert (one.train, one.val, one.test) == (23, 8, 17)


def test_a_split_file_that_names_no_image_is_told_in_one_check(tmp_path: Path) -> None:
    photos(tmp_path, 32)
    path = table(tmp_path / "t.csv", [(f"p{i:02d}", "x" if i == 5 else i * 1.5) for i in range(32)])
    rows = [(f"/elsewhere/{i}.png", "train") for i in range(32)]
    found = checked(path, str(table(tmp_path / "s.csv", rows, ("id", "split"))), targets=("y",))
    told = [(one.severity, one.count) for one in found.findings if one.code == "split"]
    assert (told, found.splits) == ([("error", 32), ("error", 31), ("note", 1)], [])
    assert any("not looked at: too few of the images" in one.text for one in found.findings)
    # The image of a row that is faulty in the table is no other fault of the split file.
    rows = [(f"p{i:02d}", ("train", "train", "val", "test")[i % 4]) for i in range(32)]
    found = checked(path, str(table(tmp_path / "s.csv", rows, ("id", "split"))), targets=("y",))
    assert [one.code for one in found.findings if one.severity == "error"] == ["bad-target"]
