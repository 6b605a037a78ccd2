"""A suite, by the real command line, on two sets of 30 images of 16 pixels."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import quadzoo as public
from quadzoo import api
from quadzoo.cli import main
from quadzoo.errors import DataError
from quadzoo.records.suite import read_suite
from quadzoo.report.verify import verify

from ..runs import records
from .suites import SET, SHARED, THIRD, rows, write_set, write_suite

Call = Callable[..., Any]
LEFT = {f"leaderboard-suite.{suffix}" for suffix in ("csv", "md", "json", "html")} | {"suite.json"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A suite of the sets a and b."""
    return write_suite(tmp_path / "sets")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of two heads on the sets b and a; b has a seed of its own."""
    folder = tmp_path_factory.mktemp("suite")
    for seed, name in enumerate("ab"):
        write_set(folder / name, seed)
    (folder / "suite.toml").write_text(
        SHARED + 'heads = ["mlp", "linear"]\n' + SET.format(name="b") + "seeds = [7]\n" + SET.format(name="a")
    )
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--suite", str(folder / "suite.toml"), "--out", str(folder / "out")])
    assert ended.value.code == 0
    return folder / "out"


def test_each_set_has_a_results_folder_of_its_own(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == LEFT | {"a", "b"}
    for name in "ab":
        assert verify(finished / name).faults == []
        assert (finished / name / "leaderboard.html").exists()
        assert len(records(finished / name)) == 2
    assert list(read_suite(finished).sets) == ["b", "a"]  # as in the file
    assert {one["seed"] for one in records(finished / "b")} == {7}  # the set's own
    assert {one["seed"] for one in records(finished / "a")} == {0}


def test_the_table_follows_from_those_of_the_sets(finished: Path) -> None:
    found = rows(finished)
    assert {row["head"] for row in found} == {"mlp", "linear"}
    places = {row["head"]: [float(row["a.rank"]), float(row["b.rank"])] for row in found}
    for name in "ab":
        with (finished / name / "leaderboard.csv").open(encoding="utf-8") as table:
            single = list(csv.DictReader(table))
        trained = [row for row in single if row["head"] != "-"]
        baselines = [row for row in single if row["head"] == "-" and row["backbone"] != "ensemble"]
        best = min(float(row["val_mse"]) for row in baselines)
        for place, row in enumerate(trained, 1):
            of_suite = next(one for one in found if one["head"] == row["head"])
            assert float(of_suite[f"{name}.rank"]) == place
            assert float(of_suite[f"{name}.val_mse"]) == float(row["val_mse"])
            assert float(of_suite[f"{name}.ratio"]) == pytest.approx(float(row["val_mse"]) / best)
    for row in found:
        assert float(row["mean_rank"]) == np.mean(places[row["head"]])
        assert int(row["wins"]) == sum(float(row[f"{name}.ratio"]) < 1 for name in "ab")


def test_finished_runs_are_not_run_again(finished: Path, quadzoo: Call) -> None:
    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in finished.glob("*/runs/*/record.json")}

    before = written()
    result = quadzoo("bench", "--suite", finished.parent / "suite.toml", "--out", finished, "--json")
    assert result.status == 0
    assert written() == before
    document = json.loads(result.out)
    assert [one["name"] for one in document["sets"]] == ["b", "a"]
    assert document["rows"][0]["cells"].keys() == {"a", "b"}
    assert result.err.count("2 runs, 2 done already") == 2


def test_report_writes_the_page_again(finished: Path, quadzoo: Call, tmp_path: Path) -> None:
    there = {name: (finished / name).read_text() for name in LEFT}
    (finished / "leaderboard-suite.html").unlink()
    result = quadzoo("report", finished)
    assert result.status == 0
    assert {name: (finished / name).read_text() for name in LEFT} == there
    assert "over 2 data sets" in result.out
    result = quadzoo("report", finished, "--to", tmp_path / "to", "--format", "html,csv", "--json")
    assert json.loads(result.out)["rows"]
    assert {path.name for path in (tmp_path / "to").iterdir()} == LEFT - {
        "leaderboard-suite.md", "leaderboard-suite.json", "suite.json",
    }  # fmt: skip
    # There, the pages of the sets are not beside it.
    assert 'href="a/leaderboard.html"' in there["leaderboard-suite.html"]
    assert "leaderboard.html" not in (tmp_path / "to" / "leaderboard-suite.html").read_text()
    for folders in ((finished, tmp_path), (tmp_path, finished)):
        assert "it holds a suite; give it alone" in quadzoo("report", *folders).error


def test_a_suite_and_a_bench_do_not_share_a_folder(finished: Path, quadzoo: Call) -> None:
    result = quadzoo("bench", "--backbones", "tiny_cnn", "--weights", "none", "--out", finished)
    assert (result.status, "it holds a suite; name another folder" in result.error) == (2, True)
    result = quadzoo("bench", "--suite", finished.parent / "suite.toml", "--out", finished / "a")
    assert (result.status, "it holds the runs of a single bench" in result.error) == (2, True)
    with pytest.raises(DataError, match="it holds a suite, which suite_leaderboard reads"):
        public.leaderboard(finished)
    with pytest.raises(DataError, match="no results folder of a suite"):
        public.suite_leaderboard(finished / "a")


def test_verify_checks_every_set(finished: Path, quadzoo: Call, tmp_path: Path) -> None:
    result = quadzoo("verify", finished)
    files = len(records(finished / "a")[0]["files"]) * 2
    told = [f"{name}: 2 runs, 2 of them with status ok, {files} files: all match" for name in "ba"]
    assert (result.status, result.out.splitlines()) == (0, told)
    shutil.copytree(finished, tmp_path / "out")
    record = records(tmp_path / "out" / "b")[0]
    (tmp_path / "out" / "b" / "runs" / record["key"] / "model.safetensors").unlink()
    assert quadzoo("verify", tmp_path / "out", "--no-weights").status == 0
    broken = quadzoo("verify", tmp_path / "out")
    assert (broken.status, broken.out.count("all match")) == (1, 1)
    assert f"b: {record['key']}: model.safetensors is missing" in broken.out
    shutil.rmtree(tmp_path / "out" / "a")
    document = json.loads(quadzoo("verify", tmp_path / "out", "--json").out)["sets"]
    assert list(document) == ["b", "a"]
    assert "no records under" in document["a"]["faults"][0]["text"]


def test_python(finished: Path) -> None:
    board = public.suite_leaderboard(finished)
    frame = board.to_frame()
    assert list(frame.columns) == list(rows(finished)[0])
    assert frame["mean_rank"].is_monotonic_increasing
    assert isinstance(board.boards["a"].to_frame(), pd.DataFrame)
    assert "<table" in board._repr_html_()
    again = public.suite(finished.parent / "suite.toml", out=finished)
    assert again.to_frame().equals(frame)


def test_a_plan_of_all_sets(file: Path, quadzoo: Call, tmp_path: Path) -> None:
    result = quadzoo("bench", "--suite", file, "--out", tmp_path / "out", "--dry-run", "--seeds", "0,1")
    assert result.status == 0
    assert "set a: 30 images, 2 of 2 runs to do" in result.out
    assert "2 sets: 4 of 4 runs to do" in result.out
    result = quadzoo("bench", "--suite", file, "--out", tmp_path / "out", "--dry-run", "--json")
    assert [len(plan["runs"]) for plan in json.loads(result.out)["sets"].values()] == [1, 1]
    assert not (tmp_path / "out").exists()


A = SET.format(name="a")
TWO = SHARED + A + SET.format(name="b")
AUTO = TWO.replace('precision = "32"\n', "")  # a precision that is chosen is written to the results folder
FAULTS = {
    "no set": (SHARED, "--suite {file}: no sets; add tables [sets.NAME]"),
    "no TOML": ("sets = [", "--suite {file}: not TOML: "),
    "sets are a list": ('sets = ["a"]', "no sets"),
    "a set is a list": (A + "[[sets.b]]\n", "set b: not a table"),
    "misspelt for all": ('backbone = ["a"]\n' + A, "no parameter 'backbone'; did you mean backbones?"),
    "misspelt in a set": (A + "target = 3\n", "{file}: set a: there is no parameter 'target'; did you mean"),
    "a table": (A + "epochs = { a = 1 }\n", "set a: epochs is a table"),
    "a value": (A + 'epochs = "few"\n', "set a: epochs few: Input should be a valid int"),
    "a number for a path": ("[sets.a]\ndata = 3\n", "set a: data 3: Input should be a valid string"),
    "a recipe that is none": (A + "recipe = 3\n", "set a: recipe 3: it takes the name of one"),
    "an unknown recipe": (A + 'recipe = "x"\n', "set a: recipe 'x': there is "),
    "no data": ("[sets.a]\n", 'set a: no data; name its table, as in data = "a/table.csv"'),
    "out": (A + 'out = "x"\n', "set a: out cannot stand in the file; give --out beside it"),
    "suite": ('suite = "x"\n' + A, "suite cannot stand in the file"),
    "a path for a name": ('[sets."../a"]\n', "set '../a': its results get a folder of that name"),
    "a name that is taken": ("[sets.runs]\n", "set 'runs': its results get a folder of that name"),
    "twice by name": (A + THIRD.format("a", "y"), "set c: the same data, images and targets as set a"),
    "twice by content": (TWO + THIRD.format("a/../a", "y"), "set c: it has the same images and targets"),
    "the third set": (AUTO + THIRD.format("nowhere", "y"), "nowhere/table.csv: no such file or folder"),
    "its target": (TWO + THIRD.format("a", "z"), "no column 'z' (targets); it has id, y"),
    "an unknown backbone": ('backbones = ["tiny_cmm"]\n' + A, "set a: unknown backbone 'tiny_cmm'"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_ends_the_bench_before_it_begins(
    case: str, file: Path, quadzoo: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text, told = FAULTS[case]
    file.write_text(text)
    monkeypatch.chdir(tmp_path)
    result = quadzoo("bench", "--suite", "sets/suite.toml", "--out", "out")
    assert result.status == 2
    assert told.replace("{file}", "sets/suite.toml") in result.error
    assert len(result.error) <= 320
    assert not (tmp_path / "out").exists()


def test_what_differs_between_sets_is_not_given_beside_the_file(file: Path, quadzoo: Call) -> None:
    for flag in ("--data", "--images", "--targets", "--id-column", "--group-column", "--split"):
        result = quadzoo("bench", "--suite", file, flag, "x")
        assert f"{flag} beside --suite: each set has its own" in result.error


def test_a_long_path_leaves_room_for_the_fix(tmp_path: Path, quadzoo: Call) -> None:
    folder = tmp_path / ("x" * 200)
    folder.mkdir()
    (folder / "suite.toml").write_text("[sets.a]\n")
    assert quadzoo("bench", "--suite", folder / "suite.toml").error.endswith('data = "a/table.csv"')


def test_no_such_file(quadzoo: Call, tmp_path: Path) -> None:
    assert "No such file or directory; name a TOML file" in quadzoo("bench", "--suite", tmp_path / "no").error
    assert "not a regular file; name a TOML file" in quadzoo("bench", "--suite", tmp_path).error


def test_flags_replace_what_the_file_says(file: Path, tmp_path: Path) -> None:
    file.write_text(file.read_text() + "epochs = 3\nsplit = 'mine.csv'\n")
    (file.parent / "mine.csv").write_text(
        "id,split\n" + "".join(f"{n},{('train', 'val', 'test')[n % 3]}\n" for n in range(30))
    )
    plans = api.plan_suite(file, out=tmp_path / "out")
    assert [plan.config.recipe.epochs for plan in plans.values()] == [1, 3]
    assert [plan.tasks[0].split.n_train for plan in plans.values()] == [19, 10]
    plans = api.plan_suite(file, out=tmp_path / "out", epochs=2, backbones=["resnet18"])
    assert [plan.config.recipe.epochs for plan in plans.values()] == [2, 2]
    assert {task.backbone for plan in plans.values() for task in plan.tasks} == {"resnet18"}


def test_shares_of_the_training_images_in_a_suite(file: Path, quadzoo: Call, tmp_path: Path) -> None:
    file.write_text("train_share = [0.5, 0.75]\n" + file.read_text())
    plan = quadzoo("bench", "--suite", file, "--out", tmp_path / "out", "--dry-run", "--json")
    document = json.loads(plan.out)
    assert [len(one["runs"]) for one in document["sets"].values()] == [2, 2]
    seconds = [one["estimated_seconds"] for one in document["sets"].values()]
    assert document["estimated_seconds"] == pytest.approx(sum(seconds))
    assert min(seconds) > 0
    done = quadzoo("bench", "--suite", file, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert done.err.index("for all sets") < done.err.index("set a (1 of 2)")
    (row,) = rows(tmp_path / "out")
    assert row["sets"] == "2"
    board = public.suite_leaderboard(tmp_path / "out")
    assert {name: one.split.train_share for name, one in board.boards.items()} == {"a": 0.75, "b": 0.75}
    assert "Smaller shares of the training images are left out on a and b" in done.out
    # On all images, later and beside the file.
    assert quadzoo("bench", "--suite", file, "--out", tmp_path / "out", "--train-share", "1").status == 0
    (row,) = rows(tmp_path / "out")
    assert row["sets"] == "2"
    board = public.suite_leaderboard(tmp_path / "out")
    assert {len(one.shares[0].rows) for one in board.boards.values()} == {3}
    file.write_text(file.read_text().replace("[0.5, 0.75]", "0.5"))
    assert "a list is needed" in quadzoo("bench", "--suite", file, "--out", tmp_path / "out").error


def test_the_folder_of_a_set_that_is_a_link_is_not_written_into(
    file: Path, quadzoo: Call, tmp_path: Path
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "b").symlink_to(elsewhere)
    done = quadzoo("bench", "--suite", file, "--out", out)
    assert done.status == 2
    assert f"set b: its results folder {out / 'b'} is a link, and a suite writes through none" in done.err
    assert [*elsewhere.iterdir()] == []
