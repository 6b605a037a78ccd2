"""What differs between rows is said: as columns, and in the names of rows that would look alike."""

from __future__ import annotations

from pathlib import Path

from quadzoo.model.recipe import RECIPES
from quadzoo.records.record import Metrics
from quadzoo.report.captions import task
from quadzoo.report.columns import shown_columns
from quadzoo.report.rows import Leaderboard
from tests.report.records import board_of, record


def texts(board: Leaderboard, heading: str) -> list[str]:
    """The cells of the column with a heading, of the rows with a model."""
    (column,) = [one for one in shown_columns(board) if one.heading == heading]
    return [column.text(row) for row in board.rows if row.head != "-"]


def headings(board: Leaderboard) -> list[str]:
    return [column.heading for column in shown_columns(board)]


def test_what_differs_between_rows_is_a_column_and_nothing_else_is(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        record("1", 0.01, backbone="slow", recipe={"epochs": 6, "lr": 0.002}),
        record("2", 0.02, backbone="fast", recipe={"epochs": 2, "lr": 0.004}),
    )
    assert texts(board, "epochs") == ["6", "2"]
    assert texts(board, "lr") == ["0.002", "0.004"]
    assert not {"batch size", "size", "precision", "torch", "device"} & {*headings(board)}


def test_so_is_a_difference_of_size_precision_versions_or_device(tmp_path: Path) -> None:
    one, other = record("1", 0.01, backbone="one"), record("2", 0.02, backbone="other")
    other.image = other.image.model_copy(update={"size": (48, 48)})
    other.precision = "bf16"
    other.environment.torch, other.environment.device_name = "1", "x"
    board = board_of(tmp_path, one, other)
    assert texts(board, "size") == ["32x64", "48x48"]
    assert texts(board, "precision") == ["32", "bf16"]
    assert texts(board, "torch") == ["0", "1"]
    assert texts(board, "device") == ["c", "x"]


def test_rows_of_one_name_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        record("1", 0.01, recipe={"epochs": 2, "lr": 0.002}),
        record("2", 0.02, recipe={"epochs": 2, "lr": 0.004}),
        record("3", 0.03, backbone="other", recipe={"epochs": 2, "lr": 0.004}),
    )
    names = [row.name for row in board.rows if row.head != "-"]
    assert names == ["net + mlp (lr 0.002)", "net + mlp (lr 0.004)", "other + mlp"]


def test_the_caption_names_targets_and_recipe(tmp_path: Path) -> None:
    first = {**RECIPES["first"].model_dump(), "lr": 0.004}
    board = board_of(tmp_path, record("1", 0.01, recipe=first))
    text = task(board)
    assert "target y" in text
    assert "recipe first with lr 0.004" in text


def test_captions_of_other_targets_differ(tmp_path: Path) -> None:
    metrics = Metrics(val_mse=0.01, test_mse=0.01, test_rmse={"z": 1.0}, test_r2={"z": 0.5})
    other = record("1", 0.01, targets=["z"], metrics=metrics)
    assert task(board_of(tmp_path / "y", record("1", 0.01))) != task(board_of(tmp_path / "z", other))
