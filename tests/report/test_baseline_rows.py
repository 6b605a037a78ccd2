"""Baselines count wherever they are kept, and what is not kept of them is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from quadzoo.records.record import read_record, write_record
from tests.report.judged import N, answer, by_name, row_of, texts
from tests.report.records import board_of, record


def test_a_baseline_counts_wherever_it_is_kept(tmp_path: Path) -> None:
    """Under two keys, as after two image sizes; and where the records of runs do not name it."""
    row_of(tmp_path, "net", 1.0)
    answer(tmp_path, "ridge-pixels", np.random.default_rng(5).normal(0, 0.5, N), val=0.004)
    (kept,) = (tmp_path / "baselines").iterdir()
    shutil.copytree(kept, kept.with_name("again"))
    assert by_name(board_of(tmp_path))["net"].verdict == "does not beat ridge regression on pixels"
    for seed in range(3):
        one = read_record(tmp_path, f"net{seed}")
        assert one
        del one.baselines["ridge-pixels"]
        write_record(tmp_path, one)
    rows = by_name(board_of(tmp_path))
    assert rows["ridge-pixels"].test_mse_low is not None
    assert rows["net"].verdict == "does not beat ridge regression on pixels"


def test_a_split_with_another_name_has_the_same_baselines(tmp_path: Path) -> None:
    row_of(tmp_path, "a", 1.0)
    answer(tmp_path, "ridge-pixels", np.full(N, 30.0), val=0.9)
    before = by_name(board_of(tmp_path))
    one = read_record(tmp_path, "a2")
    assert one
    one.split.name = "renamed"
    write_record(tmp_path, one)
    after = by_name(board_of(tmp_path))
    assert after["a"].p_baseline == before["a"].p_baseline
    assert after["a"].p_baseline is not None


def test_what_cannot_be_tested_against_is_named(tmp_path: Path) -> None:
    """A baseline whose predictions are gone, and one that is not known for all folds."""
    row_of(tmp_path, "net", 1.0)
    answer(tmp_path, "ridge-pixels", np.random.default_rng(5).normal(0, 3, N), val=0.05)
    assert "Predictions of mean-of-train and pixel-lookup are not kept" in texts(board_of(tmp_path))
    (path,) = tmp_path.glob("baselines/*/predictions.csv")
    path.write_text(path.read_text() + " ")
    assert "ridge-pixels" in texts(board_of(tmp_path)).split("Predictions of ")[1].split(" are not kept")[0]
    folds = [record(f"f{fold}", 0.01) for fold in range(2)]
    for fold, one in enumerate(folds):
        one.split.fold, one.split.folds = fold, 2
    folds[0].baselines["ridge-pixels"] = folds[0].baselines["mean-of-train"]
    board = board_of(tmp_path / "folds", *folds)
    assert "ridge-pixels" not in by_name(board)
    assert "ridge-pixels: not known for all folds, so left out." in texts(board)


def test_a_lookup_that_beats_the_mean_is_said(tmp_path: Path) -> None:
    one = record("1", 0.01)
    one.baselines["pixel-lookup"] = one.baselines["pixel-lookup"].model_copy(update={"test_mse": 0.02})
    assert "pixel-lookup has a lower test MSE (0.02) than mean-of-train (0.08)" in texts(
        board_of(tmp_path, one)
    )
