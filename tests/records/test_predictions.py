"""predictions.csv, written and read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quadzoo.errors import DataError
from quadzoo.records.predictions import columns_of, of_targets, read_predictions, spread_of, to_csv

HEADER = "id,split,y,y_pred\n"


def written(path: Path, values: Sequence[float], ids: Sequence[str] | None = None) -> list[str]:
    """Write predictions of target y for the values; return the lines of the file."""
    truth = np.array(values, float)[:, None]
    ids = ids or [f"p{row}" for row in range(len(truth))]
    path.write_bytes(to_csv(["test"] * len(ids), ids, truth, truth / 3, targets=["y"], groups=ids))
    return path.read_text().splitlines()


def test_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = np.stack([rng.normal(0, 1e-12, 50), rng.integers(-99, 99, 50).astype(float)], axis=1)
    prediction = rng.normal(0, 1e12, (50, 2))
    ids, sides = [f"p{row}" for row in range(50)], ["val"] * 20 + ["test"] * 30
    path = tmp_path / "predictions.csv"
    path.write_bytes(
        to_csv(sides, ids, truth, prediction, targets=["x", "y"], groups=ids[::-1], kinds=["disc"] * 50,
               group_values=[f"ward {row}" for row in range(50)])
    )  # fmt: skip
    table = read_predictions(path, ["x", "y"])
    assert sorted(table) == sorted(
        ["id", "split", "x", "x_pred", "y", "y_pred", "image_group", "group_value", "image_kind"]
    )
    assert table["id"].tolist() == ids
    assert table["split"].tolist() == sides
    assert table["image_group"].tolist() == ids[::-1]
    assert set(table["image_kind"]) == {"disc"}
    assert table["group_value"].tolist() == [f"ward {row}" for row in range(50)]
    found = of_targets(table, ["x", "y"])
    assert [one.dtype for one in found] == [np.float64] * 2
    assert np.array_equal(found, [truth, prediction])  # to the last digit


def test_the_order_of_targets_is_that_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(
        to_csv(["test"], ["a"], np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), targets=["x", "y"],
               groups=["a"])
    )  # fmt: skip
    truth, prediction = of_targets(read_predictions(path, ["y", "x"]), ["y", "x"])
    assert (truth.tolist(), prediction.tolist()) == ([[2, 1]], [[4, 3]])


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    assert written(path, [3, -4])[1:] == ["p0,test,3,1.0,p0", "p1,test,-4,-1.3333333333333333,p1"]
    assert written(path, [3, -4.5])[1:] == ["p0,test,3.0,1.0,p0", "p1,test,-4.5,-1.5,p1"]


@pytest.mark.parametrize("value", [2.0**53, -(2.0**53), 2.0**53 - 1, 2.0**63, 1e30, 5e-324])
def test_values_beyond_the_exact_integers(tmp_path: Path, value: float) -> None:
    path = tmp_path / "predictions.csv"
    written(path, [value, 1])
    table = read_predictions(path, ["y"])
    assert table["y"].tolist() == [value, 1]
    assert table["y_pred"].tolist() == [value / 3, 1 / 3]


@pytest.mark.parametrize("cell", ["-0", " -0", "-0.0", "+1", ".5", "2.", "1_0", "9" * 30, "1e-400", "1.1e+1"])
def test_numbers_are_read_as_python_does(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(f"{HEADER}a,test,{cell},{cell}\nb,test,1,2.5\n")
    table = read_predictions(path, ["y"])
    assert [str(table["y"][0]), str(table["y_pred"][0])] == [str(float(cell))] * 2


def test_ids_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    ids = ["007", "1e5", "NA", "nan", "", " a ", "b,c", 'd"e', "f\ng", "ax² + bx"]
    written(path, [0.5] * len(ids), ids)
    table = read_predictions(path, ["y"])
    assert table["id"].tolist() == table["image_group"].tolist() == ids


def test_older_names_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("id,split,y,y_pred,picture_group,picture_kind\na,test,1,2,g,k\n")
    table = read_predictions(path, ["y"])
    assert (table["image_group"].tolist(), table["image_kind"].tolist()) == (["g"], ["k"])
    assert not {"picture_group", "picture_kind"} & {*table}


def test_without_groups_each_image_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(HEADER + "a,test,1,2\nb,val,1,2\n")
    table = read_predictions(path, ["y"])
    assert table["image_group"].tolist() == ["a", "b"]
    assert "image_kind" not in table


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a table of predictions"),
        (b"\x80\x81\x00", "not a table of predictions"),
        (b"id,split\na,test\n", "no column 'y'"),
        (b"id,split,y\na,test,1\n", "no column 'y_pred'"),
        (f"{HEADER}a,test,x,1\n".encode(), "could not convert string to float: 'x'"),
        (f"{HEADER}a,test,1,true\n".encode(), "could not convert string to float: 'true'"),
        (f'{HEADER}a,test,1,"2,3"\n'.encode(), "could not convert string to float: '2,3'"),
        (f"{HEADER}a,test,1,{'9' * 400}\n".encode(), "not a finite number"),
        (f"{HEADER}a,test,1\n".encode(), "could not convert string to float: ''"),
        (f'{HEADER}"a,test,1,2'.encode(), "EOF inside string"),
        (f"{HEADER}a,test,1,2\nb,test,1,2,3\n".encode(), "Expected 4 fields in line 3, saw 5"),
        (f"{HEADER}a,b,test,1,2\n".encode(), "its first row has more cells than the header"),
        (f"{HEADER}a,b,test,1,2,3\n".encode(), "its first row has more cells than the header"),
    ],
)
def test_another_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_predictions(path, ["y"])
    assert str(refused.value).startswith(f"{path}: ")
    assert reason in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"predictions\.csv: cannot be read \(No such file or directory\)"):
        read_predictions(tmp_path / "predictions.csv", ["y"])
    with pytest.raises(DataError, match=r"cannot be read \(not a regular file\)"):
        read_predictions(tmp_path, ["y"])


@pytest.mark.parametrize(
    ("targets", "columns"),
    [
        (["error", "y"], ["error", "y"]),
        (["split", "id"], ["split (target)", "id (target)"]),
        (["id_pred", "image_kind"], ["id_pred", "image_kind (target)"]),
        (["y", "y_pred"], ["y", "y_pred (target)"]),
        (["picture_group", "weight, kg"], ["picture_group (target)", "weight, kg"]),
    ],
)
def test_targets_named_like_columns_of_ours(targets: list[str], columns: list[str], tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    truth, prediction = np.array([[1.0, 2.5], [3, 4]]), np.array([[5.0, 6], [7, 8.5]])
    path.write_bytes(
        to_csv(
            ["val", "test"],
            ["a", "b"],
            truth,
            prediction,
            targets=targets,
            groups=["a", "a"],
            kinds=["k", "l"],
        )
    )
    expected = [name for column in columns for name in (column, f"{column}_pred")]
    assert list(pd.read_csv(path)) == ["id", "split", *expected, "image_group", "image_kind"]
    table = read_predictions(path, targets).assign(error=99)  # as the report does
    assert table["id"].tolist() == ["a", "b"]
    assert table["split"].tolist() == ["val", "test"]
    assert table["image_group"].tolist() == ["a", "a"]
    assert table["image_kind"].tolist() == ["k", "l"]
    found = of_targets(table, targets)
    assert np.array_equal(found, [truth, prediction])
    one = columns_of(targets)[targets[0]]
    assert table[one].tolist() == [1, 3]


def test_a_missing_truth_is_an_empty_cell(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    assert written(path, [3.0, np.nan, 5.0], "abc")[1:] == [
        "a,test,3,1.0,a",
        "b,test,,,b",
        "c,test,5,1.6666666666666667,c",
    ]
    truth, prediction = np.array([[1.5, 2.0], [np.nan, 7.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    path.write_bytes(to_csv(["test"] * 2, "ab", truth, prediction, targets=["x", "y"], groups="ab"))
    found = of_targets(read_predictions(path, ["x", "y"]), ["x", "y"])
    assert np.array_equal(found, [truth, prediction], equal_nan=True)
    path.write_text(HEADER + "a,test,1,\n")
    with pytest.raises(DataError, match="not a table of predictions"):
        read_predictions(path, ["y"])


@pytest.mark.parametrize(
    ("targets", "columns"),
    [
        (["x", "y"], ["x_spread", "y_spread"]),
        (["y", "y_spread"], ["y_spread (spread)", "y_spread_spread"]),
        (["error", "id"], ["error_spread", "id (target)_spread"]),
    ],
)
def test_the_spread_that_a_model_gives_its_predictions(
    targets: list[str], columns: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "predictions.csv"
    rng = np.random.default_rng(0)
    truth, prediction, spread = rng.normal(0, 1, (2, 2)), rng.normal(0, 1, (2, 2)), rng.uniform(1, 2, (2, 2))
    given = {"targets": targets, "groups": ["a", "b"]}
    path.write_bytes(to_csv(["val", "test"], ["a", "b"], truth, prediction, spread=spread, **given))
    written = pd.read_csv(path)
    assert [*written][-3:] == [*columns, "image_group"]
    assert np.array_equal(written[columns].to_numpy(), spread)
    table = read_predictions(path, targets).assign(error=99)  # as the report does
    assert np.array_equal(of_targets(table, targets), [truth, prediction])
    found = spread_of(table, targets)
    assert found is not None
    assert np.array_equal(found, spread)
    path.write_bytes(to_csv(["val", "test"], ["a", "b"], truth, prediction, **given))
    assert spread_of(read_predictions(path, targets), targets) is None


@pytest.mark.parametrize("value", ["0.0", "-1", "nan", "inf", "wide"])
def test_a_spread_is_a_positive_number(value: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(f"id,split,y,y_pred,y_spread\na,test,1,2,0.5\nb,val,1,2,{value}\n")
    with pytest.raises(DataError, match=r"predictions\.csv: (a spread is not a|not a table of predictions)"):
        read_predictions(path, ["y"])
