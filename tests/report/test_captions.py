"""The sentences above a table: what seeds and images allow to say."""

from __future__ import annotations

from pathlib import Path

from tests.report.records import board_of, record
from tests.report.test_verdicts import row_of, texts


def test_seeds_that_are_all_the_same_are_told(tmp_path: Path) -> None:
    row_of(tmp_path, "net", 1.0, seeds=[0, 1, 2])
    assert "give the same predictions" not in texts(board_of(tmp_path))
    board = board_of(tmp_path)
    (row,) = [one for one in board.rows if one.backbone == "net"]
    row.ensemble_val_mse = row.val_mse
    assert "All seeds of net + mlp give the same predictions" in texts(board)


def test_three_seeds_without_a_test_tell_nothing(tmp_path: Path) -> None:
    board = board_of(tmp_path, *(record(f"{n}", 0.01 + n / 1000, seed=n) for n in range(3)))
    told = texts(board)
    assert "3 seeds per row, but no difference between rows can be tested" in told
    assert "enough to drop" not in told
