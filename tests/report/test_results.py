"""Results folders put together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from quadzoo.errors import DataError
from quadzoo.records.record import write_record
from quadzoo.report.results import read_predictions, read_runs
from tests.report.records import record


def test_the_newest_that_is_ok_counts(tmp_path: Path) -> None:
    old = record("1", 0.01)
    newer = record("1", 0.01, finished=old.finished + timedelta(hours=1))
    newest = record("1", None, finished=old.finished + timedelta(hours=2))
    for name, one in (("a", old), ("b", newer), ("c", newest)):
        write_record(tmp_path / name, one)
    (run,), conflicts = read_runs([tmp_path / name for name in "abc"])
    assert run.folder == tmp_path / "b" / "runs" / "1"
    assert conflicts == []  # the same score


def test_two_scores_for_one_key_are_a_conflict(tmp_path: Path) -> None:
    old = record("1", 0.01)
    write_record(tmp_path / "a", old)
    write_record(tmp_path / "b", record("1", 0.02, finished=old.finished + timedelta(hours=1)))
    write_record(tmp_path / "b", record("2", 0.02, seed=1))
    runs, (conflict,) = read_runs([tmp_path / "b", tmp_path / "a"])
    assert [run.record.key for run in runs] == ["1", "2"]
    assert (conflict.key, conflict.taken_test_mse, conflict.other_test_mse) == ("1", 0.02, 0.01)


def test_failed_everywhere(tmp_path: Path) -> None:
    old = record("1", None)
    write_record(tmp_path / "a", record("1", None, finished=old.finished + timedelta(hours=1)))
    write_record(tmp_path / "b", old)
    (run,), _ = read_runs([tmp_path / "b", tmp_path / "a"])
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
