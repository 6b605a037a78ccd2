"""Results folders put together."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from quadzoo.errors import DataError
from quadzoo.records.predictions import read_predictions
from quadzoo.records.record import run_folder, write_record
from quadzoo.report.results import kept_records, read_runs
from tests.report.records import board_of, predict, record


def test_the_newest_that_is_ok_counts(tmp_path: Path) -> None:
    old = record("1", 0.01)
    newer = record("1", 0.01, finished=old.finished + timedelta(hours=1))
    newest = record("1", None, finished=old.finished + timedelta(hours=2))
    for name, one in (("a", old), ("b", newer), ("c", newest)):
        write_record(tmp_path / name, one)
    (run,), conflicts, _, _ = read_runs([tmp_path / name for name in "abc"])
    assert run.folder == tmp_path / "b" / "runs" / "1"
    assert conflicts == []  # the same score


def test_two_scores_for_one_key_are_a_conflict(tmp_path: Path) -> None:
    old = record("1", 0.01)
    write_record(tmp_path / "a", old)
    write_record(tmp_path / "b", record("1", 0.02, finished=old.finished + timedelta(hours=1)))
    write_record(tmp_path / "b", record("2", 0.02, seed=1))
    runs, (conflict,), _, _ = read_runs([tmp_path / "b", tmp_path / "a"])
    assert [run.record.key for run in runs] == ["1", "2"]
    assert (conflict.key, conflict.taken_test_mse, conflict.other_test_mse) == ("1", 0.02, 0.01)


def test_failed_everywhere(tmp_path: Path) -> None:
    old = record("1", None)
    write_record(tmp_path / "a", record("1", None, finished=old.finished + timedelta(hours=1)))
    write_record(tmp_path / "b", old)
    (run,), *_ = read_runs([tmp_path / "b", tmp_path / "a"])
    assert run.folder.parent.parent == tmp_path / "a"


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("id,split,y,y_pred\n001,test,1,0.30000000000000004\nNA,val,1e5,2\n")
    table = read_predictions(path, ["y"])
    assert table["id"].tolist() == table["image_group"].tolist() == ["001", "NA"]
    assert table["y_pred"][0] == 0.1 + 0.2
    with pytest.raises(DataError, match="no column 'z'"):
        read_predictions(path, ["z"])
    path.write_text("")
    with pytest.raises(DataError, match="not a table of predictions"):
        read_predictions(path, ["y"])


def swap(old: str, new: str) -> Callable[[Path], None]:
    """Return what puts one text in the place of another in a file."""
    return lambda path: (path.write_text(path.read_text().replace(old, new)), None)[1]


def cut_before(text: str) -> Callable[[Path], None]:
    """Return what ends a file before the last time it has this text."""
    return lambda path: (path.write_text(path.read_text().rpartition(text)[0]), None)[1]


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def lose(path: Path) -> None:
    """Delete predictions that the record names."""
    path.unlink()
    record_file = path.with_name("record.json")
    digest = "0" * 64
    record_file.write_text(
        record_file.read_text().replace('"files": {}', f'"files": {{"{path.name}": "{digest}"}}')
    )


RECORD_DAMAGE = {
    "NaN": (
        swap('"fit_seconds": 3.0', '"fit_seconds": NaN'),
        "cost.fit_seconds: Input should be a finite",
    ),
    "infinite": (swap('"val_mse": 0.25', '"val_mse": Infinity'), "metrics.val_mse: Input should be a finite"),
    "cut": (cut_before('"recipe"'), "record.json: not a record that this version reads"),
    "folder": (make_folder, "record.json: cannot be read"),
    "schema": (swap('"schema": 2', '"schema": 99'), "schema 99"),
    "no score": (swap('"val_mse": 0.25', '"val_mse": null'), "val_mse or test_mse is missing"),
    "no image": (swap('"n_val": 2', '"n_val": 0'), "no val or no test images"),
    "range": (swap('"target_high": [\n    10.0', '"target_high": [\n    0.0'), "low must be below high"),
    "other target": (swap('"y": 0.5', '"z": 0.5'), "test_r2 has other targets than the record"),
}
PREDICTIONS_DAMAGE = {
    "half": (cut_before("p2"), "predictions.csv: 2 test images, the record says 4"),
    "half a line": (cut_before(","), "predictions.csv: not a table of predictions"),
    "twice": (swap("p3", "p2"), "a test image is there twice"),
    "missing": (lose, "predictions.csv: cannot be read (No such file or directory)"),
    "folder": (make_folder, "predictions.csv: cannot be read (not a regular file)"),
    "text": (swap("7.0", "seven"), "not a table of predictions (could not convert string to float: 'seven')"),
    "infinite": (swap("7.0", "inf"), "a target or prediction is not a finite number"),
    "bytes": (lambda path: (path.write_bytes(b"\xff\x00"), None)[1], "not a table of predictions"),
}
DAMAGE = [
    pytest.param(name, spoil, told, id=f"{name}: {case}")
    for name, cases in (("record.json", RECORD_DAMAGE), ("predictions.csv", PREDICTIONS_DAMAGE))
    for case, (spoil, told) in cases.items()
]


@pytest.mark.parametrize(("name", "spoil", "told"), DAMAGE)
def test_a_damaged_run_costs_its_own_row(
    name: str, spoil: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    good, bad = record("good", 0.5), record("bad", 0.25, backbone="damaged")
    for one in (good, bad):
        write_record(tmp_path, one)
        predict(tmp_path, one.key, [1.0, -2.0, 0.5, 2.0])
    assert [row.backbone for row in board_of(tmp_path).rows if row.head != "-"] == ["damaged", "net"]
    spoil(run_folder(tmp_path, "bad") / name)
    board = board_of(tmp_path)
    assert [row.backbone for row in board.rows if row.head != "-"] == ["net"]
    (unreadable,) = board.unreadable
    assert (unreadable.folder, unreadable.key) == (str(tmp_path), "bad")
    assert told in unreadable.reason
    assert str(tmp_path) not in unreadable.reason


def test_a_reason_is_one_short_line(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.5))
    predict(tmp_path, "1", [1.0])
    path = run_folder(tmp_path, "1") / "predictions.csv"
    path.write_text(path.read_text().replace("6.0", '"\x1b[31m\n' + "x y " * 1500 + '"'))
    (unreadable,) = read_runs([tmp_path]).unreadable
    assert len(unreadable.reason) == 300
    assert unreadable.reason.isprintable()


def test_a_run_that_is_damaged_here_counts_from_elsewhere(tmp_path: Path) -> None:
    for name in "ab":
        write_record(tmp_path / name, record("1", 0.5))
    (run_folder(tmp_path / "a", "1") / "record.json").write_text("{}")
    results = read_runs([tmp_path / "a", tmp_path / "b"])
    assert [run.folder.parents[1].name for run in results.runs] == ["b"]
    assert [one.folder for one in results.unreadable] == [str(tmp_path / "a")]


def test_records_are_checked_without_predictions(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.5, files={"predictions.csv": "0" * 64}))
    write_record(tmp_path, record("2", 0.5))
    swap('"val_mse": 0.5', '"val_mse": Infinity')(tmp_path / "runs" / "2" / "record.json")
    assert [one.key for one in kept_records(tmp_path).unreadable] == ["2"]


@pytest.mark.posix
@pytest.mark.parametrize("name", ["record.json", "predictions.csv"])
def test_a_pipe_is_no_file(name: str, tmp_path: Path) -> None:
    """Reading it would never end."""
    write_record(tmp_path, record("1", 0.5, files={"predictions.csv": "0" * 64}))
    path = tmp_path / "runs" / "1" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    (one,) = read_runs([tmp_path]).unreadable
    assert "not a regular file" in one.reason


@pytest.mark.posix
def test_a_device_and_a_loop_of_links_are_no_records(tmp_path: Path) -> None:
    for key, target in (("device", "/dev/zero"), ("loop", "record.json")):
        (tmp_path / "runs" / key).mkdir(parents=True)
        (tmp_path / "runs" / key / "record.json").symlink_to(target)
    write_record(tmp_path, record("1", 0.5))
    results = read_runs([tmp_path])
    assert [run.record.key for run in results.runs] == ["1"]
    assert [one.key for one in results.unreadable] == ["device", "loop"]
