from __future__ import annotations

import builtins
import gzip
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from quadzoo.data.tables import open_table
from quadzoo.errors import DataError
from tests.benched import refused

FRAME = pd.DataFrame({"id": ["001", "p2"], "y": [4, 5.5], "n": [1, None], "b": [True, False]})


def rows(path: Path) -> list[tuple[int, list[str]]]:
    with open_table(path) as (header, lines):
        assert header == ["id", "y", "n", "b"]
        return list(lines)


def test_xlsx(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    FRAME.to_excel(tmp_path / "t.xlsx", index=False)
    assert rows(tmp_path / "t.xlsx") == [(2, ["001", "4", "1", "TRUE"]), (3, ["p2", "5.5", "", "FALSE"])]


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    FRAME.to_parquet(tmp_path / "t.csv")  # by its content, not by its name
    assert rows(tmp_path / "t.csv") == [(2, ["001", "4", "1", "TRUE"]), (3, ["p2", "5.5", "", "FALSE"])]


@pytest.mark.parametrize("name", ["id", None])
def test_the_index_of_a_parquet_file_is_a_column(tmp_path: Path, name: str | None) -> None:
    pytest.importorskip("pyarrow")
    FRAME.set_index("id").rename_axis(name).to_parquet(tmp_path / "t.parquet")
    with open_table(tmp_path / "t.parquet") as (header, lines):
        assert header == [name or "index", "y", "n", "b"]
        assert next(lines) == (2, ["001", "4", "1", "TRUE"])


def test_the_numbers_of_rows_are_no_column(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    FRAME.set_index(pd.Index([4, 9])).to_parquet(tmp_path / "t.parquet")
    assert rows(tmp_path / "t.parquet")[0] == (2, ["001", "4", "1", "TRUE"])
    FRAME.set_index("id", drop=False).to_parquet(tmp_path / "t.parquet")
    assert rows(tmp_path / "t.parquet")[0] == (2, ["001", "4", "1", "TRUE"])


@pytest.mark.parametrize("cover", [pd.DataFrame(), pd.DataFrame({"Study": ["x"]})], ids=["empty", "text"])
def test_a_first_sheet_that_is_a_cover(tmp_path: Path, cover: pd.DataFrame) -> None:
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        cover.to_excel(book, sheet_name="cover", index=False)
        FRAME.to_excel(book, sheet_name="data", index=False)
    told = "only the first sheet, 'cover', is read, not data; move the table's to the front"
    assert told in refused(tmp_path / "t.xlsx", targets=("y",), id_column="id", images=tmp_path)
    assert told in refused(tmp_path / "t.xlsx", images=tmp_path)


@pytest.mark.parametrize("kind", ["xlsx", "parquet"])
def test_a_package_that_is_missing(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = {"xlsx": "openpyxl", "parquet": "pyarrow"}[kind]
    found = builtins.__import__

    def without(name: str, *more: Any, **others: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(f"no {package}")
        return found(name, *more, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with zipfile.ZipFile(tmp_path / "t", "w") as content:
        content.writestr("xl/workbook.xml", "")
    if kind == "parquet":
        (tmp_path / "t").write_bytes(b"PAR1")
    with pytest.raises(
        DataError, match=f"{kind} is read with {package}, which is missing: pip install {package}"
    ):
        rows(tmp_path / "t")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(b"id,y\n", mtime=0), "a gzip file; unpack it first"),
        (b"PK\x03\x04" + bytes(50), "cannot be read as xlsx"),
        (b"\xd0\xcf\x11\xe0" + bytes(50), "an old Excel file"),
        (b"SQLite format 3\0", "a database"),
        (b"\x89PNG\r\n", "an image"),
        (b'{"id": 1}', "JSON"),
        (b"<html>", "HTML"),
        ("id,y\n1,2\n".encode("utf-16-le"), "UTF-16 without a byte-order mark"),
        (bytes(range(256)), "not text"),
        (b"id,y\n1,2\n" + b"1," + b"\0" * 3 + b"5\n" + b"x" * 3000, "not text"),
    ],
    ids=["gzip", "zip", "xls", "sqlite", "png", "json", "html", "utf-16", "bytes", "zeros"],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    assert told in refused(tmp_path / "t.csv", targets=("y",))
    assert told in refused(tmp_path / "t.csv")


def test_a_zip_of_tables(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.csv", "w") as content:
        content.writestr("t.csv", "id,y\n")
    assert "a zip file; unpack it" in refused(tmp_path / "t.csv")
