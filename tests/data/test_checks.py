from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from quadzoo.cli.options import with_flags
from tests.benched import benched, checked, codes, finding, photos, table
from tests.conftest import Result

WIDE = [230.58 + i * 124.2249 for i in range(29)]  # to 3709, far apart


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos(tmp_path, 30)
    return tmp_path


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([-999] * 3 + [i + 4 for i in range(27)], ["-999"]),
        ([-999] + [i + 4 for i in range(29)], ["-999"]),
        ([9999] * 2 + [i for i in range(28)], ["9999"]),
        ([-1] * 3 + [i * 0.5 + 5 for i in range(27)], ["-1"]),
        ([0] * 3 + [i + 150 for i in range(27)], ["0"]),
        ([-999] * 2 + [-9999] * 2 + [i for i in range(26)], ["-999", "-9999"]),
        ([65535] * 4 + [i for i in range(26)], ["65535"]),
        ([-999] * 3 + [-998] * 3 + [i * 1.7 + 20 for i in range(24)], ["-999", "-998"]),
        ([-99] * 3 + [-88] * 3 + [i * 1.7 + 20 for i in range(24)], ["-99", "-88"]),
        ([-9] * 3 + [-8] * 3 + [i * 1.7 + 20 for i in range(24)], ["-9", "-8"]),
        ([9999] * 2 + [9998] * 2 + [9997] * 2 + [i for i in range(24)], ["9999", "9998", "9997"]),
        (
            [v for v in (-99, -98, -97, -96, -88) for _ in "ab"] + [i * 1.7 + 20 for i in range(20)],
            ["-99", "-98", "-97", "-96", "-88"],
        ),
        ([-999] * 18 + [i * 1.7 + 20 for i in range(12)], ["-999"]),
        ([-999, *WIDE], ["-999"]),
        ([-99, *WIDE], ["-99"]),
        ([-9999, -999, *WIDE[1:]], ["-9999", "-999"]),
        ([9999] + [2.5 * value for value in WIDE], ["9999"]),
        ([-999] + [value - 900 for value in WIDE], ["-999"]),
        ([-1, *WIDE], ["-1"]),
        ([-1] + [i * 3 + 7 for i in range(29)], ["-1"]),
        ([-99, 100, *range(-29, -1)], []),
        ([999, *WIDE], []),
        ([-999, -1500, *WIDE[2:]], []),
        ([-1, 0, *WIDE[1:]], []),
        ([9] + [i / 4 for i in range(29)], []),
        ([99] + [i * 3 + 7 for i in range(29)], []),
        ([7] * 5 + [8] * 5 + [9] * 5 + [i % 4 + 100 for i in range(15)], []),
        ([0] * 18 + [i + 150 for i in range(12)], []),
        ([i % 3 + 97 for i in range(9)] + [i * 4 for i in range(21)], []),
        ([-1, 0, 1] * 10, []),
        ([i - 1 for i in range(30)], []),
        ([-1] * 3 + list(range(27)), []),
        ([0] * 10 + [i + 1 for i in range(20)], []),
        ([2.0**i for i in range(30)], []),
    ],
)
def test_values_that_stand_for_missing_ones(folder: Path, values: list[float], told: list[str]) -> None:
    path = table(folder / "t.csv", [(f"p{i:02d}", value) for i, value in enumerate(values)])
    bench = benched(path, targets=("y",))
    found = [one for one in checked(path, targets=("y",)).findings if one.code == "sentinel"]
    assert sorted(one.text.split(" ")[2] for one in found) == sorted(told)
    for value in told:
        assert bench.warned("warning", f"y = {value} ", "beyond all others")
    assert not any(one.severity != "warning" for one in found)
    assert {one.count for one in found} <= {values.count(float(value)) for value in told}


def test_one_such_value_is_told_where_targets_may_be_missing(folder: Path) -> None:
    rows = [(f"p{i:02d}", "" if i == 3 else value) for i, value in enumerate([-999, *WIDE])]
    path = table(folder / "t.csv", rows)
    assert benched(path, missing_targets="mask").warned("warning: y = -999 (3% of rows), beyond all others")
    assert finding(checked(path, missing_targets="mask"), "sentinel").count == 1


def test_bench_and_check_find_the_same(folder: Path) -> None:
    (folder / "p10.png").write_bytes((folder / "p00.png").read_bytes())
    rows = [(f"p{i:02d}", -999 if i == 3 else i + 4, f"{'p' if i == 2 else 'P'}{i // 4}") for i in range(28)]
    path = table(folder / "t.csv", rows, ("id", "y", "who"))
    found = checked(path, targets=("y",), group_column="who")
    assert codes(found) == {
        "sentinel",
        "alike-groups",
        "disagreeing-duplicates",
        "duplicate-image",
        "image-without-row",
        "few-images",
        "few-groups",
    }
    told = benched(path, targets=("y",), group_column="who").told
    for one in found.findings:
        assert any(with_flags(one.text) in line for line in told)


def test_findings_can_be_printed_whatever_a_file_is_called(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff.png")).write_bytes(b"")
    path = table(folder / "t.csv", [(f"p{i:02d}", i) for i in range(30)])
    assert finding(checked(path), "image-without-row").examples == ["\ufffd.png"]


def test_images_that_no_row_names_are_told(folder: Path) -> None:
    path = table(folder / "t.csv", [(f"p{i:02d}", i) for i in range(25)])
    assert benched(path).warned("warning: 5 × image without a row in the table: p25.png")
    assert finding(checked(path), "image-without-row").count == 5


def test_a_large_group_of_identical_images_takes_one_short_line(
    folder: Path, quadzoo: Callable[..., Result]
) -> None:
    for index in range(1, 25):
        (folder / f"p{index:02d}.png").write_bytes((folder / "p00.png").read_bytes())
    header = ("id", *(f"y{k}" for k in range(7)))
    rows = [(f"p{i:02d}", *[i + 30 if i > 24 else 3.25] * 6, i * (i > 9) + 0.125) for i in range(30)]
    path = table(folder / "t.csv", rows, header)
    (example,) = finding(checked(path, targets=header[1:]), "disagreeing-duplicates").examples
    assert example == (
        "row 2 (p00) with 3.25,3.25,3.25,0.125, row 12 (p10) with 3.25,3.25,3.25,10.125 and 23 other rows"
    )
    out = quadzoo("data", "check", path, "--images", folder, "--targets", ",".join(header[1:]))
    assert "and 23 other rows" in out.out
    assert max(map(len, out.out.splitlines())) <= 300


def test_a_long_example_is_cut_off_with_its_indentation(
    tmp_path: Path, quadzoo: Callable[..., Result]
) -> None:
    images = tmp_path / ("b " * 110 + "b") / ("b " * 110 + "b")
    photos(images, 12)
    (images / "p03.png").write_bytes(b"")
    path = table(tmp_path / "t.csv", [(f"p{i:02d}", i) for i in range(12)])
    out = quadzoo("data", "check", path, "--images", images).out
    (line,) = [line for line in out.splitlines() if "row 5: image" in line]
    assert len(line) == 300


def test_of_few_images_all_can_be_tested(tmp_path: Path) -> None:
    """Where folds can be made, and are not made already; check and bench say it in the same words."""
    photos(tmp_path, 101)
    rows = [(f"p{i:02d}", i, i % 4) for i in range(101)]
    few, enough = (table(tmp_path / f"{n}.csv", rows[:n], ("id", "y", "who")) for n in (99, 100))
    said = "with fewer than 100 images --folds 5 says more, since all of them are tested: 20 of 99 are tested"
    assert benched(few, targets=("y",)).warned(f"note: {said}")
    assert finding(checked(few, targets=("y",)), "few-images").examples == ["20 of 99 are tested"]
    assert not benched(few, targets=("y",), folds=5).warned("--folds")
    assert "few-images" not in codes(checked(enough, targets=("y",)))
    # Four groups are no five folds; few tested groups are told by the warning alone.
    grouped = benched(few, targets=("y",), group_column="who")
    assert not grouped.warned("--folds 5")
    assert "few-images" not in codes(checked(few, targets=("y",), group_column="who"))


def test_three_decimals_everywhere_are_remarked(tmp_path: Path) -> None:
    photos(tmp_path, 12)
    path = table(tmp_path / "t.csv", [(f"p{i:02d}", f"{1 + 90 * i}.{(i * 7 % 10)}00") for i in range(12)])
    said = "target whose numbers all have three decimals, as thousands would"
    assert benched(path).warned(f"note: {said}: row 2: y is '1.000', which is read as 1; if the point")
    assert finding(checked(path), "points-in-numbers").severity == "note"
