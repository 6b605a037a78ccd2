"""Tables from public bug reports, kept outside the repository: right, or refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from quadzoo.data.checks import FEW
from tests.benched import benched, checked, codes, finding, refused

Built = Callable[[str], Path]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build a case's files; return their folder."""
    shared = os.environ.get("QUADZOO_SHARED_DATA")
    cases = Path(shared).parent / "cases" if shared else Path("nowhere")
    if not cases.is_dir():
        pytest.skip("QUADZOO_SHARED_DATA does not say where data are that have cases beside them")
    built: dict[str, Path] = {}

    def build(number: str) -> Path:
        if number not in built:
            (folder,) = cases.glob(f"{number}-*")
            built[number] = tmp_path_factory.mktemp(folder.name)
            subprocess.run([sys.executable, folder / "make.py"], cwd=built[number], check=True)
        return built[number]

    return build


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "comma",
            "row 2: target 'y' is '4,0', not a finite number; write decimals with a point: 4.0 (12 such",
        ),
        (
            "thousands_us",
            "row 7: target 'y' is '1,127', not a finite number; write thousands without a comma: 1127",
        ),
        ("percent", "row 2: target 'y' is '4.0%', not a finite number; write the number alone: 4.0"),
        ("unit", "row 2: target 'y' is '4.0 cm', not a finite number; write the number alone: 4.0"),
        ("dollar", "row 2: target 'y' is '$ 4.0', not a finite number; write the number alone: 4.0"),
        ("date", "row 2: target 'y' is '2024-01-01', not a finite number; write a number, such as the days"),
        ("bool", "row 2: target 'y' is 'FALSE', not a finite number; write 1 and 0"),
    ],
)
def test_03_numbers_in_other_spellings(name: str, told: str, case: Built) -> None:
    folder = case("03")
    assert told in refused(folder / f"{name}.csv", images=folder / "img", targets=("y",))
    assert "1.127" not in refused(folder / "thousands_us.csv", images=folder / "img", targets=("y",))
    found = checked(folder / f"{name}.csv", images=folder / "img")
    assert "no-target" in codes(found)
    assert finding(found, "column-left-out").examples[0].startswith("y (row ")


def test_03_thousands_with_points_and_unicodes_minus(case: Built) -> None:
    folder = case("03")
    german = benched(folder / "thousands_de.csv", images=folder / "img", targets=("y",))
    assert german.warned("warning", "row 7: y is '1.127', which is read as 1.127", "write 1127")
    found = checked(folder / "thousands_de.csv", images=folder / "img")
    assert finding(found, "points-in-numbers").severity == "warning"
    minus = benched(folder / "minus.csv", images=folder / "img", targets=("y",)).source
    assert minus.targets.max() == -4


@pytest.mark.parametrize(
    ("name", "left", "why"),
    [
        ("comma", "height", "decimal commas"),
        ("percent", "moisture", "percent"),
        ("sparse", "weight", "empty"),
    ],
)
def test_04_which_columns_are_targets(name: str, left: str, why: str, case: Built) -> None:
    folder = case("04")
    found = checked(folder / f"{name}.csv", images=folder / "img")
    assert found.guessed == ["the target is age"]
    assert (found.usable, [target.name for target in found.targets]) == (12, ["age"])
    out = finding(found, "column-left-out")
    assert out.severity == "warning"
    assert why in out.text
    assert out.examples[0].startswith(left)
    assert left in refused(folder / f"{name}.csv", images=folder / "img", targets=("age", left))
    assert left in refused(folder / f"{name}.csv")


def test_05_a_cell_of_200_kilobytes(case: Built) -> None:
    folder = case("05")
    assert len(benched(folder / "my.csv", images=folder / "img", targets=("y",)).source) == 12
    assert checked(folder / "my.csv", images=folder / "img").errors == 0


def test_07_missing_targets(case: Built) -> None:
    folder = case("07")
    told = refused(folder / "my.csv", images=folder / "img", targets=("y", "z"))
    assert "row 2: target 'y' is ''" in told
    assert "--missing-targets mask" in told
    assert "7 such rows: 2, 5, 8, 11" in told
    masked = benched(folder / "my.csv", images=folder / "img", targets=("y", "z"), missing_targets="mask")
    assert (len(masked.source), sum(masked.sizes)) == (20, 20)
    assert masked.warned("7 × row that lacks y, which is known in 13 of 20")


@pytest.mark.parametrize("name", ["same", "suffix", "dot"])
def test_08_one_image_in_two_rows(name: str, case: Built) -> None:
    folder = case("08")
    told = refused(folder / f"{name}.csv", images=folder / "img", targets=("y",))
    for part in ("row 3", "is also in row 2", "targets differ ('y' is 4 there and", "12 such rows"):
        assert part in told
    found = checked(folder / f"{name}.csv", images=folder / "img")
    assert (found.errors, finding(found, "repeated-id").count) == (1, 12)


def test_13_a_typo_among_thousands_of_columns(case: Built) -> None:
    folder = case("13")
    told = refused(folder / "my.csv", images=folder / "img", targets=("Y",))
    assert "no column 'Y' (--targets); did you mean 'y'?" in told
    assert finding(checked(folder / "my.csv", images=folder / "img"), "column-left-out").count == 5000


def test_16_umlauts_in_two_parts(case: Built) -> None:
    folder = case("16")
    assert len(benched(folder / "my.csv", images=folder / "img", targets=("y",)).source) == 12
    assert len(benched(folder / "sub.csv", images=folder / "img2", targets=("y",)).source) == 12
    split = str(folder / "split.csv")
    assert benched(folder / "my.csv", images=folder / "img", targets=("y",), split=split).sizes == (4, 4, 4)


def test_18_quotes(case: Built) -> None:
    folder = case("18")
    for name, told in {
        "swallow": "row 5: a quote that begins in column 'comment' swallows the rows of p04.png, p05.png",
        "open": "row 5: not a table: a quoted cell begins there and goes on to row 13",
        "inch": "row 6: not a table",
        "backslash": "row 2: not a table",
    }.items():
        assert told in refused(folder / f"{name}.csv", images=folder / "img", targets=("y",))
    assert finding(checked(folder / "swallow.csv", images=folder / "img"), "bad-row").count == 1


@pytest.mark.parametrize(("name", "value"), [("my", "-999"), ("minus1", "-1")])
def test_19_sentinels(name: str, value: str, case: Built) -> None:
    folder = case("19")
    bench = benched(folder / f"{name}.csv", images=folder / "img", targets=("y",))
    assert bench.warned("warning: 5 × y =", f" {value} ", "8%")
    found = finding(checked(folder / f"{name}.csv", images=folder / "img"), "sentinel")
    assert (found.severity, found.count) == ("warning", 5)


def test_21_split_files(case: Built) -> None:
    folder = case("21")

    def split(name: str, **more: object) -> dict[str, object]:
        return {"images": folder / "img", "targets": ("y",), "split": str(folder / f"{name}.csv"), **more}

    good = benched(folder / "my.csv", **split("good"))
    assert good.sizes == (12, 4, 4)
    for name in ("names", "caps", "semi", "u16", "file", "subset", "blank", "stem", "nul"):
        assert benched(folder / "my.csv", **split(name)).splits[0].hash == good.splits[0].hash
    own = benched(folder / "own.csv", **split("own", id_column="file"))
    assert own.splits[0].hash == good.splits[0].hash
    for name, told in {
        "latin": "latin.csv: row 2: ",
        "short": "short.csv: row 21: 1 cell where the header has 2",
        "twosides": "row 22: id 'p00.png' is in train by row 2 and in test",
        "trainval": "row 22: id 'p00.png' is in train by row 2 and in val",
        "partial": "leaves out 7 of 20 images",
    }.items():
        assert told in refused(folder / "my.csv", **split(name))


def test_22_groups(case: Built) -> None:
    folder = case("22")

    def of(name: str, **more: object) -> dict[str, object]:
        images = folder / ("img100" if name == "hospitals" else "img")
        column = "hospital" if name == "hospitals" else "patient"
        return {
            "data": folder / f"{name}.csv",
            "images": images,
            "targets": ("y",),
            "group_column": column,
            **more,
        }

    blank = benched(**of("blank"))
    groups = blank.source.group_values
    assert groups
    assert len(set(groups)) == 10
    (split,) = blank.splits
    sides = [{groups[i] for i in side} for side in (split.train, split.val, split.test)]
    assert sum(map(len, sides)) == 10
    assert benched(**of("case")).warned("warning", "'patient' that differ in case", "'p0' and 'P0'")
    missing = refused(**of("missing"))
    assert "row 12: group 'patient' is ''" in missing
    assert "30 such rows: 12, 13, 14, 15, …" in missing
    assert benched(**of("huge")).warned("warning", "85% train, 5% val, 10% test, wanted 64/16/20")
    assert benched(**of("two")).warned("warning", "only two groups", "40% train, 10% val, 50% test")
    assert benched(**of("hospitals")).sizes == (64, 16, 20)
    folds = benched(**of("hospitals", folds=4)).splits
    assert [len(fold.test) for fold in folds] == [55, 20, 13, 12]
    assert all(abs(len(fold.val) / (100 - len(fold.test)) - 0.2) <= 0.05 for fold in folds)


def test_53_twins_with_other_labels(case: Built) -> None:
    folder = case("53")
    bench = benched(folder / "my.csv", images=folder / "img", targets=("y",))
    assert bench.warned("warning: 6 × group of identical images with different targets")
    assert finding(checked(folder / "my.csv", images=folder / "img"), "disagreeing-duplicates").count == 6


def test_56_columns_that_are_no_targets(case: Built) -> None:
    folder = case("56")
    found = checked(folder / "my.csv", images=folder / "img")
    assert (found.usable, found.rows, found.errors) == (20, 20, 0)
    assert found.guessed == ["the target is y"]
    of_columns = [one for one in found.findings if one.code != FEW]
    left = {example.split(" ")[0] for one in of_columns for example in one.examples}
    assert left - {"what"} == {"version", "bmi", "year"}  # and what a bench of them is to predict
