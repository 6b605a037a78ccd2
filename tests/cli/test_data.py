"""quadzoo data make, check and cache, as a user types them."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from quadzoo.data.decoding import decode
from quadzoo.data.equations import DETAILS_CSV, IMAGES, ROOTS_CSV
from quadzoo.errors import DataError
from tests.benched import benched, photos, table

Call = Callable[..., Any]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / DETAILS_CSV).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_make_check_and_bench(quadzoo: Call, tmp_path: Path) -> None:
    made = quadzoo("data", "make", tmp_path / "made", "--n", 60, "--seed", 3, "--labels", "true")
    assert (made.status, made.out) == (0, f"{tmp_path / 'made'}: 60 equations, seed 3, labels true\n")
    assert {path.name for path in (tmp_path / "made").iterdir()} == {DETAILS_CSV, ROOTS_CSV, IMAGES}
    with Image.open(tmp_path / "made" / IMAGES / "eqn_0000.png") as first:
        assert (first.size, first.mode) == ((300, 100), "RGBA")
    checked = quadzoo("data", "check", tmp_path / "made")
    assert (checked.status, checked.err) == (0, "")
    benched = quadzoo(
        "bench", "--data", tmp_path / "made", "--backbones", "tiny_cnn", "--weights", "none", "--epochs", 1,
        "--resize", "stretch", "--image-size", "48x64", "--augment", "photo", "--out", tmp_path / "out",
    )  # fmt: skip
    assert benched.status == 0
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "out").glob("runs/*/record.json"))
    assert record["data"]["name"] == "made"
    assert (record["image"]["size"], record["image"]["resize"]) == ([48, 64], "stretch")
    assert record["recipe"]["augment"] == "photo"


def test_labels_differ_in_b_alone_and_in_the_factored_form_alone(quadzoo: Call, tmp_path: Path) -> None:
    for labels in ("published", "true"):
        assert quadzoo("data", "make", tmp_path / labels, "--n", 80, "--labels", labels).status == 0
    for published, true in zip(rows_of(tmp_path / "published"), rows_of(tmp_path / "true"), strict=True):
        sign = -1 if "(" in true["equation"] else 1
        assert int(published["b"]) == sign * int(true["b"])
        assert {**published, "b": ""} == {**true, "b": ""}
    one, other = (sorted((tmp_path / labels / IMAGES).iterdir()) for labels in ("published", "true"))
    assert all(p.read_bytes() == q.read_bytes() for p, q in zip(one, other, strict=True))


def test_a_font_of_ones_own(quadzoo: Call, tmp_path: Path, published: Path) -> None:
    font = published.parent / "fonts" / "HindSiliguri-Regular.ttf"
    assert quadzoo("data", "make", tmp_path / "with", "--n", 5, "--font", font).status == 0
    assert quadzoo("data", "make", tmp_path / "without", "--n", 5).status == 0
    assert rows_of(tmp_path / "with") == rows_of(tmp_path / "without")
    one, other = (tmp_path / name / IMAGES / "eqn_0000.png" for name in ("with", "without"))
    assert not np.array_equal(decode(one.read_bytes()).pixels, decode(other.read_bytes()).pixels)


def test_what_make_refuses(quadzoo: Call, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    no_font = tmp_path / "no.ttf"
    no_font.write_text("not a font")
    default = ImageFont.load_default(20)
    assert isinstance(default, ImageFont.FreeTypeFont)
    lacks = tmp_path / "lacks.ttf"
    lacks.write_bytes(default.path.getvalue())  # type: ignore[attr-defined]  # Pillow's own has no raised 2
    for flags, told in (
        ((tmp_path / "there",), "there: exists already; name a new folder, or delete it first"),
        ((tmp_path / "file",), "file: exists already"),
        ((tmp_path / "file" / "x",), "cannot be written"),
        ((tmp_path / "new", "--n", "0"), "0 is not in the range x>=1"),
        ((tmp_path / "new", "--font", no_font), "no.ttf: not a font that can be read"),
        ((tmp_path / "new", "--font", lacks), "lacks.ttf: has no ²; choose another font"),
        ((tmp_path / "new", "--font", tmp_path / "none.ttf"), "does not exist"),
        ((tmp_path / "new", "--labels", "wrong"), "'wrong' is not one of 'published', 'true'"),
    ):
        result = quadzoo("data", "make", *flags)
        assert result.status == 2
        assert told in result.error
        assert result.out == ""
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "there" / "mine.txt").read_text() == "precious"


def test_make_into_an_empty_folder(quadzoo: Call, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert quadzoo("data", "make", tmp_path / "empty", "--n", 3).status == 0
    assert len(rows_of(tmp_path / "empty")) == 3


def test_check_tells_people(quadzoo: Call, equations: Path) -> None:
    result = quadzoo("data", "check", equations)
    assert result.status == 1
    for told in (
        "equations: 120 rows, 120 of them usable",
        "kinds           120 PNG RGBA",
        "height x width  100x300; `--image-size auto` makes them 32x",
        "split grouped",
        "split article",
        "× b that is not what the equation says",
        "and ",
        "1 error, ",
    ):
        assert told in result.out
    assert result.err == ""


def test_check_tells_programs(quadzoo: Call, equations: Path) -> None:
    result = quadzoo("data", "check", equations, "--json")
    assert result.status == 1
    found = json.loads(result.out)
    assert found["equations"]["wrong_b"] == found["equations"]["opposite_b"] > 0
    assert found["errors"] == sum(one["severity"] == "error" for one in found["findings"]) == 1
    assert found["splits"][1]["leaked"] == found["splits"][1]["test"]


def test_check_guesses_the_columns_of_a_table(quadzoo: Call, discs: Path) -> None:
    result = quadzoo("data", "check", discs / "discs.csv", "--images", discs / "photos", "--json")
    found = json.loads(result.out)
    assert [one["name"] for one in found["targets"]] == ["radius", "x"]
    # x has two decimals, the discs are drawn at whole pixels: some are the same image
    assert (result.status, found["duplicates"]["disagreeing"] > 0) == (1, True)
    assert (found["rows"], found["usable"]) == (60, 60)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["nowhere"], "--data nowhere: no such file or folder"),
        (["{discs}"], "a folder is for data with a 'Quadratic Equation Full Details.csv'"),
        (["{discs}/discs.csv", "--images", "nowhere"], "--images nowhere: no such folder"),
        (["{discs}/discs.csv", "--images", "{discs}/photos", "--targets", "y"], "no column 'y'"),
        (["{equations}", "--split", "nowhere"], "neither grouped nor article nor a file"),
    ],
)
def test_what_check_refuses(flags: list[str], told: str, quadzoo: Call, discs: Path, equations: Path) -> None:
    result = quadzoo("data", "check", *(flag.format(discs=discs, equations=equations) for flag in flags))
    assert result.status == 2
    assert told in result.error
    assert result.out == ""


def test_cache(quadzoo: Call, equations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(tmp_path / "cache"))
    assert quadzoo("data", "cache").out == f"{tmp_path / 'cache'}: 0.0 MB\n"
    dry = ("bench", "--data", equations, "--backbones", "tiny_cnn", "--weights", "none", "--dry-run")
    assert quadzoo(*dry).status == 0
    shown = quadzoo("data", "cache").out
    assert "equations" in shown
    assert "120" in shown
    assert "x1 " in shown
    listed = json.loads(quadzoo("data", "cache", "--json").out)
    assert listed["folder"] == str(tmp_path / "cache")
    (entry,) = listed["contents"]
    assert entry["images"] == 120
    assert os.path.getsize(entry["path"]) < entry["bytes"]
    cleared = quadzoo("data", "cache", "--clear")
    assert (cleared.status, cleared.out) == (0, f"{tmp_path / 'cache'}: 0.0 MB\n")
    assert "MB deleted" in cleared.err
    assert not list((tmp_path / "cache").rglob("*.npy"))
    assert quadzoo(*dry).status == 0  # and all of it can be made again


def test_help(quadzoo: Call) -> None:
    for command in ("make", "check", "cache"):
        result = quadzoo("data", command, "--help")
        assert result.status == 0
        assert "Usage: quadzoo data" in result.out
    assert quadzoo("data", "--help").out.count("\n  ") >= 5


def test_check_finds_images_ids_and_targets_and_goes_on(quadzoo: Call, tmp_path: Path) -> None:
    names = photos(tmp_path / "img", 24)
    rows = [(one, i, "" if i < 9 else i, f"{i},5", f"P{i // 4}") for i, one in enumerate(names)]
    path = table(tmp_path / "t.csv", rows, ("photo", "weight, kg", "age", "size", "patient"))
    result = quadzoo("data", "check", path)
    assert (result.status, result.err) == (0, "")
    for told in (
        f"found           the images are in {tmp_path / 'img'}",
        "found           column 'photo' names the images",
        'found           the target is "weight, kg"',
        "warning  1 × column that is not taken as a target, since many of its cells are empty",
        "           age (9 of 24, as in row 2)",
        "           size (row 2: '0,5'; write decimals with a point: 0.5)",
        "name it with --group-column, which keeps them on one side",
        "           patient: 6 values in 24 rows",
        "what a bench of these columns is to predict; name the targets with --targets",
        "0 errors, 3 warnings",
    ):
        assert told in result.out
    both = quadzoo(
        "data", "check", path, "--target", "weight, kg", "--target", "age", "--group-column", "patient"
    )
    assert both.status == 1
    assert "error    9 × row that lacks a target" in both.out
    table(tmp_path / "test.csv", rows[18:], ("photo", "weight, kg", "age", "size", "patient"))
    (tmp_path / "t.csv").write_text("".join((tmp_path / "t.csv").read_text().splitlines(True)[:20]))
    tested = quadzoo("data", "check", path, "--target", "weight, kg", "--test-data", tmp_path / "test.csv")
    assert "split test-data" in tested.out
    assert "1 × test image (of 6) of split test-data that is also in train or val" in tested.out


def test_check_of_names_that_are_no_utf8(quadzoo: Call, tmp_path: Path) -> None:
    names = photos(tmp_path / "img", 10)
    (tmp_path / "img" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    path = table(tmp_path / os.fsdecode(b"\xfe.csv"), [(one, i) for i, one in enumerate(names)])
    result = quadzoo("data", "check", path)
    assert result.status == 0
    assert "           \ufffd.png" in result.out
    assert quadzoo("data", "check", path, "--json").status == 0
    assert "no column 'x'" in quadzoo("data", "check", path, "--targets", "x").error


def test_json_has_a_thousand_of_each_kind_and_the_terminal_three(quadzoo: Call, tmp_path: Path) -> None:
    names = photos(tmp_path, 3)
    rows = [*[(name, i) for i, name in enumerate(names)], *[(f"gone{i}", i) for i in range(1200)]]
    path = table(tmp_path / "t.csv", rows)
    out = quadzoo("data", "check", path).out
    assert "1,200 × row with no image" in out
    assert (out.count(": no image for id"), "and 1,197 more (see --json)" in out) == (3, True)
    found = json.loads(quadzoo("data", "check", path, "--json").out)["findings"]
    (one,) = [one for one in found if one["code"] == "missing-image"]
    assert (one["count"], len(one["examples"])) == (1200, 1000)
    said = "1,200 such rows: .*; quadzoo data check as JSON shows up to 1,000 of each"
    with pytest.raises(DataError, match=said):
        benched(path)
    told = " ".join(quadzoo("data", "check", "--help").out.split())
    assert "the first 3, with --json the first 1,000" in told
