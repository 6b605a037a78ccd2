from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quadzoo.data.sources import DataRequest, open_source
from quadzoo.errors import ConfigError, DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for name in ("001.png", "1e5.jpg", "NA.bmp", "sub/x.png", "ß ä.png"):
        (tmp_path / "photos" / name).write_bytes(b"not looked at here")
    (tmp_path / "outside.png").write_bytes(b"")
    return tmp_path


def read(folder: Path, text: str, encoding: str = "utf-8", **flags: str) -> object:
    table = folder / "table.csv"
    table.write_bytes(text.encode(encoding))
    targets = ("y",) if "targets" not in flags else tuple(flags.pop("targets").split(","))
    return open_source(DataRequest(str(table), folder / "photos", targets, **flags))


def test_ids_stay_text(photos: Path) -> None:
    source = read(photos, "id,y\n001,1\n1e5,2.5\nNA,-3e2\nsub/x.png,4\nß ä,5\n")
    assert source.ids == ["001", "1e5", "NA", "sub/x.png", "ß ä"]
    assert [path.name for path in source.paths] == ["001.png", "1e5.jpg", "NA.bmp", "x.png", "ß ä.png"]
    assert source.targets[:, 0].tolist() == [1, 2.5, -300, 4, 5]
    assert source.rows == [2, 3, 4, 5, 6]
    assert source.name == "table"
    assert source.low is None


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("id;y\n001;1\n", "utf-8"),
        ("id\ty\n001\t1\n", "utf-8"),
        ('id,y,note\n001,1,"a, b"\n', "utf-8"),
        ("id,y\r\n001,1\r\n\r\n", "utf-8-sig"),
        (" id , y\n001, 1 \n", "utf-8"),
    ],
)
def test_dialects(photos: Path, text: str, encoding: str) -> None:
    source = read(photos, text, encoding)
    assert (source.ids, source.targets.tolist()) == (["001"], [[1.0]])


def test_several_targets_and_id_column(photos: Path) -> None:
    source = read(photos, "file,u,v\n001,1,2\nNA,3,4\n", targets="v,u", id_column="file")
    assert source.target_names == ("v", "u")
    assert np.array_equal(source.targets, [[2, 1], [4, 3]])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,z\n001,1\n", r"table.csv: no column 'y' \(--targets\); it has id, z"),
        ("name,y\n001,1\n", r"no column 'id' \(--id-column\)"),
        ("id,y,y\n001,1,2\n", "more than one column 'y'"),
        ("id,y\n001,1\nNA,red\n", "row 3: target 'y' is 'red', not a finite number"),
        ("id,y\n001,\n", "row 2: target 'y' is ''"),
        ("id,y\n001,nan\n", "row 2: target 'y' is 'nan'"),
        ("id,y\n001,inf\n", "row 2: target 'y' is 'inf'"),
        ("id,y\n001,1,9\n", "row 2 has 3 cells where the header has 2"),
        ("id,y\n001,1\n002,2\n", "row 3: no picture for id '002' in .*photos"),
        ("id,y\n001,1\n001,2\n", "row 3: id '001' stands in row 2 too"),
        ("id,y\n../outside.png,1\n", r"row 2: id '../outside.png' leads out of"),
        ("id,y\n/etc/passwd,1\n", "row 2: id '/etc/passwd' leads out of"),
        ("id,y\n,1\n", "row 2: the id is empty"),
        ("id,y\n", "no rows"),
        ("", "empty"),
    ],
)
def test_one_line_names_file_and_row(photos: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        read(photos, text)
    assert "table.csv" in str(error.value)


def test_two_pictures_for_one_id(photos: Path) -> None:
    (photos / "photos" / "001.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"001\.png and 001\.jpg"):
        read(photos, "id,y\n001,1\n")


@pytest.mark.parametrize("targets", ["split", "y,y_pred"])
def test_targets_that_would_clash_in_the_predictions(photos: Path, targets: str) -> None:
    with pytest.raises(ConfigError, match=r"predictions\.csv has columns of that name"):
        read(photos, "id,y,y_pred,split\n001,1,2,3\n", targets=targets)


def test_not_text(photos: Path) -> None:
    with pytest.raises(DataError, match="UTF-8"):
        read(photos, "id,y\nä,1\n", "latin-1")


def test_folder_without_its_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Quadratic Equation Full Details"):
        open_source(DataRequest(str(tmp_path)))


def test_table_needs_images_and_targets(photos: Path) -> None:
    (photos / "t.csv").write_text("id,y\n001,1\n")
    with pytest.raises(ConfigError, match="--images FOLDER and --targets"):
        open_source(DataRequest(str(photos / "t.csv")))
    with pytest.raises(DataError, match=r"--images .*nowhere"):
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
