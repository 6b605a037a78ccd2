from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quadzoo.data.cache import clear
from quadzoo.data.finder import images_under
from quadzoo.data.sources import DataRequest, Source, drawn_folder, open_source, scan
from quadzoo.errors import ConfigError, DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for name in ("001.png", "1e5.jpg", "NA.bmp", "sub/x.png", "ß ä.png"):
        (tmp_path / "photos" / name).write_bytes(b"not looked at here")
    (tmp_path / "outside.png").write_bytes(b"")
    return tmp_path


def read(folder: Path, text: str, encoding: str = "utf-8", **flags: str) -> Source:
    table = folder / "table.csv"
    table.write_bytes(text.encode(encoding))
    targets = ("y",) if "targets" not in flags else tuple(flags.pop("targets").split(","))
    return open_source(DataRequest(str(table), folder / "photos", targets, **flags))


def test_ids_stay_text(photos: Path) -> None:
    source = read(photos, "id,y\n001,1\n1e5,2.5\nNA,-3e2\nsub/x.png,4\nß ä,5\n")
    assert source.ids == ["001", "1e5", "NA", "sub/x.png", "ß ä"]
    assert source.files == ["001.png", "1e5.jpg", "NA.bmp", "sub/x.png", "ß ä.png"]
    assert source.path(3) == photos / "photos" / "sub" / "x.png"
    assert source.targets[:, 0].tolist() == [1, 2.5, -300, 4, 5]
    assert list(source.rows) == [2, 3, 4, 5, 6]
    assert source.name == "table"
    assert source.low is None


def test_rows_are_in_the_order_of_their_ids(photos: Path) -> None:
    source = read(photos, "id,y,g\nNA,1,u\n1e5,2,v\n001,3,w\n", group_column="g")
    assert (source.ids, source.files) == (["001", "1e5", "NA"], ["001.png", "1e5.jpg", "NA.bmp"])
    assert (source.targets[:, 0].tolist(), source.group_values) == ([3, 2, 1], ["w", "v", "u"])
    assert list(source.rows) == [4, 3, 2]  # as the file has them


def test_several_targets_and_id_column(photos: Path) -> None:
    source = read(photos, "file,u,v\n001,1,2\nNA,3,4\n", targets="v,u", id_column="file")
    assert source.target_names == ("v", "u")
    assert np.array_equal(source.targets, [[2, 1], [4, 3]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,z\n001,1\n", r"table.csv: no column 'y' \(`targets`\); it has id, z"),
        ("id,y,y\n001,1,2\n", "more than one column 'y'"),
        ("id,y\n001,1\nNA,red\n", "row 3: target 'y' is 'red', not a finite number"),
        ("id,y\n001,\n", "row 2: target 'y' is ''"),
        ("id,y\n001,nan\n", "row 2: target 'y' is 'nan'"),
        ("id,y\n001,inf\n", "row 2: target 'y' is 'inf'"),
        ("id,y\n001,1,9\n", "row 2: 3 cells where the header has 2"),
        ("id,y\n001,1\n002,2\n", "row 3: no image for id '002' in .*photos"),
        ("id,y\n001,1\n001,2\n", "row 3: id '001' is also in row 2"),
        ("id,y\n../outside.png,1\n", r"row 2: id '../outside.png' leads out of"),
        ("id,y\n/etc/passwd,1\n", "row 2: id '/etc/passwd' leads out of"),
        ("id,y\nsub/../../outside.png,1\n", "leads out of"),
        ("id,y\n..,1\n", "leads out of"),
        ("id,y\nsub,1\n", "no image for id 'sub'"),
        ("id,y\n,1\n", "row 2: the id is empty"),
        ("id;y\n001;3,5\n", "row 2: target 'y' is '3,5', not a finite number; write decimals with a point"),
        ("id,y\n001,1_000\n", "row 2: target 'y' is '1_000'"),
        ("id,y\n001,a\nNA,b\nß ä,c\n", r"row 2: .* \(3 such rows: 2, 3, 4; quadzoo data check"),
        ("id,y\n", "no rows"),
        ("", "empty"),
    ],
)
def test_one_line_names_file_and_row(photos: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(photos, text)
    assert "table.csv" in str(error.value)


def test_names_of_images(photos: Path) -> None:
    folder = photos / "photos"
    (folder / "LOUD.JPG").write_bytes(b"")
    (folder / "a.b.png").write_bytes(b"")
    (folder / "notes.txt").write_bytes(b"")
    (folder / "u\u0308.png").write_bytes(b"")  # ü as macOS writes it
    (folder / "link.png").symlink_to(photos / "outside.png")  # the owner's doing, not the table's
    text = f"id,y\nLOUD,1\na.b,1\nsub/../NA,1\n./001.png,1\nü.png,1\nlink,1\n{folder / '1e5.jpg'},1\n"
    source = read(photos, text)
    assert dict(zip(source.ids, source.files, strict=True)) == {
        "LOUD": "LOUD.JPG",
        "a.b": "a.b.png",
        "sub/../NA": "NA.bmp",
        "./001.png": "001.png",
        "ü.png": "u\u0308.png",
        "link": "link.png",
        str(folder / "1e5.jpg"): "1e5.jpg",
    }
    with pytest.raises(DataError, match="no image for id 'notes'"):
        read(photos, "id,y\nnotes,1\n")


def test_a_relative_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    source = read(Path(), f"id,y\n001,1\n{photos / 'photos' / 'NA.bmp'},2\n")
    assert sorted(source.files) == ["001.png", "NA.bmp"]


def test_faults_are_listed_row_by_row(photos: Path) -> None:
    (photos / "t.csv").write_text("id,y,z\n001,1,2\nNA,red,2\n1e5,1,\nnone,1,2\n001,1,2\nß ä,1\n../x,1,1\n")
    source, faults, _ = scan(DataRequest(str(photos / "t.csv"), photos / "photos", ("y", "z")))
    assert source.ids == ["001"]
    assert [(fault.row, fault.kind, fault.file) for fault in faults] == [
        (3, "target", "NA.bmp"),
        (4, "missing target", "1e5.jpg"),
        (5, "image", None),
        (6, "repeated", "001.png"),
        (7, "row", None),
        (8, "id", None),
    ]


def test_hundreds_of_targets(photos: Path) -> None:
    names = [f"t{index}" for index in range(300)]
    text = f"id,{','.join(names)}\n001,{','.join(str(index / 7) for index in range(300))}\n"
    source = read(photos, text, targets=",".join(names))
    assert source.targets.shape == (1, 300)
    assert source.targets[0, 299] == 299 / 7


def test_subset(photos: Path) -> None:
    source = read(photos, "id,y,g\n001,1,u\n1e5,2,v\nNA,3,w\n", group_column="g").subset([2, 0])
    assert (source.ids, source.files, list(source.rows)) == (["NA", "001"], ["NA.bmp", "001.png"], [4, 2])
    assert (source.targets.tolist(), source.group_values) == ([[3], [1]], ["w", "u"])


def test_images_under(photos: Path) -> None:
    (photos / "photos" / "notes.txt").write_bytes(b"")
    expected = {"001.png", "1e5.jpg", "NA.bmp", "sub/x.png", "ß ä.png"}
    assert set(images_under(photos / "photos")) == expected


def test_two_images_for_one_id(photos: Path) -> None:
    (photos / "photos" / "001.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"could be 001\.jpg, 001\.png; add the suffix"):
        read(photos, "id,y\n001,1\n")


def test_a_target_twice(photos: Path) -> None:
    with pytest.raises(ConfigError, match="`targets` names y twice"):
        read(photos, "id,y\n001,1\n", targets="y,y")


def test_not_text(photos: Path) -> None:
    with pytest.raises(DataError, match="UTF-8"):
        read(photos, "id,y\nä,1\n", "latin-1")


def test_folder_without_its_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Quadratic Equation Full Details"):
        open_source(DataRequest(str(tmp_path)))


def test_table_needs_images_and_targets(photos: Path) -> None:
    (photos / "t.csv").write_text("id,y\n001,1\n")
    with pytest.raises(
        ConfigError, match=r"no column mostly holds numbers .*; name the targets with `targets`"
    ):
        open_source(DataRequest(str(photos / "t.csv")))  # y is the same in every row
    with pytest.raises(ConfigError, match="`targets` names no column"):
        open_source(DataRequest(str(photos / "t.csv"), photos / "photos", ()))
    (photos / "u.csv").write_text("name,y\n002,1\n003,2\n")
    with pytest.raises(
        ConfigError, match=r"no column 'id' \(`id_column`\), and none whose cells name images"
    ):
        open_source(DataRequest(str(photos / "u.csv"), photos / "photos", ("y",)))
    with pytest.raises(DataError, match=r"`images` .*nowhere: no such folder"):
        open_source(DataRequest(str(photos / "t.csv"), photos / "nowhere", ("y",)))


def test_published_folder(published: Path) -> None:
    source = open_source(DataRequest(str(published)))
    assert len(source) == 2000
    assert (source.name, source.target_names) == ("quadratic", ("a", "b", "c"))
    assert (source.low, source.high) == ((1, -48, -792), (20, 96, 600))
    assert (source.targets.min(axis=0), source.targets.max(axis=0)) == (
        pytest.approx(source.low),
        pytest.approx(source.high),
    )


# What a process of its own does: draw the equations, slowly; print how many it has drawn.
DRAWING = """
import time
from quadzoo.data import equations, sources
drawn, original = [], equations.draw
equations.draw = lambda *a: (drawn.append(1), time.sleep(0.001), original(*a))[-1]
print("ready", flush=True)
sources.open_source(sources.DataRequest("quadratic"))
print(len(drawn))
"""


def start_drawing() -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", DRAWING], stdout=pipe, text=True)


def test_processes_that_ask_at_once_draw_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path))
    killed = start_drawing()
    while not list(tmp_path.rglob("*.png")):
        assert killed.poll() is None
    killed.kill()
    killed.communicate()
    both = [start_drawing() for _ in range(2)]
    drawn = [int(process.communicate()[0].split()[1]) for process in both]
    assert sorted(drawn) == [0, 2001]  # one more to see whether the font has all characters
    folder = drawn_folder()
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f"{folder.name}.lock"}
    clear()
    assert {path.name for path in folder.parent.iterdir()} == {f"{folder.name}.lock"}
