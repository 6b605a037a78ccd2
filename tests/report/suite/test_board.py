"""Rows × sets: ranks, mean ranks, wins, and what is not finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quadzoo.errors import DataError
from quadzoo.records.suite import SetRequest, Suite, write_suite
from quadzoo.report.statistics import critical_difference
from quadzoo.report.suite.board import overlapping, read_suite_board
from quadzoo.report.suite.columns import cell_text
from tests.report.suite.suites import add, baseline, write


def test_ranks_are_of_val_on_each_set_and_wins_against_the_best_baseline(tmp_path: Path) -> None:
    board = write(tmp_path, {
        "u": {"a": [0.01, 0.03], "b": [0.04, 0.04], "c": [0.2, 0.2]},
        "v": {"a": [0.06, 0.08], "b": [0.05, 0.05], "c": [0.09, 0.09]},
        "w": {"a": [0.2, 0.2], "b": [0.2, 0.2], "c": [0.3, 0.3]},
    })  # fmt: skip
    assert [row.backbone for row in board.rows] == ["a", "b", "c"]
    a, b, _ = board.rows
    # Equal rows share the mean of their places.
    assert [a.cells[name].rank for name in "uvw"] == [1, 2, 1.5]
    assert [b.cells[name].rank for name in "uvw"] == [2, 1, 1.5]
    assert [row.mean_rank for row in board.rows] == [1.5, 1.5, 3]
    assert [row.rank for row in board.rows] == [1, 1, 3]
    assert [(row.wins, row.sets) for row in board.rows] == [(2, 3), (2, 3), (1, 3)]
    assert a.cells["u"].ratio == pytest.approx(0.2)
    assert a.cells["u"].val_mse == pytest.approx(0.02)
    assert [cell_text(a.cells[name]) for name in "uvw"] == ["0.2 (1)", "0.7 (2)", "2 (1.5)"]
    assert [(one.best, one.baseline, one.beaten) for one in board.sets] == [
        ("a + mlp", "ridge-pixels", True),
        ("b + mlp", "ridge-pixels", True),
        ("a + mlp", "ridge-pixels", False),
    ]  # fmt: skip


def test_intervals_are_half_the_critical_difference(tmp_path: Path) -> None:
    scores = {f"s{n}": {"a": [0.01], "b": [0.02], "c": [0.03]} for n in range(9)}
    board = write(tmp_path, scores)
    width = critical_difference(3, 9)
    assert 1 < width < 2
    assert [row.verdict for row in board.rows] == ["best", "not significantly worse", "worse"]
    assert [row.backbone for row in overlapping(board, board.rows[0])] == ["b"]
    a, b, _ = board.rows
    assert (a.mean_rank_low, a.mean_rank_high) == (1, pytest.approx(1 + width / 2))  # no rank is below 1
    assert (b.mean_rank_low, b.mean_rank_high) == (pytest.approx(2 - width / 2), pytest.approx(2 + width / 2))


def test_verdicts_are_those_of_a_leaderboard(tmp_path: Path) -> None:
    def verdicts(folder: str, scores: dict[str, dict[str, list[float | None]]], **changes: Any) -> list[str]:
        return [row.verdict for row in write(tmp_path / folder, scores, **changes).rows]

    beaten, last = "does not beat the baselines", {"c": [0.3]}
    nine = [f"s{n}" for n in range(9)]
    assert verdicts("all", {name: {"a": [0.1], "b": [0.2], **last} for name in nine}) == [beaten] * 3
    wins = {name: {"a": [0.01], "b": [0.05], **last} for name in nine}
    assert verdicts("some", wins) == ["best", "not significantly worse", beaten]
    assert verdicts("alone", {"u": {"a": [0.3]}, "v": {"a": [0.2]}}) == [beaten]
    # One win does not make up for a loss that is larger, but for one that is smaller.
    assert verdicts("average", {"u": {"a": [0.05], "b": [0.01]}, "v": {"a": [0.3], "b": [0.3]}}) == [
        "no evidence", beaten,
    ]  # fmt: skip
    assert verdicts("nothing", {name: {"a": [0.2], "b": [0.3]} for name in nine}, baselines={}) == [
        "best", "worse",
    ]  # fmt: skip


def test_what_is_not_finished_has_no_mean_rank_and_shifts_no_rank(tmp_path: Path) -> None:
    board = write(tmp_path, {
        "u": {"failed": [0.01, None], "few": [0.02, 0.02], "b": [0.04, 0.04], "c": [0.05, 0.05]},
        "v": {"failed": [0.01, 0.01], "few": [0.02], "b": [0.05, 0.05], "c": [0.04, 0.04]},
        "w": {"failed": [None, None], "b": [0.05, 0.05], "c": [0.06, 0.06]},
    })  # fmt: skip
    assert [row.backbone for row in board.rows] == ["b", "c", "failed", "few"]
    b, _, failed, few = board.rows
    assert [b.cells[name].rank for name in "uvw"] == [1, 2, 1]
    assert {row.rank for row in (few, failed)} == {row.mean_rank for row in (few, failed)} == {None}
    assert {row.verdict for row in (few, failed)} == {"incomplete"}
    assert [cell_text(failed.cells[name]) for name in "uvw"] == ["1 of 2 runs", "0.1", "failed"]
    assert [cell_text(few.cells[name]) for name in "uvw"] == ["0.2", "1 of 2 runs", "–"]
    assert board.sets[1].best == "failed + mlp"  # finished there


def test_seeds_that_were_asked_for_count(tmp_path: Path) -> None:
    scores = {"u": {"a": [0.1], "b": [0.2]}}
    assert write(tmp_path / "asked", scores, seeds=3).best is None
    assert [row.sets for row in read_suite_board(tmp_path / "asked").rows] == [0, 0]
    assert write(tmp_path / "one", scores).best is not None


def test_folds_count(tmp_path: Path) -> None:
    split = {"name": "grouped", "hash": "S", "fold": 0, "folds": 2, "n_train": 4, "n_val": 2, "n_test": 4,
             "leaked": 0, "leaky": False}  # fmt: skip
    for backbone, folds in (("a", (0, 1)), ("b", (0, 1)), ("c", (0,))):
        for fold in folds:
            add(tmp_path / "u", f"{backbone}{fold}", 0.1, backbone=backbone, split={**split, "fold": fold})
    write_suite(tmp_path, Suite(sets={"u": SetRequest(data_hash="u", split_hash="S", seeds=1)}))
    board = read_suite_board(tmp_path)
    assert [row.rank for row in board.rows] == [1, 1, None]
    assert cell_text(board.rows[2].cells["u"]) == "1 of 2 runs"


def test_a_row_that_is_alone_has_no_rank(tmp_path: Path) -> None:
    board = write(tmp_path, {"u": {"a": [0.01]}, "v": {"a": [0.01]}})
    assert (board.best, board.rows[0].mean_rank, board.rows[0].verdict) == (None, None, "")
    assert (board.rows[0].wins, board.rows[0].sets) == (2, 2)


def test_a_set_without_a_finished_row_is_not_counted(tmp_path: Path) -> None:
    board = write(tmp_path, {"u": {"a": [0.01], "b": [0.02]}, "v": {}, "w": {"a": [None], "b": [None]}})
    assert [one.name for one in board.counted] == ["u"]
    assert board.best is not None
    assert [cell_text(board.best.cells[name]) for name in "uvw"] == ["0.1 (1)", "–", "failed"]


def test_other_data_other_folders_and_bad_records_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"u": {"a": [0.01], "b": [0.02]}})
    add(
        tmp_path / "u", "old", 0.001, backbone="a", data={"name": "t", "hash": "old", "n": 9, "duplicates": 0}
    )
    add(tmp_path / "gone", "1", 0.1)
    (tmp_path / "u" / "runs" / "bad").mkdir()
    (tmp_path / "u" / "runs" / "bad" / "record.json").write_text("{")
    board = read_suite_board(tmp_path)
    assert (board.others, board.strangers) == ({"u": 1}, ["gone"])
    assert [one.key for one in board.unreadable["u"]] == ["bad"]
    assert [cell_text(row.cells["u"]) for row in board.rows] == ["0.1 (1)", "0.2 (2)"]


def test_another_recipe_in_one_folder_is_another_row(tmp_path: Path) -> None:
    scores = {"u": {"a": [0.03], "b": [0.02]}, "v": {"a": [0.03], "b": [0.02]}}
    write(tmp_path, scores, recipe={"epochs": 2})
    for name in "uv":
        add(tmp_path / name, "long", 0.01, backbone="a", recipe={"epochs": 20})
    board = read_suite_board(tmp_path)
    assert [row.name for row in board.rows] == ["a + mlp (epochs 20)", "b + mlp", "a + mlp (epochs 2)"]
    assert [row.rank for row in board.rows] == [1, 2, 3]


def test_a_recipe_that_differs_only_between_sets_makes_no_further_row(tmp_path: Path) -> None:
    for name, epochs in (("u", 2), ("v", 20)):
        add(tmp_path / name, "a", 0.01, backbone="a", recipe={"epochs": epochs})
    requests = {name: SetRequest(data_hash=name, split_hash="S", seeds=1) for name in "uv"}
    write_suite(tmp_path, Suite(sets=requests))
    assert [(row.name, row.sets) for row in read_suite_board(tmp_path).rows] == [("a + mlp", 2)]


def test_tuned_rows_are_marked_and_never_the_same_row_as_others(tmp_path: Path) -> None:
    write(tmp_path, {"u": {"a": [0.02]}, "v": {"a": [0.02]}})
    tuned = {"backbone": "a", "recipe": {"epochs": 2, "tune": "lr:3"}, "found": {"lr": 0.01}}
    add(tmp_path / "u", "tuned", 0.01, **tuned)
    board = read_suite_board(tmp_path)
    assert [(row.name, row.sets) for row in board.rows] == [("a + mlp", 2), ("a + mlp (tune lr:3)", 1)]


def test_weights_are_named_where_they_tell_rows_apart(tmp_path: Path) -> None:
    write(tmp_path, {"u": {"a": [0.01], "b": [0.02]}})
    add(tmp_path / "u", "p", 0.005, backbone="a", weights="pretrained")
    names = {row.name for row in read_suite_board(tmp_path).rows}
    assert names == {"a + mlp (pretrained)", "a + mlp (none)", "b + mlp"}


def test_rows_that_nothing_tells_apart_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"u": {"a": [0.01], "b": [0.02]}})
    code = {kind: {"name": name, "distribution": "d", "version": "2"} for kind, name in
            (("backbone", "a"), ("head", "mlp"))}  # fmt: skip
    add(tmp_path / "u", "new", 0.005, backbone="a", provenance=code)
    board = read_suite_board(tmp_path)
    assert [(row.backbone, cell_text(row.cells["u"])) for row in board.rows] == [
        ("b", "0.2"),
        ("a", "2 rows"),
    ]


def test_only_baselines_are_to_be_beaten(tmp_path: Path) -> None:
    others = {"ensemble": baseline(0.0001), "somebody": baseline(0.0001), "mean-of-train": baseline(0.2)}
    features = {**others, "ridge-features:a": baseline(0.05)}
    for name, rows in (("u", others), ("v", features)):
        add(tmp_path / name, "1", 0.1, baselines=rows)
    requests = {name: SetRequest(data_hash=name, split_hash="S", seeds=1) for name in "uv"}
    write_suite(tmp_path, Suite(sets=requests))
    board = read_suite_board(tmp_path)
    assert [(one.baseline, one.beaten) for one in board.sets] == [
        ("mean-of-train", True), ("ridge-features:a", False),
    ]  # fmt: skip


def test_a_baseline_without_error_cannot_be_beaten(tmp_path: Path) -> None:
    board = write(tmp_path, {"u": {"a": [0.01], "b": [0.02]}}, baselines={"pixel-lookup": baseline(0.0)})
    assert [cell_text(row.cells["u"]) for row in board.rows] == ["MSE 0.01 (1)", "MSE 0.02 (2)"]
    assert [row.wins for row in board.rows] == [0, 0]
    assert board.sets[0].beaten is False


@pytest.mark.parametrize("text", ["", "{}", '{"sets": {"../u": {}}}', '{"sets": {"../u": 3}}'])
def test_a_suite_file_of_anybody(text: str, tmp_path: Path) -> None:
    (tmp_path / "suite.json").write_text(text)
    with pytest.raises(DataError, match=r"suite\.json: cannot be read"):
        read_suite_board(tmp_path)
