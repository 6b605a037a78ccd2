"""Rows of one name that were trained by different recipes are told apart."""

from __future__ import annotations

from pathlib import Path

from quadzoo.report.captions import Caption, captions, recipes
from tests.report.records import board_of, record


def test_what_differs_is_said_in_the_order_of_the_rows(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        record("a", 0.05, recipe={"epochs": 2, "lr": 0.002}),
        record("b", 0.04, recipe={"epochs": "auto", "lr": 0.001}, found={"epochs": 20}),
        record("c", 0.03, recipe={"epochs": 2}, head="linear"),
    )
    text = (
        "Rows of one name have different recipes, from top to bottom net + mlp: epochs auto, 2; "
        "lr 0.001, 0.002."
    )
    assert Caption(text, warning=True) in captions(board)


def test_rows_with_names_of_their_own_need_no_word(tmp_path: Path) -> None:
    board = board_of(tmp_path, record("a", 0.05), record("c", 0.03, recipe={"epochs": 3}, head="linear"))
    assert recipes(board) == ""
