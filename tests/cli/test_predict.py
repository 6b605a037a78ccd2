"""`quadzoo predict`, and what `quadzoo bench` says at its end."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Result

Call = Callable[..., Result]


@pytest.fixture
def run(disc_runs: Path) -> Path:
    """The folder of a run with the head linear."""
    return next(
        one for one in sorted((disc_runs / "runs").iterdir())
        if json.loads((one / "record.json").read_text())["head"] == "linear"
    )  # fmt: skip


def test_table_csv_and_json_say_the_same(run: Path, discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    photos = discs / "photos"
    shown = quadzoo("predict", run, photos / "disc 01.png", photos / "disc 0[0-2].png")
    assert (shown.status, shown.err) == (0, "")
    header, *lines = shown.out.splitlines()
    assert header.split() == ["id", "radius", "x"]
    assert len(lines) == 3  # each image once, in the order that they were asked for
    assert [line.split("  ")[0].strip() for line in lines] == [
        str(photos / f"disc 0{n}.png") for n in (1, 0, 2)
    ]
    csv = tmp_path / "new" / "answers.csv"
    done = quadzoo("predict", run, photos, "--csv", csv)
    assert (done.status, done.out, done.err) == (0, "", f"quadzoo: 60 images: {csv}\n")
    table = pd.read_csv(csv)
    document = json.loads(quadzoo("predict", run, photos, "--json").out)
    assert document["targets"] == ["radius", "x"]
    pd.testing.assert_frame_equal(pd.DataFrame(document["predictions"]), table, rtol=1e-14, atol=0)
    row = table.set_index("id").loc[str(photos / "disc 01.png")]
    radius, x = lines[0].split()[-2:]
    assert radius == str(round(row["radius"]))  # whole numbers, since the targets were
    assert x == f"{row['x']:.4g}"
    assert row["radius"] != round(row["radius"])


def test_an_interval_is_one_column_beside_its_target(run: Path, discs: Path, quadzoo: Call) -> None:
    given = ("predict", run, discs / "photos" / "disc 01.png", "--interval", 0.8)
    row = json.loads(quadzoo(*given, "--json").out)["predictions"][0]
    header, line = quadzoo(*given).out.splitlines()
    names = [
        "id", "radius", "radius 80% interval", "radius joint 80%", "x", "x 80% interval", "x joint 80%",
    ]  # fmt: skip
    assert [cell.strip() for cell in header.split("  ") if cell] == names
    cells = [cell.strip() for cell in line.split("  ") if cell]
    assert cells[5] == f"{row['x_low']:.4g} – {row['x_high']:.4g}"
    assert cells[3] == f"{row['radius_joint_low']:.4g} – {row['radius_joint_high']:.4g}"


def test_a_pattern_in_a_folder_with_brackets(run: Path, discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    folder = tmp_path / "odd [1]*"
    folder.mkdir()
    shutil.copy(discs / "photos" / "disc 01.png", folder)
    assert "disc 01.png" in quadzoo("predict", run, folder / "*.png").out
    assert "disc 01.png" in quadzoo("predict", run, tmp_path / "odd*" / "*.png").out


@pytest.mark.posix
def test_images_that_cannot_be_read_are_named_at_the_end(
    run: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    folder = tmp_path / "photos" / "deeper"
    folder.mkdir(parents=True)
    for name in ("disc 01.png", "disc 02.png"):
        shutil.copy(discs / "photos" / name, folder)
    (folder / "cut.png").write_bytes((folder / "disc 01.png").read_bytes()[:60])
    (folder / "text.jpg").write_text("no image")
    os.mkfifo(folder / "pipe.png")
    (folder / "notes.txt").write_text("not looked at")
    done = quadzoo("predict", run, tmp_path / "photos", "--csv", tmp_path / "a.csv")
    assert done.status == 1
    wrote, count, *named = done.err.splitlines()
    assert wrote.startswith("quadzoo: 5 images:")
    assert count == "quadzoo: 3 of 5 images could not be predicted:"
    assert [line.split(": ")[1].rsplit("/", 1)[1] for line in named] == ["cut.png", "pipe.png", "text.jpg"]
    assert "not a regular file" in named[1]
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table.columns) == ["id", "radius", "x", "error"]
    assert table["radius"].notna().sum() == table["error"].isna().sum() == 2
    shown = quadzoo("predict", run, tmp_path / "photos")
    assert shown.status == 1
    assert len(shown.out.splitlines()) == 3
    answers = json.loads(quadzoo("predict", run, tmp_path / "photos", "--json").out)["predictions"]
    assert [one["x"] is None for one in answers] == [bool(one["error"]) for one in answers]


def test_a_table_names_the_images(run: Path, discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("name,file\nfirst,disc 03\nsecond,disc 04.png\nthird,lost\n")
    given = ("--images", discs / "photos", "--id-column", "file")
    done = quadzoo("predict", run, "--csv-in", new, *given, "--json")
    assert done.status == 1
    answers = json.loads(done.out)["predictions"]
    assert [one["id"] for one in answers] == ["disc 03", "disc 04.png", "lost"]
    assert answers[0]["error"] == ""
    assert "row 4: no image for id 'lost'" in answers[2]["error"]
    wanted = json.loads(quadzoo("predict", run, discs / "photos" / "disc 03.png", "--json").out)
    assert answers[0]["x"] == pytest.approx(wanted["predictions"][0]["x"], rel=1e-5)
    # The columns and the folder are found as for a bench.
    shutil.copy(discs / "discs.csv", tmp_path)
    (tmp_path / "photos").symlink_to(discs / "photos")
    assert len(quadzoo("predict", run, "--csv-in", tmp_path / "discs.csv").out.splitlines()) == 61


def test_a_table_without_names_of_columns_loses_no_image(
    run: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("disc 03.png\ndisc 04.png\n")
    done = quadzoo("predict", run, "--csv-in", tmp_path / "new.csv", "--images", discs / "photos")
    assert done.status == 2
    assert "row 1: names an image ('disc 03.png'), not columns; put a line with the names" in done.error
    (tmp_path / "ids").mkdir()
    shutil.copy(discs / "photos" / "disc 03.png", tmp_path / "ids" / "id.png")  # named as the column is
    (tmp_path / "one.csv").write_text("id\nid\n")
    assert quadzoo("predict", run, "--csv-in", tmp_path / "one.csv", "--images", tmp_path / "ids").status == 0
    (tmp_path / "gap.csv").write_text("id,note\ndisc 03.png,\n,empty\n")
    done = quadzoo("predict", run, "--csv-in", tmp_path / "gap.csv", "--images", discs / "photos")
    assert done.status == 1
    assert "quadzoo: row 3: the id is empty" in done.err


@pytest.mark.posix
def test_what_is_read_or_is_of_a_run_is_never_written_over(
    disc_runs: Path, run: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    shutil.copytree(disc_runs, tmp_path / "out")
    shutil.copy(discs / "photos" / "disc 03.png", tmp_path)
    (tmp_path / "new.csv").write_text("id\ndisc 03.png\n")
    (tmp_path / "link.png").symlink_to("disc 03.png")
    os.mkfifo(tmp_path / "pipe")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    of_run, of_table = (
        tmp_path / "out" / "runs" / run.name / "predictions.csv",
        tmp_path / "out/leaderboard.csv",
    )
    of_table.write_text("mine\n")
    refused = {
        tmp_path / "disc 03.png": "it is read by this very command; name another file",
        tmp_path / "link.png": "it is read by this very command; name another file",
        of_run: "it is a file of a results folder; name another one",
        of_table: "it is a file of a results folder; name another one",
        tmp_path / "pipe": "it is no regular file; name another one",
        tmp_path: "it is a folder; name a file in it",
    }
    for csv, told in refused.items():
        done = quadzoo("predict", run, tmp_path / "disc 03.png", "--csv", csv)
        assert (done.status, done.out) == (2, "")
        assert f"--csv {csv}: {told}" in done.error
    table = tmp_path / "new.csv"
    assert quadzoo("predict", run, "--csv-in", table, "--csv", table).status == 2
    assert of_table.read_text() == "mine\n"
    assert all(path.read_bytes() == content for path, content in before.items() if path != of_table)
    # A link is followed, and stays; an own table of before is written anew.
    (tmp_path / "answers.csv").write_text("old")
    (tmp_path / "to.csv").symlink_to("answers.csv")
    assert quadzoo("predict", run, tmp_path / "disc 03.png", "--csv", tmp_path / "to.csv").status == 0
    assert (tmp_path / "to.csv").is_symlink()
    assert (tmp_path / "answers.csv").read_text().startswith("id,radius,x\n")


def test_an_image_of_a_kind_that_is_not_read_is_named(
    run: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    shutil.copy(discs / "photos" / "disc 03.png", tmp_path)
    (tmp_path / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "notes.txt").write_text("nothing to predict")
    done = quadzoo("predict", run, tmp_path)
    assert done.status == 1
    assert (
        f"quadzoo: {tmp_path / 'phone.HEIC'}: a HEIC, AVIF or video file; save it as JPEG or PNG" in done.err
    )
    assert "notes.txt" not in done.err


@pytest.mark.posix
def test_a_name_of_two_lines_is_one_row(run: Path, discs: Path, quadzoo: Call, tmp_path: Path) -> None:
    odd = shutil.copy(discs / "photos" / "disc 03.png", tmp_path / "two\nlines.png")
    assert len(quadzoo("predict", run, odd).out.splitlines()) == 2


def test_images_that_fail_for_one_reason_are_not_all_listed(run: Path, quadzoo: Call, tmp_path: Path) -> None:
    for number in range(14):
        (tmp_path / f"{number:02}.png").write_bytes(b"no image")
    (tmp_path / "zz.png").write_bytes(b"")
    done = quadzoo("predict", run, tmp_path)
    assert done.status == 1
    _, *named, rest = done.err.splitlines()
    assert [one.split("/")[-1].split(":")[0] for one in named] == [
        *(f"{n:02}.png" for n in range(10)),
        "zz.png",
    ]
    assert rest == "quadzoo: and 4 more; --csv and --json have all of them"


def test_json_has_the_warnings_of_the_model(disc_runs: Path, discs: Path, quadzoo: Call) -> None:
    image = discs / "photos" / "disc 03.png"
    done = quadzoo("predict", "best", image, "--out", disc_runs, "--json")
    told = [line.partition("quadzoo: warning: ")[2] for line in done.err.splitlines() if "warning:" in line]
    assert told  # two epochs beat no baseline
    assert [one[:60] for one in json.loads(done.out)["warnings"]] == [one[:60] for one in told]


def test_a_path_that_leads_nowhere_costs_the_others_nothing(
    run: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    good = discs / "photos" / "disc 01.png"
    done = quadzoo("predict", run, "lost.png", good, tmp_path / "empty", "no*.jpg", good, "--json")
    assert done.status == 1
    answers = json.loads(done.out)["predictions"]
    assert [one["error"] for one in answers] == [
        "no such file or folder", "", "no image in this folder", "no such file or folder"
    ]  # fmt: skip
    assert [one["x"] is None for one in answers] == [True, False, True, True]
    assert "3 of 4 images could not be predicted:" in done.err
    assert "no*.jpg: no such file or folder" in done.err


REFUSED = {
    "nothing to read": ((), "name images, folders or patterns, or a table of them with --csv-in"),
    "both": (("x.png", "--csv-in", "t.csv"), "one of the two"),
    "a folder of what": (("x.png", "--images", "photos"), "--images is for the table that --csv-in names"),
    "no such file": (("nowhere/x.png",), "nowhere/x.png: no such file or folder"),
    "no match": (("nowhere/*.png",), "nowhere/*.png: no such file or folder"),
    "no table": (("--csv-in", "nowhere.csv"), "nowhere.csv: cannot be read"),
    "a percentage": (("README.md", "--interval", "90"), "--interval 90: say a share above 0 and below 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(case: str, run: Path, quadzoo: Call) -> None:
    arguments, told = REFUSED[case]
    done = quadzoo("predict", run, *arguments)
    assert done.status == 2
    assert told in done.error
    assert len(done.error) <= 300


def test_a_folder_without_images_and_a_file_that_cannot_be_written(
    run: Path, discs: Path, quadzoo: Call, tmp_path: Path
) -> None:
    assert "no image in this folder" in quadzoo("predict", run, tmp_path).error
    (tmp_path / "file").write_text("")
    done = quadzoo("predict", run, discs / "photos" / "disc 01.png", "--csv", tmp_path / "file" / "a.csv")
    assert "--csv" in done.error
    assert "name another file" in done.error


def test_best_says_which_run_it_is(disc_runs: Path, discs: Path, quadzoo: Call) -> None:
    done = quadzoo("predict", "best", discs / "photos" / "disc 01.png", "--out", disc_runs)
    assert done.status == 0
    told, warned = done.err.splitlines()
    assert told.startswith("quadzoo: best is tiny_cnn + integer, seed ")
    assert warned.startswith(
        "quadzoo: warning: tiny_cnn + integer has a lower val MSE than all baselines, but on"
    )


def test_a_bench_ends_with_what_to_do_with_the_winner(discs: Path, disc_runs: Path, quadzoo: Call) -> None:
    flags = ["--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius,x",
             "--id-column", "file", "--weights", "none", "--batch-size", 8, "--precision", 32]  # fmt: skip
    done = quadzoo("bench", "--backbones", "tiny_cnn", "--heads", "linear,integer", "--seeds", "0,1",
                   "--epochs", 2, *flags, "--out", disc_runs)  # fmt: skip
    assert done.status == 0
    assert done.err.splitlines()[-1].startswith("quadzoo: tiny_cnn + integer has a lower val")
