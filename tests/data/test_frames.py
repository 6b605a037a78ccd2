"""DataFrames as tables: what is written of them, and where their images are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quadzoo.data.frames import images_of_frame, write_frame
from quadzoo.data.tables import open_table
from quadzoo.errors import ConfigError, DataError


def read(frame: pd.DataFrame, folder: Path) -> list[list[str]]:
    write_frame(frame, folder / "f.csv", "data")
    with open_table(folder / "f.csv") as (header, rows):
        return [header, *(cells for _, cells in rows)]


def test_cells_are_those_of_to_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame({
        "id": ["001", "a,b", 'c"d'], "y": [0.1 + 0.2, np.nan, 1e-300], "k": np.float32([0.1, 2, 3]),
        "p": [tmp_path, None, "ü"],
    }, index=[7, 8, 9])  # fmt: skip
    assert read(frame, tmp_path) == [
        ["id", "y", "k", "p"], ["001", "0.30000000000000004", "0.1", str(tmp_path)],
        ["a,b", "", "2.0", ""], ['c"d', "1e-300", "3.0", "ü"],
    ]  # fmt: skip


def test_an_index_with_a_name_is_a_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"y": [1, 2]}, index=pd.Index(["a", "b"], name="id"))
    assert read(frame, tmp_path) == [["id", "y"], ["a", "1"], ["b", "2"]]


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_names_do_not_separate_cells(sign: str, tmp_path: Path) -> None:
    name = f"age{sign}in{sign}years"
    assert read(pd.DataFrame({"id": ["a"], name: [3]}), tmp_path) == [["id", name], ["a", "3"]]


def test_what_is_no_table(tmp_path: Path) -> None:
    two = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")]))
    with pytest.raises(ConfigError, match="`test_data`: the DataFrame has 2 rows of names; keep one"):
        write_frame(two, tmp_path / "f.csv", "test_data")
    with pytest.raises(DataError, match=r"`data`: .* no Unicode: 'x\\udcff"):
        write_frame(pd.DataFrame({"id": ["x\udcff"]}, dtype=object), tmp_path / "f.csv", "data")


def test_images_by_absolute_paths() -> None:
    frame = pd.DataFrame({"y": [1, 2], "path": ["/data/x/a.png", Path("/data/z/../y/b.tif")]})
    assert images_of_frame(frame, None) == (Path("/data"), "path")
    assert images_of_frame(frame.set_index("path"), "path") == (Path("/data"), "path")
    assert images_of_frame(frame.assign(path=["/data/x/a.png", "/data/x/b.png"]), None) == (
        Path("/data/x"),
        "path",
    )
    for other in (["a.png", "/data/b.png"], ["/data/a.png", None], ["/data/a.png", "/data/notes.txt"]):
        assert images_of_frame(frame.assign(path=other), None) is None
    assert images_of_frame(frame.iloc[:0], None) is None
    twice = frame.assign(mask=frame["path"])
    with pytest.raises(
        ConfigError, match="columns path, mask of the DataFrame are paths of images; say which"
    ):
        images_of_frame(twice, None)
    assert images_of_frame(twice, "mask") == (Path("/data"), "mask")
