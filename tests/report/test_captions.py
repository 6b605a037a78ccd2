"""The sentences above a table: what seeds and images allow to say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quadzoo.records.record import Metrics
from quadzoo.report.captions import evidence
from quadzoo.report.caveats import restless, restless_of
from quadzoo.report.columns import shown_columns
from quadzoo.report.doubts import beaten
from quadzoo.report.markdown import to_markdown
from quadzoo.report.page import to_html
from quadzoo.report.rows import DOES_NOT_BEAT, Leaderboard
from quadzoo.report.winner import next_step
from tests.report.judged import N, answer, row_of, texts
from tests.report.records import board_of, record


def test_seeds_that_are_all_the_same_are_told(tmp_path: Path) -> None:
    row_of(tmp_path, "net", 1.0, seeds=[0, 1, 2])
    assert "give the same predictions" not in texts(board_of(tmp_path))
    board = board_of(tmp_path)
    (row,) = [one for one in board.rows if one.backbone == "net"]
    row.ensemble_val_mse = row.val_mse
    assert "give the same predictions" not in texts(board)  # of val alone
    row.ensemble_test_mse = row.test_mse
    told = texts(board)
    assert "3 seeds per row, which give the same predictions: their number is no evidence of how" in told
    assert "enough to drop" not in told
    assert "All seeds" not in told


def test_rows_whose_seeds_are_the_same_are_named_beside_others(tmp_path: Path) -> None:
    row_of(tmp_path, "net", 1.0)
    row_of(tmp_path, "other", 2.0)
    board = board_of(tmp_path)
    (row,) = [one for one in board.rows if one.backbone == "net"]
    row.ensemble_val_mse, row.ensemble_test_mse = row.val_mse, row.test_mse
    told = texts(board)
    assert "All seeds of net + mlp give the same predictions: their number is no evidence" in told
    assert "3 seeds per row: enough to drop the worst rows" in told


@pytest.mark.parametrize(
    ("column", "folds", "told"),
    [
        (
            None,
            1,
            "it takes 10. `--folds 5` would test networks on all images; if these are too few, it takes",
        ),
        (
            "ward",
            1,
            "it takes 10. `--folds 5` would test networks on all groups; if these are too few, it takes",
        ),
        ("ward", 5, "it takes 10. It takes more groups."),
    ],
)
def test_what_makes_a_test_possible_is_in_the_closing_sentence(
    column: str | None, folds: int, told: str, tmp_path: Path
) -> None:
    """Two groups of test images, of which nothing can be said."""
    row_of(tmp_path, "net", 1.0, image_group=np.arange(N) % 2)
    board = board_of(tmp_path)
    board.split.group_column, board.split.folds = column, folds
    assert told in next_step(board, tmp_path)
    (row,) = [one for one in board.rows if one.backbone == "net"]
    assert texts(board).count(told) == 2  # in caption and answer, and not again with the number of seeds
    row.p_baseline = 0.01  # as if that had been tested
    assert told in evidence(board)


def test_three_seeds_without_a_test_tell_nothing(tmp_path: Path) -> None:
    board = board_of(tmp_path, *(record(f"{n}", 0.01 + n / 1000, seed=n) for n in range(3)))
    told = texts(board)
    assert "3 seeds per row, but no difference between rows can be tested" in told
    assert "enough to drop" not in told


def test_a_test_that_was_not_made_is_not_told_of(tmp_path: Path) -> None:
    """With five groups nothing is tested; then val is lower, test is not, and that is all there is to say."""
    row_of(tmp_path, "net", 1.0, seeds=[0, 1, 2])
    board = board_of(tmp_path)
    (row,) = [one for one in board.rows if one.backbone == "net"]
    mean = row.model_copy(
        update={"backbone": "mean-of-train", "head": "-", "val_mse": 9.0, "test_mse": 0.5, "seeds": 0}
    )
    other = row.model_copy(update={"backbone": "other", "verdict": "no evidence", "seeds": 1})
    for one in (row, other):
        one.p_baseline = one.test_mse_low = one.test_mse_high = None
    row.covers, row.verdict = "only 5 independent test images or groups: it takes 10", f"{DOES_NOT_BEAT} x"
    row.val_mse, row.test_mse = 0.1, 0.6
    board.rows = [row, other, mean]
    told = beaten(board)
    assert (
        "net + mlp does not beat always predicting the mean: on the test images its MSE, 0.6, is no " in told
    )
    assert "No test is possible: only 5 independent test images or groups: it takes 10." in told
    assert told.endswith(" other + mlp: lower by val, without a test.")
    assert "significantly" not in told
    row.test_mse, row.p_baseline = 0.4, 0.2
    assert "is not significantly lower than 0.5 (α = 0.05)." in beaten(board)
    assert "No test" not in beaten(board)


def test_folds_of_several_sizes_are_told_as_a_range(tmp_path: Path) -> None:
    runs = [record(f"{fold}", 0.01) for fold in range(2)]
    for fold, run in enumerate(runs):
        run.split.fold, run.split.folds, run.split.n_test = fold, 2, 4 + 2 * fold
    board = board_of(tmp_path, *runs)
    assert "split grouped, 2 folds, each 4 train, 2 val, 4 to 6 test" in texts(board)


@pytest.mark.parametrize(
    ("name", "told"), [("grouped", "split grouped by patient ("), ("mine", "split mine (")]
)
def test_what_was_kept_together_is_told(name: str, told: str, tmp_path: Path) -> None:
    """A division from a file keeps together what the file does."""
    one = record("0", 0.01)
    one.split.name, one.split.group_column = name, "patient"
    assert told in texts(board_of(tmp_path, one))


def test_seeds_that_differ_in_number_are_told_as_a_range(tmp_path: Path) -> None:
    runs = [record(f"a{seed}", 0.01, seed=seed, backbone="a") for seed in range(3)]
    board = board_of(tmp_path, *runs, record("b0", 0.02, backbone="b"))
    assert "1 to 3 seeds per row: differences between rows may be chance" in texts(board)


def test_a_row_of_restless_seeds_is_named(tmp_path: Path) -> None:
    for n, name in enumerate(("a", "b", "c")):
        row_of(tmp_path, name, 1.0 + n, seeds=[0, 1, 2])
    board = board_of(tmp_path)
    for row, spread in zip(board.rows, (0.02, 0.03, 1.2), strict=False):
        row.seed_spread = spread
        assert row.test_mse_low is not None
    told = restless(board)
    assert told.startswith(f"Seeds of {board.rows[2].name} differ far more than those of other rows.")
    assert told in texts(board)
    board.rows[0].seed_spread = board.rows[1].seed_spread = 0.4
    assert restless(board) == ""


def test_verdicts_that_hang_on_a_restless_row_are_told(tmp_path: Path) -> None:
    """Three rows alone tell b from a; with a fourth, whose seeds differ by a factor of 100, they do not."""
    for n, name in enumerate(("a", "b", "c")):
        row_of(tmp_path, name, 1.0 + 0.3 * n)
    alone = {row.backbone: row.verdict for row in board_of(tmp_path).rows}
    assert (alone["b"], alone["c"]) == ("worse", "worse")
    row_of(tmp_path, "wild", 3.0, spread=2.5)
    board = board_of(tmp_path)
    rows = {row.backbone: row for row in board.rows}
    assert rows["b"].verdict == "not significantly worse"
    assert rows["b"].otherwise == {"wild + mlp": "worse"}
    assert "Without it the verdict would be worse for b + mlp" in restless(board)
    assert rows["a"].otherwise == rows["wild"].otherwise == {}


def flipping(out: Path, steady: float, wild: float) -> tuple[Leaderboard, str]:
    """Two rows far better than ridge regression, one of seeds that differ: no row counts as restless."""
    row_of(out, "steady", 1.0, val=steady)
    row_of(out, "wild", 1.0, val=wild, spread=0.4)
    answer(out, "ridge-pixels", np.random.default_rng(5).normal(0, 1.5, N), 0.05)
    board = board_of(out)
    assert restless_of(board.rows) == []
    return board, f"{DOES_NOT_BEAT} ridge regression on pixels"


def test_the_best_verdict_that_hangs_on_another_row_is_told(tmp_path: Path) -> None:
    board, beaten_by = flipping(tmp_path / "both", steady=0.01, wild=0.02)
    assert {row.backbone: row.verdict for row in board.rows}["steady"] == beaten_by
    told = "without wild + mlp the verdict would be best for steady + mlp. More seeds per row make verdicts "
    assert told in texts(board)
    assert told in next_step(board, tmp_path)
    assert told in to_markdown([board])
    assert told in to_html([board], [])
    row_of(tmp_path / "alone", "steady", 1.0, val=0.01)
    answer(tmp_path / "alone", "ridge-pixels", np.random.default_rng(5).normal(0, 1.5, N), 0.05)
    assert {row.backbone: row.verdict for row in board_of(tmp_path / "alone").rows}["steady"] == "best"


def test_a_best_row_that_hides_that_another_beats_the_baselines_is_told(tmp_path: Path) -> None:
    """The row with the lowest val MSE is the one whose seeds differ."""
    board, beaten_by = flipping(tmp_path, steady=0.02, wild=0.01)
    assert [row.verdict for row in board.rows if row.rank] == [beaten_by, beaten_by]
    assert "without wild + mlp the verdict would be best for steady + mlp." in texts(board)


def test_a_verdict_that_hangs_on_no_other_row_is_not_called_in_doubt(tmp_path: Path) -> None:
    row_of(tmp_path, "a", 1.0)
    row_of(tmp_path, "b", 1.2)
    answer(tmp_path, "ridge-pixels", np.random.default_rng(5).normal(0, 5.0, N), 0.05)
    board = board_of(tmp_path)
    assert board.rows[0].verdict == "best"
    assert "would be" not in restless(board)


def test_an_incomplete_row_tells_nothing_of_how_many_seeds_there_are(tmp_path: Path) -> None:
    row_of(tmp_path, "net", 1.0, seeds=[0])
    board = board_of(
        tmp_path, *(record(f"b{n}", None if n else 0.01, seed=n, backbone="bad") for n in range(3))
    )
    assert "One seed per row" in texts(board)
    row_of(tmp_path, "net", 1.0, seeds=[1, 2])
    board = board_of(tmp_path)
    assert board.evidence == "screen"
    assert "3 seeds per row: enough" in texts(board)


def test_a_difference_of_rounding_is_no_leak(tmp_path: Path) -> None:
    board = board_of(tmp_path, record("0", 0.01))
    for lookup, told in ((0.08 * (1 - 1e-12), False), (0.0799, True)):
        (row,) = [row for row in board.rows if row.backbone == "pixel-lookup"]
        row.test_mse = lookup
        assert ("test images are also in train" in texts(board)) is told


def test_intervals_of_rows_without_seeds_are_told_apart(tmp_path: Path) -> None:
    row_of(tmp_path, "a", 1.0, val=0.01)
    row_of(tmp_path, "b", 1.1, val=0.02)
    answer(tmp_path, "ridge-pixels", np.random.default_rng(0).normal(0, 3, N), 0.05)
    board = board_of(tmp_path)
    told = "test images, seeds and the choice from 2 rows (a + mlp); test images and seeds (others)"
    assert f"accounts for: {told}; test images alone in rows without seeds." in texts(board)


@pytest.mark.parametrize("names", [["width", "age"], ["width, mm", "age"]])
def test_names_with_commas_are_told_apart(names: list[str], tmp_path: Path) -> None:
    metrics = Metrics(
        val_mse=0.01, test_mse=0.01, test_rmse=dict.fromkeys(names, 1.0), test_r2=dict.fromkeys(names)
    )
    one = record(
        "0", 0.01, targets=names, target_low=[0, 0], target_high=[1, 1], target_integer=[False, False],
        metrics=metrics, baselines={},
    )  # fmt: skip
    told = 'targets "width, mm" and age;' if "," in names[0] else "targets width and age;"
    assert told in texts(board_of(tmp_path, one))


def test_of_folds_r2_is_of_all_their_images(tmp_path: Path) -> None:
    """A fold whose target hardly varies has any R²; the mean of both would be -49."""
    runs = []
    for fold, (rmse, r2) in enumerate(((1.0, 0.9), (1.0, -98.0))):
        metrics = Metrics(val_mse=0.01, test_mse=0.01, test_rmse={"y": rmse}, test_r2={"y": r2})
        one = record(f"{fold}", 0.01, metrics=metrics, baselines={})
        one.split.fold, one.split.folds = fold, 2
        runs.append(one)
    (row,) = board_of(tmp_path, *runs).rows
    variances = 1 / (1 - 0.9), 1 / (1 + 98.0)
    assert (row.test_r2 or {})["y"] == pytest.approx(1 - 1 / np.mean(variances))


def test_columns_of_targets_and_weights_go_last(tmp_path: Path) -> None:
    board = board_of(tmp_path, record("0", 0.01), record("1", 0.02, weights="pretrained"))
    priorities = {column.name: column.priority for column in shown_columns(board)}
    assert priorities["weights"] == 1 <= min(one for one in priorities.values() if one)


def test_of_a_target_that_is_one_number_in_test_nothing_is_said(tmp_path: Path) -> None:
    mean = Metrics(val_mse=0.09, test_mse=0.08, test_rmse={"y": 1.0}, test_r2={"y": None})
    for r2, told in ((None, False), (0.0, True)):
        metrics = Metrics(val_mse=0.01, test_mse=0.01, test_rmse={"y": 1.0}, test_r2={"y": r2})
        baselines = {"mean-of-train": mean.model_copy(update={"test_r2": {"y": r2}})}
        board = board_of(tmp_path / str(r2), record("0", 0.01, metrics=metrics, baselines=baselines))
        assert ("does not read y" in texts(board)) is told
