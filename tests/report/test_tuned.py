"""Tuned rows are marked wherever they are shown, and what limits them is said."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from quadzoo.cli.display import print_leaderboards
from quadzoo.records.record import RunRecord, write_record
from quadzoo.records.tuning import Trial, TuningRecord, tuning_key, tuning_path, write_tuning
from quadzoo.report.captions import at_the_edge, captions
from quadzoo.report.columns import shown_columns
from quadzoo.report.markdown import to_markdown
from quadzoo.report.page import to_html
from quadzoo.report.rows import Leaderboard
from quadzoo.report.tables import to_csv, to_json
from quadzoo.report.verify import verify
from tests.report.records import board_of, fitting, record


def tuned(seed: int, lr: float | None, val: float | None = 0.01, fold: int = 0, **changes: Any) -> RunRecord:
    found = {} if lr is None else {"lr": lr}
    recipe = {"epochs": 2, "lr": 0.002, "tune": "lr:3"}
    one = record(f"{seed}{fold}{lr}", val, seed=seed, recipe=recipe, found=found, **changes)
    one.split.fold = fold
    return fitting(one)


def plain(val: float = 0.02) -> RunRecord:
    return record("plain", val, recipe={"epochs": 2, "lr": 0.002})


def texts(board: Leaderboard) -> list[str]:
    return [caption.text for caption in captions(board)]


def test_with_and_without_are_two_rows_and_one_is_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = board_of(tmp_path, tuned(0, 0.0005), tuned(1, 0.0005), plain())
    rows = [row for row in board.rows if row.head != "-"]
    assert [(row.name, row.seeds, row.mixed) for row in rows] == [
        ("net + mlp (tuned)", 2, ""), ("net + mlp", 1, ""),
    ]  # fmt: skip
    caption = (
        "Learning rates of rows marked tuned were chosen from 3 by val, in trials of a quarter of the "
        "epochs; the costs do not include these. Other networks were trained with the learning rate of "
        "the recipe."
    )
    warning = (
        "net + mlp (tuned): the best of the learning rates tried is the lowest one, 0.0005: a lower one may "
        "be better."
    )
    assert {caption, warning} < {*texts(board)}
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    print_leaderboards([board])
    shown = [capsys.readouterr().out, to_markdown([board]), to_html([board], [])]
    for output in shown:
        assert "lr 0.0005 of 3" in " ".join(output.split())
        assert caption in output
        assert warning in output
    assert f"**{warning}**" in shown[1]
    table = list(csv.DictReader(io.StringIO(to_csv([board]))))
    assert [(row["tuned"], row["lr"]) for row in table if row["head"] != "-"] == [
        ("lr:3", "0.0005"), ("", "0.002"),
    ]  # fmt: skip
    assert {(row["tuned"], row["lr"]) for row in table if row["head"] == "-"} == {("", "")}
    found = [row["tuned"] for row in json.loads(to_json([board]))["rows"] if row["head"] != "-"]
    assert found == [{"request": "lr:3", "tried": [0.0005, 0.002, 0.008], "found": [0.0005]}, None]


def test_without_a_tuned_row_nothing_is_said_of_tuning(tmp_path: Path) -> None:
    board = board_of(tmp_path, plain())
    assert "tuned" not in [column.name for column in shown_columns(board)]
    assert not any("earning rate" in text for text in texts(board))


def test_of_tuned_rows_alone_no_others_are_spoken_of(tmp_path: Path) -> None:
    (caption,) = (text for text in texts(board_of(tmp_path, tuned(0, 0.002))) if "earning rates" in text)
    assert caption.endswith("the costs do not include these.")


def test_folds_may_differ_and_seeds_of_a_fold_may_not(tmp_path: Path) -> None:
    board = board_of(tmp_path, tuned(0, 0.002), tuned(0, 0.008, fold=1), tuned(1, 0.008, fold=1))
    row = board.rows[0]
    assert row.mixed == ""
    assert any("(tuned): in some folds the best of the learning rates tried is the highest" in text
               for text in texts(board))  # fmt: skip
    (column,) = (column for column in shown_columns(board) if column.name == "tuned")
    assert column.text(row) == "lr 0.002, 0.008 of 3"
    mixed = board_of(tmp_path, tuned(1, 0.002))
    assert mixed.rows[0].mixed == ""
    mixed = board_of(tmp_path, tuned(2, 0.008))
    assert mixed.rows[0].mixed == "learning rate 0.002, 0.008"


def test_a_row_whose_runs_failed_is_marked_by_the_request(tmp_path: Path) -> None:
    board = board_of(tmp_path, tuned(0, None, val=None), plain())
    (row,) = (row for row in board.rows if row.failed)
    (column,) = (column for column in shown_columns(board) if column.name == "tuned")
    assert column.text(row) == "lr:3"
    assert "- net · mlp (tuned) · seed 0: NonFiniteLoss" in to_markdown([board])


def test_edges() -> None:
    assert at_the_edge([0.2], [0.1, 0.2, 0.3]) == ""
    assert "highest one, 0.3: a higher one" in at_the_edge([0.3], [0.1, 0.2, 0.3])
    assert at_the_edge([0.1, 0.3], [0.1, 0.2, 0.3]).count("in some folds") == 2
    assert at_the_edge([0.1], [0.1, 0.3]) == (
        "of two learning rates the best is always at one end: try three or more"
    )
    assert at_the_edge([], []) == ""


@pytest.mark.parametrize(("tune", "found"), [("lr:3", {}), ("lr:3", {"lr": None}), (None, {"lr": 0.002})])
def test_a_finished_run_says_what_was_found_and_only_where_it_was_asked(tune: Any, found: Any) -> None:
    recipe = {"epochs": 2, "tune": tune}
    with pytest.raises(ValidationError, match=r"recipe\.tune is"):
        record("k", 0.1, recipe=recipe, found=found)
    assert record("k", None, recipe=recipe).found.lr is None


@pytest.mark.parametrize("lr", [0, -1, float("nan"), 1e31])
def test_what_was_found_is_a_learning_rate(lr: float) -> None:
    with pytest.raises(ValidationError, match=r"found\.lr"):
        record("k", 0.1, recipe={"epochs": 2, "tune": "lr:3"}, found={"lr": lr})


def test_verify_compares_with_request_and_trials(tmp_path: Path) -> None:
    one = tuned(0, 0.002)
    one.key = one.identity.key
    write_record(tmp_path, one)

    def faults() -> list[str]:
        return [fault.text for fault in verify(tmp_path).faults if "found.lr" in fault.text]

    assert faults() == []
    trials = [Trial(lr=0.002, val_mse=0.2), Trial(lr=0.008, val_mse=0.3)]
    kept = TuningRecord(
        key=tuning_key(one.identity), backbone="net", head="mlp", fold=0, precision="32", seed=0, epochs=1,
        trials=trials,
    )  # fmt: skip
    write_tuning(tmp_path, kept)
    assert faults() == []
    write_tuning(tmp_path, kept.model_copy(update={"trials": [Trial(lr=0.008, val_mse=0.1), *trials]}))
    assert faults() == ["found.lr is 0.002, but the best of the trials kept under tuning is 0.008"]
    path = tuning_path(tmp_path, kept.key)
    path.write_text("{}")
    assert any("not the trials of learning rates" in fault.text for fault in verify(tmp_path).faults)
    path.unlink()
    one.found.lr = 0.003
    write_record(tmp_path, one)
    assert faults() == ["found.lr is 0.003, which is none of the learning rates that tune lr:3 tries"]
