from __future__ import annotations

from pathlib import Path

import pytest

from quadzoo.data.tables import open_table
from quadzoo.errors import DataError


def read(folder: Path, content: bytes) -> tuple[list[str], list[tuple[int, list[str]]]]:
    (folder / "t.csv").write_bytes(content)
    with open_table(folder / "t.csv") as (header, rows):
        return header, list(rows)


@pytest.mark.parametrize(
    "text",
    [
        "id,y\n001,1\n",
        "id;y\n001;1\n",
        "id\ty\r\n001\t1\r\n",
        "\n\nid,y\n\n001,1\n\n",
        "id|y\n001|1\n",
        "sep=;\nid;y\n001;1\n",
        'SEP=:\r\n"id":y\r\n001:1\r\n',
        " id\u00a0,y\n001,1\n",
        ' "id" , y\n001,1'.replace(' "id" ', '"id"'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_dialects(tmp_path: Path, text: str, encoding: str) -> None:
    header, rows = read(tmp_path, text.encode(encoding))
    assert header == ["id", "y"]
    assert [cells for _, cells in rows] == [["001", "1"]]


@pytest.mark.parametrize("sign", ["\x0b", "\x0c", "\x1e", "\x85", "\u2028", "\u2029"])
def test_lines_that_end_in_no_line_feed_are_named(tmp_path: Path, sign: str) -> None:
    with pytest.raises(
        DataError, match=rf"its lines end in .* \(U\+{ord(sign):04X}\); save it with line feeds"
    ):
        read(tmp_path, f"id,y{sign}001,1{sign}".encode())
    # Before a line feed they are blanks at the end of a cell.
    assert read(tmp_path, f"id,y{sign}\n001,1{sign}\n".encode())[0] == ["id", "y"]


def test_delimiter_is_what_splits_the_header(tmp_path: Path) -> None:
    header, _ = read(tmp_path, b'"a;b;c;d",y,z\n1,2,3\n')
    assert header == ["a;b;c;d", "y", "z"]
    header, rows = read(tmp_path, b"id;weight, kg;height, cm\n1;2,5;3\n")
    assert header == ["id", "weight, kg", "height, cm"]
    assert rows == [(2, ["1", "2,5", "3"])]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (
            'file;age;"notes (a, b, c, d)"\n1.png;20.5;x\n2.png;21,5;"y, z"\n',
            ["file", "age", "notes (a, b, c, d)"],
        ),
        ("file\tage\tweight, kg, dry, net\n1.png\t20.5\t3\n", ["file", "age", "weight, kg, dry, net"]),
        ("file,a|b|c|d\n1.png,20.5\n", ["file", "a|b|c|d"]),
        ("file,age,note\n1.png,20.5\n2.png,3,b,c\n", ["file", "age", "note"]),  # rows that are wrong
        ("file,age\n", ["file", "age"]),
        ("file,age,note\n" + '1.png,20.5,"a;b;c\n;;\n"\n' * 60, ["file", "age", "note"]),
    ],
)
def test_delimiter_is_what_splits_the_rows_like_the_header(
    tmp_path: Path, text: str, header: list[str]
) -> None:
    assert read(tmp_path, text.encode())[0] == header


def test_quoted_cells(tmp_path: Path) -> None:
    _, rows = read(tmp_path, 'id,note,y\n1,"a, ""b""",2\n2,"two\nlines\u2028three",3\n'.encode())
    assert rows == [(2, ["1", 'a, "b"', "2"]), (3, ["2", "two\nlines\u2028three", "3"])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"id,y\n\xff\xfe\xfd,1\n", "row 2: cannot be read as UTF-8"),
        ("id,y\nä,1\n".encode("latin-1"), "row 2: cannot be read as UTF-8"),
        ("id,y\n1,2\n".encode("utf-32"), "this is text in UTF-32; save it as CSV, encoded as UTF-8"),
        ("\ufeffid,y\n1,2\n".encode("utf-32-be"), "this is text in UTF-32"),
        (b'id,y\n1,"open\n2,3\n', "row 2: not a table: a quoted cell begins there and goes on to row 3"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv: {message}"):
        read(tmp_path, content)


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"), open_table(tmp_path):
        pass
