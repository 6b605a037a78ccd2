"""Warnings of what a row's training came to: its images by heart, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from quadzoo.report.captions import Caption, captions, memorised, untrained
from quadzoo.report.rows import Leaderboard
from tests.report.records import board_of, predict, record


def board(out: Path, val: float, train: float) -> Leaderboard:
    """Of a run that ends with these errors; the mean has 0.09. Val is validated every second epoch."""
    history = [{"train_mse": 0.1}, {"train_mse": train, "val_mse": val}]
    board_of(out, record("k", val, history=history))
    predict(out, "k", [0.1, 0.2, 0.1, 0.1])
    return board_of(out)


def test_a_network_that_knows_its_training_images_by_heart_is_named(tmp_path: Path) -> None:
    found = board(tmp_path, 0.22, 0.011)
    text = (
        "In the last epoch the val MSE is far above the training MSE: net + mlp (20 times). More images, or "
        "--augment photo, may help."
    )
    assert Caption(text, warning=True) in captions(found)
    # The curve has a place for every epoch.
    (curve,) = next(row for row in found.rows if row.head != "-").details.curves
    assert curve.val_mse == [None, 0.22]


@pytest.mark.parametrize(("val", "train"), [(0.22, 0.2), (0.0001, 0.000001), (0.04, 0.001)])
def test_others_are_not(tmp_path: Path, val: float, train: float) -> None:
    """Not where train is bad as well, and not where val is good."""
    assert memorised(board(tmp_path, val, train)) == ""


def test_a_row_that_keeps_ridge_regression_is_named(tmp_path: Path) -> None:
    history = [{"train_mse": 0.1, "val_mse": 0.08}]
    board_of(tmp_path, record("k", 0.05, history=history, best_epoch=0))
    predict(tmp_path, "k", [0.1, 0.2, 0.1, 0.1])
    text = (
        "Training found nothing better by val than what these rows had before the first epoch, ridge "
        "regression on the features of the pretrained backbone, not held to the range of train: net + mlp "
        "(1 of 1 runs)."
    )
    assert Caption(text, warning=True) in captions(board_of(tmp_path))


@pytest.mark.parametrize(
    ("history", "best"), [([{"train_mse": 0.1, "val_mse": 0.05}], 1), ([], 0), ([], None)]
)
def test_trained_rows_and_closed_forms_are_not(
    tmp_path: Path, history: list[dict[str, float]], best: int | None
) -> None:
    board_of(tmp_path, record("k", 0.05, history=history, best_epoch=best))
    predict(tmp_path, "k", [0.1, 0.2, 0.1, 0.1])
    assert untrained(board_of(tmp_path)) == ""
