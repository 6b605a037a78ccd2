"""Messages name parameters in backticks, never flags, and stay one short line whatever is in the data."""

from __future__ import annotations

import ast
from pathlib import Path

import cv2
import numpy as np
import pytest

import quadzoo.data
from quadzoo.data.cache import prepare
from quadzoo.data.equations import draw
from quadzoo.data.geometry import parse_image_size
from quadzoo.data.sources import DataRequest, open_source
from quadzoo.data.splits import make_splits
from quadzoo.errors import QuadzooError

MODULES = sorted(Path(quadzoo.data.__file__).parent.glob("*.py"))
LONG = "x" * 5000
MANY = ",".join(f"column{i}" for i in range(500))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_no_text_names_a_flag(module: Path) -> None:
    texts = [
        node.value
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    if module.stem == "datamodule":
        return  # names a whole command
    assert not [text for text in texts if "--" in text]


@pytest.mark.parametrize(
    ("table", "targets"),
    [
        (f"id,{MANY}\na,1\n", ("y",)),
        (f"id,y\n{LONG},1\n", ("y",)),
        (f"id,y\na,{LONG}\n", ("y",)),
        ("id,y\na,1\na,2\n", ("y",)),
        ("id,y\nbroken,1\n", ("y",)),
        ("id,y\ntwo,1\n", ("y",)),
        ("id,y\na,1,1\n", ("y",)),
        (f'id,y\na,"1\n2\n3{LONG}"\n', ("y",)),
        (f"id,{LONG}\na,\n", (LONG,)),
        ("id,y\na,1\n", ()),
        ("id,y\n/etc/passwd,1\n", ("y",)),
        ("id,y\nb,1\n", ("y",)),
        (f"id,{MANY}\na,1\n", ("split", "image_group", "image_kind", "id")),
    ],
)
def test_messages_are_one_short_line(
    table: str, targets: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("d")
    (folder / "t.csv").write_text(table)
    assert cv2.imwrite(str(folder / "a.png"), np.eye(32, dtype=np.uint8))
    for name in ("broken.png", "two.png", "two.jpg"):
        (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n" + 5000 * b"x")
    with pytest.raises(QuadzooError) as error:
        prepare(open_source(DataRequest(str(folder / "t.csv"), folder, targets)), "auto")
    message = str(error.value)
    assert len(message.replace(str(folder), "")) <= 250
    assert "\n" not in message


def test_other_messages_are_one_short_line(tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text(f"id,split\n{LONG},train\n")
    (tmp_path / "side.csv").write_text(f"id,split\na,{LONG}\n")
    (tmp_path / "many.csv").write_text(f"{MANY}\n")
    for refused in (
        *(lambda name=name: make_splits(str(tmp_path / name), ["a"], np.zeros(1, int)) for name in
          ("split.csv", "side.csv", "many.csv", "none.csv")),
        lambda: make_splits("article", ["a"], np.zeros(1, int), folds=3),
        lambda: parse_image_size(LONG),
        lambda: draw("x", tmp_path / "split.csv"),
        lambda: open_source(DataRequest(str(tmp_path / "none"))),
        lambda: open_source(DataRequest(str(tmp_path))),
        lambda: open_source(DataRequest(str(tmp_path / "split.csv"), tmp_path / "none", ("y",))),
    ):  # fmt: skip
        with pytest.raises(QuadzooError) as error:
            refused()
        assert len(str(error.value).replace(str(tmp_path), "")) <= 250
        assert "\n" not in str(error.value)
