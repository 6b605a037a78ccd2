from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.benched import benched, checked, codes, finding, photos, refused, table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos(tmp_path, 12)
    return tmp_path


def lines(folder: Path, *edits: tuple[int, str, str], header: str = "id,y,comment") -> Path:
    """A table with a comment in each row, some lines of which are changed."""
    rows = [f"p{i:02d}.png,{i * 1.5},ok" for i in range(12)]
    for at, old, new in edits:
        assert old in rows[at]
        rows[at] = rows[at].replace(old, new)
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "t.csv"


@pytest.mark.parametrize(
    ("edits", "told"),
    [
        ([(3, ",ok", ',"big'), (4, ",ok", ',huge"')], "row 5: a quote that begins in column 'comment' "
         "swallows the rows of p04.png; delete the stray"),
        ([(3, ",ok", ',"big'), (11, ",ok", ',huge"')], "swallows the rows of p04.png, p05.png"),
        ([(3, ",4.5", ',"4.5'), (5, "7.5", '7.5"')], "row 5: "),
        ([(3, "p03", '"p03'), (5, "p05.png", 'p05.png"')], "row 5: the id goes over several lines"),
        ([(3, ",ok", ',"never closed')], "row 5: not a table: a quoted cell begins there and goes on to row"),
    ],
)  # fmt: skip
def test_stray_quotes(folder: Path, edits: list[tuple[int, str, str]], told: str) -> None:
    assert told in refused(lines(folder, *edits), targets=("y",))


@pytest.mark.parametrize(
    "comment",
    [
        '"two\nlines"',
        '"see\np04.png,p05.png,p06.png"',
        '"as in p04.png,\nand p05.png, too"',
        '"p04.png\np05.png"',
        '"a,b\nc,d"',
    ],
)
def test_cells_may_have_lines(folder: Path, comment: str) -> None:
    path = lines(folder, (3, "ok", comment))
    bench = benched(path, targets=("y",))
    assert len(bench.source) == 12
    assert list(bench.source.rows)[2:5] == [4, 5, 7]


def test_the_header_again_and_rows_twice(folder: Path) -> None:
    text = lines(folder).read_text()
    (folder / "t.csv").write_text(text + text)
    found = checked(folder / "t.csv")
    assert finding(found, "bad-row").examples[0].endswith("row 14: the header again; delete this row")
    assert finding(found, "repeated-id").count == 12
    assert "row 14: the header again" in refused(folder / "t.csv", targets=("y",))
    (folder / "t.csv").write_text(text + text.splitlines()[4] + "\n")
    assert "row 14: id 'p03.png' is also in row 5; delete one of the rows" in refused(
        folder / "t.csv", targets=("y",)
    )


@pytest.mark.parametrize(
    "again", ["p03.png", "p03", "./p03.png", "sub/../p03", " p03.png", "{folder}/p03.png"]
)
def test_one_image_in_two_rows_whatever_its_spelling(folder: Path, again: str) -> None:
    path = lines(folder, (7, "p07.png", again.format(folder=folder)))
    told = refused(path, targets=("y",))
    assert "is also in row 5" in told
    assert "targets differ ('y' is 4.5 there and 10.5 here)" in told


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("1e300", "row 5: target 'y' is '1e300', beyond 1e+25"),
        ("-1e26", "beyond 1e+25"),
        ("NULL", "row 5: target 'y' is 'NULL', not a finite number"),
        ("3,5 cm", "row 5: target 'y' is '3,5 cm', not a finite number; write the number alone"),
    ],
)
def test_targets_that_cannot_be_learnt(folder: Path, cell: str, told: str) -> None:
    path = table(folder / "t.csv", [(f"p{i:02d}", cell if i == 3 else i) for i in range(12)])
    assert told in refused(path, targets=("y",))
    assert checked(path, targets=("y",)).usable == 11


def test_targets_beyond_2_to_the_63(folder: Path) -> None:
    path = table(folder / "t.csv", [(f"p{i:02d}", 2**63 + 10**17 * i) for i in range(12)])
    bench = benched(path)
    assert bench.source.targets[3, 0] == float(2**63 + 3 * 10**17)
    assert bench.warned("warning: 12 × y beyond 2^53")
    assert finding(checked(path), "rounded-target").count == 12


@pytest.mark.parametrize(
    "spell",
    [
        lambda k, i: f"P{k}" + " " * (i % 2),
        lambda k, i: f"P{k}" + "\u00a0" * (i % 2),
        lambda k, i: "\u200b" * (i % 2) + f"P{k}",
        lambda k, i: unicodedata.normalize(("NFC", "NFD")[i % 2], f"é{k}"),
    ],
)
def test_one_patient_in_two_spellings_is_on_one_side(folder: Path, spell: object) -> None:
    rows = [(f"p{i:02d}", i, spell(i // 3, i)) for i in range(12)]  # type: ignore[operator]
    path = table(folder / "t.csv", rows, ("id", "y", "who"))
    bench = benched(path, targets=("y",), group_column="who")
    for side in (bench.splits[0].train, bench.splits[0].val, bench.splits[0].test):
        assert len(side) % 3 == 0


@pytest.mark.parametrize("cell", ["", " ", "\u00a0", "nan", "NULL", "#N/A"])
def test_a_group_that_is_empty(folder: Path, cell: str) -> None:
    rows = [(f"p{i:02d}", i, cell if i in (3, 8) else f"P{i // 3}") for i in range(12)]
    path = table(folder / "t.csv", rows, ("id", "y", "who"))
    told = refused(path, targets=("y",), group_column="who")
    assert "row 5: group 'who' is " in told
    assert "2 such rows: 5, 10" in told
    assert finding(checked(path, group_column="who"), "missing-group").count == 2


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (("P1", "p1"), "alike-groups"),
        (("P1", "P01"), "alike-groups"),
        (("1", "1.0"), "alike-groups"),
        (("P 1", "P\u00a01"), "alike-groups"),
        (("unknown", "P1"), "vague-groups"),
        (("NA", "P1"), "vague-groups"),
    ],
)
def test_groups_that_may_be_meant_otherwise(folder: Path, values: tuple[str, str], code: str) -> None:
    cells = [*values, "Q", "R", "S", "T"]
    path = table(folder / "t.csv", [(f"p{i:02d}", i, cells[i // 2]) for i in range(12)], ("id", "y", "who"))
    bench = benched(path, targets=("y",), group_column="who")
    assert bench.warned("warning", repr(values[0]))
    assert code in codes(checked(path, group_column="who"))


def test_ids_that_differ_in_case_alone(tmp_path: Path) -> None:
    photos(tmp_path, 6)
    photos(tmp_path, 5, "P{:02d}.png")
    names = sorted(one.name for one in tmp_path.glob("*.png"))
    path = table(tmp_path / "t.csv", [(one, i) for i, one in enumerate(names)])
    assert benched(path).warned("warning: 5 × group of ids that differ in case", "'P00.png' and 'p00.png'")


def test_columns_whose_values_repeat_are_suggested(tmp_path: Path) -> None:
    names = photos(tmp_path, 30)
    rows = [(one, i, f"P{i // 5}", "mf"[i % 2], i * 0.5, "train") for i, one in enumerate(names)]
    path = table(tmp_path / "t.csv", rows, ("id", "y", "patient", "sex", "size", "split"))
    bench = benched(path, targets=("y",))
    suggested = [line for line in bench.told if "--group-column" in line]
    assert len(suggested) == 1
    assert "patient: 6 values in 30 rows" in suggested[0]
    assert finding(checked(path), "group-column").examples == ["patient: 6 values in 30 rows"]
    assert not benched(path, targets=("y",), group_column="patient").warned("--group-column")
