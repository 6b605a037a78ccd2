"""Rows that lack targets: refused, or with `missing_targets` mask used for the targets that they have."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.benched import benched, checked, codes, finding, photos, refused, table
from tests.conftest import Result

MASK = {"missing_targets": "mask"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos(tmp_path, 20)
    return tmp_path


def cells(index: int) -> list[object]:
    """Targets a and b of a row: every third lacks b, every fifth a, and so row 0 and row 15 both."""
    a, b = index + 0.5, index * index
    return ["" if index % 5 == 0 else a, ("NA", "", "-")[index % 9 // 3] if index % 3 == 0 else b]


def written(folder: Path, rows: Sequence[int] = range(20), name: str = "t.csv") -> Path:
    return table(folder / name, [[f"p{i:02d}.png", *cells(i)] for i in rows], ("id", "a", "b"))


def test_an_error_names_the_flag(folder: Path) -> None:
    told = refused(written(folder), targets=("a", "b"))
    assert "row 2: target 'a' is '', not a finite number; --missing-targets mask trains without it" in told
    assert "9 such rows: 2, 5, 7, 8, …" in told


def test_with_mask_targets_are_nan_and_rows_without_any_are_left_out(folder: Path) -> None:
    bench = benched(written(folder), targets=("a", "b"), **MASK)
    left = [i for i in range(20) if i not in (0, 15)]
    assert bench.source.ids == [f"p{i:02d}.png" for i in left]
    expected = [[np.nan if not isinstance(cell, float | int) else cell for cell in cells(i)] for i in left]
    assert np.array_equal(bench.source.targets, expected, equal_nan=True)
    assert bench.warned("warning: 2 × row without any target, which is left out: row 2 (p00.png), …")
    assert bench.warned("note: 2 × row that lacks a, which is known in 16 of 18: row 7 (p05.png)")
    assert bench.warned("note: 5 × row that lacks b, which is known in 13 of 18")
    assert not bench.warned("image without a row")


def test_of_one_target_the_rows_that_have_it_are_left(folder: Path) -> None:
    bench = benched(written(folder), targets=("b",), **MASK)
    assert len(bench.source) == 13
    assert not np.isnan(bench.source.targets).any()
    assert bench.warned("warning: 7 × row without any target")


def test_without_a_missing_cell_mask_changes_nothing(folder: Path) -> None:
    whole = written(folder, [i for i in range(20) if i % 3 and i % 5], "whole.csv")
    one, other = (benched(whole, targets=("a", "b"), **more) for more in ({}, MASK))
    assert one.told == other.told
    assert one.splits[0].hash == other.splits[0].hash
    assert np.array_equal(one.source.targets, other.source.targets)


def test_what_is_no_number_is_an_error_all_the_same(folder: Path) -> None:
    rows = [[f"p{i:02d}.png", i, "" if i % 2 else "1,5" if i == 4 else i] for i in range(20)]
    told = refused(table(folder / "t.csv", rows, ("id", "a", "b")), targets=("a", "b"), **MASK)
    assert "row 6: target 'b' is '1,5', not a finite number; write decimals with a point: 1.5" in told


def test_targets_are_found_by_the_cells_that_are_filled(folder: Path) -> None:
    rows = [[f"p{i:02d}.png", i + 0.5, i * i if i % 3 else "", "n/a" if i % 4 else "grey"] for i in range(20)]
    data = table(folder / "t.csv", rows, ("id", "a", "b", "ground"))
    assert "many of its cells are empty" in refused(data)
    bench = benched(data, **MASK)
    assert bench.source.target_names == ("a", "b")
    assert bench.warned("the targets are a, b")


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (
            (),
            "target 'b' is known for 0 of 12 train, 0 of 4 val, 0 of 4 test images; it takes 2, 1 and 1: ",
        ),
        (range(3), "target 'b' is known for "),
    ],
)
def test_a_target_that_too_few_images_have(folder: Path, known: Sequence[int], told: str) -> None:
    rows = [[f"p{i:02d}.png", i + 0.5, i if i in known else ""] for i in range(20)]
    data = table(folder / "t.csv", rows, ("id", "a", "b"))
    assert told in refused(data, targets=("a", "b"), **MASK)
    found = checked(data, targets=("a", "b"), **MASK)
    assert [one.name for one in found.targets] == (["a", "b"] if known else ["a"])
    assert found.errors == (0 if known else 1)


def test_check_counts_them(folder: Path, quadzoo: Callable[..., Result]) -> None:
    found = checked(written(folder), targets=("a", "b"))
    assert (found.usable, finding(found, "missing-target").count) == (11, 9)
    found = checked(written(folder), targets=("a", "b"), **MASK)
    assert (found.usable, found.errors, found.images_without_row) == (18, 0, 0)
    assert [one.missing for one in found.targets] == [2, 5]
    assert found.targets[1].mean == np.mean([i * i for i in range(20) if i % 3])
    assert finding(found, "unlabelled").count == 2
    assert (found.rows, found.unlabelled) == (20, 2)
    out = quadzoo("data", "check", written(folder), "--targets", "a,b", "--missing-targets", "mask").out
    assert out.startswith("t: 20 rows, 18 of them usable (2 without any target)\n")


def test_twins_disagree_only_where_both_have_a_target(folder: Path) -> None:
    for twin in ("x.png", "y.png"):
        (folder / twin).write_bytes((folder / "p01.png").read_bytes())
    rows = [[f"p{i:02d}.png", i, i * i] for i in range(20)]
    rows += [["x.png", 1, ""], ["y.png", "", 1]]
    data = table(folder / "t.csv", rows, ("id", "a", "b"))
    assert "disagreeing-duplicates" not in codes(checked(data, targets=("a", "b"), **MASK))
    rows[-1] = ["y.png", "", 2]
    table(folder / "t.csv", rows, ("id", "a", "b"))
    found = finding(checked(data, targets=("a", "b"), **MASK), "disagreeing-duplicates")
    assert found.examples == ["row 3 (p01.png) with 1,1, row 22 (x.png) with 1,, row 23 (y.png) with ,2"]


def test_one_image_in_two_rows(folder: Path) -> None:
    rows = [*([f"p{i:02d}.png", i, i] for i in range(20)), ["p03.png", 3, ""]]
    data = table(folder / "t.csv", rows, ("id", "a", "b"))
    told = refused(data, targets=("a", "b"), **MASK)
    assert "is also in row 5, and targets differ ('b' is 3 there and missing here)" in told


def test_a_split_file_may_name_rows_that_are_left_out(folder: Path) -> None:
    sides = [["train", "train", "val", "test"][i % 4] for i in range(20)]
    with (folder / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "split"], *([f"p{i:02d}.png", sides[i]] for i in range(20))])
    bench = benched(written(folder), targets=("a", "b"), split=str(folder / "split.csv"), **MASK)
    left = [sides[i] for i in range(20) if i not in (0, 15)]
    assert bench.sizes == tuple(left.count(side) for side in ("train", "val", "test"))
    data = table(folder / "u.csv", [["p01.png", 1, 1], ["p02.png", 2, 2]], ("id", "a", "b"))
    assert "is not in the data" in refused(data, targets=("a", "b"), split=str(folder / "split.csv"), **MASK)
