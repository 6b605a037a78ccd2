"""What speaks against the best row is said, and it is then not recommended."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quadzoo.records.record import Metrics, write_record
from quadzoo.report.answer import answers
from quadzoo.report.rows import Overlap
from quadzoo.report.winner import chosen, next_step
from tests.report.judged import N, answer, by_name, row_of, texts
from tests.report.records import board_of, predict, record


def test_by_val_nothing_that_loses_to_a_baseline_is_recommended(tmp_path: Path) -> None:
    board = board_of(tmp_path, record("1", 0.095, backbone="untrained"))
    assert by_name(board)["untrained"].verdict == "does not beat always predicting the mean"
    assert "(MSE 0.095 against 0.09). Of so few, 2, much is luck: 5 folds would test" in texts(board)
    many = record("1", 0.095, backbone="untrained")
    many.split.n_val, many.data.n = 30, 38
    assert "none of them is worth using" in texts(board_of(tmp_path / "many", many))
    frozen = board_of(tmp_path / "many")
    for row in frozen.rows:
        row.frozen = row.head != "-"
    told = (
        "with frozen features none of them is worth using; trained in full, without `--freeze`, they may be."
    )
    assert told in texts(frozen)
    assert "has the lowest val MSE" not in texts(board)


def test_a_target_that_is_not_read_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    read, unread = rng.normal(0, 1, N), rng.normal(0, 3, N)
    for seed in range(3):
        metrics = Metrics(
            val_mse=0.01, test_mse=0.05, test_rmse={"y": 1.0, "brightness": 3.0},
            test_r2={"y": 0.9, "brightness": 0.01},
        )  # fmt: skip
        mean = metrics.model_copy(
            update={"val_mse": 0.2, "test_mse": 0.2, "test_rmse": {"y": 5.0, "brightness": 2.9}}
        )
        one = record(
            f"n{seed}", 0.01, seed=seed, targets=["y", "brightness"], target_low=[0, 0], target_high=[10, 10],
            target_integer=[False, False], metrics=metrics, baselines={"mean-of-train": mean},
        )  # fmt: skip
        write_record(tmp_path, one)
        predict(tmp_path, one.key, read + seed / 50, brightness=5.0, brightness_pred=5.0 + unread)
    board = board_of(tmp_path)
    assert [one.target for one in board.rows[0].unread] == ["brightness"]
    assert "net + mlp does not read brightness (R² 0.01)." in texts(board)


def test_what_no_test_shows_to_beat_a_baseline_is_not_recommended(tmp_path: Path) -> None:
    """Lower by val, as the mean over two seeds, and far worse on test."""
    row_of(tmp_path, "net", 4.0, seeds=[0, 1], val=0.01)
    board = board_of(tmp_path)
    assert by_name(board)["net"].verdict == "no evidence"
    told = "nothing shows that it is worth using"
    assert told in answers(board)["Which backbone?"]
    assert told in texts(board)
    assert next_step(board, tmp_path).endswith(f"{told}.")
    assert told in chosen("best", tmp_path).warnings[0]


def test_the_baseline_that_is_not_beaten_is_named(tmp_path: Path) -> None:
    """Best by val is a baseline that the row beats; on test another one is as good."""
    row_of(tmp_path, "a", 1.0)
    answer(tmp_path, "pixel-lookup", np.random.default_rng(5).normal(0, 3, N), 0.05)
    answer(tmp_path, "mean-of-train", np.random.default_rng(6).normal(0, 1, N), 0.3)
    board = board_of(tmp_path)
    assert by_name(board)["a"].verdict == "does not beat always predicting the mean"
    assert answers(board)["Which backbone?"].startswith("a + mlp does not beat always predicting the mean:")


def test_it_is_said_where_test_contradicts_val(tmp_path: Path) -> None:
    row_of(tmp_path, "lucky", 2.0, val=0.001)
    row_of(tmp_path, "ok", 0.5)
    board = board_of(tmp_path)
    assert by_name(board)["lucky"].rank == 1
    assert "ok + mlp (0.0" in texts(board)
    assert "val does not tell which is better here" in texts(board)


def test_nothing_is_read_where_r2_is_next_to_nothing(tmp_path: Path) -> None:
    metrics = Metrics(val_mse=0.01, test_mse=0.05, test_rmse={"y": 2.7}, test_r2={"y": 0.008})
    board = board_of(tmp_path, record("1", 0.01, metrics=metrics))
    assert "net + mlp does not read y (R² 0.01)." in texts(board)


def test_a_target_that_only_a_test_leaves_open_is_not_called_unread(tmp_path: Path) -> None:
    """Seeds that differ much: the error is far below that of the mean, and three seeds do not show it."""
    row_of(tmp_path, "net", 1.0, spread=1.2)
    answer(tmp_path, "mean-of-train", np.random.default_rng(6).normal(0, 2.5, N), 0.3)
    board = board_of(tmp_path)
    best = by_name(board)["net"]
    assert [(one.target, one.open) for one in best.unread] == [("y", True)]
    assert (best.test_rmse or {})["y"] < (by_name(board)["mean-of-train"].test_rmse or {})["y"]
    best.verdict = "best"  # whatever the row as a whole does
    told = "That net + mlp reads y better than always predicting the mean is not significant (R² 0.50)"
    assert told in texts(board)
    assert "does not read" not in texts(board)


def test_luck_is_blamed_only_where_errors_are_near(tmp_path: Path) -> None:
    far = record("1", 0.5)
    assert "none of them is worth using" in texts(board_of(tmp_path / "far", far))
    near = record("1", 0.095)
    near.split.n_val, near.data.n = 40, 48
    board = board_of(tmp_path / "near", near)
    assert "none of them is worth using" in texts(board)
    board.best.covers = "3 test images or groups: it takes 10"  # type: ignore[union-attr]
    assert "which may be luck: no difference can be tested (3 test images or groups: it takes 10)" in texts(
        board
    )


def test_a_training_that_was_short_is_told_where_nothing_is_worth_using(tmp_path: Path) -> None:
    short, usual = record("1", 0.5), record("1", 0.5, recipe={"epochs": 200})
    told = "They were trained for 2 epochs, where `--epochs auto` takes 200: that may be why."
    assert told in texts(board_of(tmp_path / "short", short))
    assert told not in texts(board_of(tmp_path / "usual", usual))
    tested = record("1", 0.5, recipe={"epochs": 0}, best_epoch=None)
    assert "epochs auto" not in texts(board_of(tmp_path / "tested", tested))


def test_a_row_that_has_seen_the_images_is_recommended_with_a_warning(tmp_path: Path) -> None:
    row_of(tmp_path, "net", 0.5)
    board = board_of(tmp_path)
    assert next_step(board, tmp_path).startswith("to use net + mlp")
    board.best.overlap = Overlap(test=3, val=2, n_test=N, n_val=2)  # type: ignore[union-attr]
    told = (
        "net + mlp started from a model trained on 3 of the 200 test images and 2 of the 2 validation images"
    )
    assert next_step(board, tmp_path) == f"{told}: its rank is too good."
    assert f"{told}: its rank is too good." in answers(board)["Which backbone?"]


def test_what_test_says_against_val_is_said_wherever_a_row_is_recommended(tmp_path: Path) -> None:
    row_of(tmp_path, "a", 2.0, val=0.001)
    row_of(tmp_path, "b", 0.5, val=0.002)
    board = board_of(tmp_path)
    told = "has a significantly lower MSE than a + mlp, the best by val"
    assert told in next_step(board, tmp_path)
    assert told in answers(board)["Which backbone?"]
    assert told in chosen("best", tmp_path).warnings[0]


def test_without_any_baseline_nothing_is_shown(tmp_path: Path) -> None:
    told = "No baseline is known here"
    assert told in texts(board_of(tmp_path / "a", record("1", 0.01, baselines={})))
    assert told not in texts(board_of(tmp_path / "b", record("1", 0.01)))


def test_a_best_row_that_cannot_be_tested_is_no_evidence_of_anything(tmp_path: Path) -> None:
    """Three seeds and two groups of images: the means were compared, and the row was called the best."""
    row_of(tmp_path, "net", 1.0, image_group=np.arange(N) % 2)
    answer(tmp_path, "ridge-pixels", np.random.default_rng(6).normal(0, 2.5, N), 0.3)
    board = board_of(tmp_path)
    assert by_name(board)["net"].verdict == "no evidence"
    told = (
        "Whether net + mlp is better than always predicting the mean cannot be tested: only 2 independent "
        "test images or groups: it takes 10."
    )
    assert told in texts(board)
    assert told in answers(board)["Which backbone?"]
    assert next_step(board, tmp_path).startswith(told)
    assert next_step(board, tmp_path) in chosen("best", tmp_path).warnings


def test_what_is_not_complete_is_not_said_to_beat_anything(tmp_path: Path) -> None:
    write_record(tmp_path, record("1", 0.7, 0.6))
    write_record(tmp_path, record("2", None, seed=1))
    board = board_of(tmp_path)
    assert by_name(board)["net"].verdict == "incomplete"
    assert "lower val MSE" not in texts(board)
    assert "beat" not in texts(board)


def test_of_incomplete_rows_that_are_lower_it_is_not_said_that_none_is_worth_using(tmp_path: Path) -> None:
    for one in (
        record("1", 0.2, backbone="whole"), record("2", 0.01, backbone="part"),
        record("3", None, backbone="part", seed=1),
    ):  # fmt: skip
        one.split.n_val, one.data.n = 30, 38
        write_record(tmp_path, one)
    told = texts(board_of(tmp_path))
    assert (
        "No network beats always predicting the mean on the validation images (MSE 0.2 against 0.09)" in told
    )
    assert "but part + mlp (0.01): runs of these failed or are missing, and the same command repeats" in told
    assert "worth using" not in told


def test_of_equal_baselines_the_mean_is_named(tmp_path: Path) -> None:
    one = record("1", 0.095)
    one.baselines = {"pixel-lookup": one.baselines["mean-of-train"], **one.baselines}
    board = board_of(tmp_path, one)
    assert by_name(board)["net"].verdict == "does not beat always predicting the mean"


def test_a_row_that_had_seen_the_images_is_not_the_quickest_to_take(tmp_path: Path) -> None:
    row_of(tmp_path, "net", 1.0)
    row_of(tmp_path, "again", 1.0, val=0.5)
    answer(tmp_path, "ridge-pixels", np.random.default_rng(6).normal(0, 9, N), 0.9)
    board = board_of(tmp_path)
    other = by_name(board)["again"]
    other.verdict = "not significantly worse"
    other.cost.latency_ms = 0.001
    assert (
        "The fastest row that is not significantly worse is again + mlp"
        in answers(board)["What does it cost?"]
    )
    other.overlap = Overlap(test=3, n_test=N, val=0, n_val=2)
    assert "again" not in answers(board)["What does it cost?"]
    assert "Not significantly worse" not in answers(board)["How sure is that?"]


def test_a_group_that_is_on_two_sides_is_no_image_that_was_seen(tmp_path: Path) -> None:
    one = record("1", 0.01)
    one.split.leaky, one.split.leaked, one.split.group_column = True, 2, "patient"
    board = board_of(tmp_path, one)
    told = "2 of 4 test images are also in train or val or share patient with images there"
    assert f"This split leaks: {told}" in texts(board)
    assert f"{told}: the scores do not show how well new images are read" in answers(board)["Which backbone?"]


def test_the_r2_of_the_baseline_stands_beside_the_rows(tmp_path: Path) -> None:
    row_of(tmp_path, "net", 1.0, spread=1.2)
    answer(tmp_path, "ridge-pixels", np.random.default_rng(6).normal(0, 2.5, N), 0.05)
    board = board_of(tmp_path)
    board.rows[0].verdict = "best"
    assert "y better than ridge regression on pixels is not significant (R² 0.50 against 0.10)" in texts(
        board
    )


def test_a_baseline_that_reads_a_target_better_is_named_before_a_test_against_the_mean(
    tmp_path: Path,
) -> None:
    """The test against the mean leaves the target open, and ridge regression is far better than the row."""
    row_of(tmp_path, "net", 1.0, spread=1.2)
    answer(tmp_path, "mean-of-train", np.random.default_rng(6).normal(0, 2.5, N), 0.3)
    answer(tmp_path, "ridge-pixels", np.random.default_rng(7).normal(0, 0.3, N), 0.05)
    board = board_of(tmp_path)
    best = by_name(board)["net"]
    assert [(one.baseline, one.open) for one in best.unread] == [("ridge-pixels", False)]
    best.verdict = "best"  # whatever the row as a whole does
    told = "net + mlp does not read y better than ridge regression on pixels (R² 0.50 against 0.10)."
    assert told in texts(board)
    assert "better than always predicting the mean is not significant" not in texts(board)


def of_targets(val: float, **r2: float) -> Metrics:
    """Scores of targets whose standard deviation is 1."""
    rmse = {name: (1 - share) ** 0.5 for name, share in r2.items()}
    return Metrics(val_mse=val, test_mse=val, test_rmse=rmse, test_r2=dict(r2))


def told_of(out: Path, net: Metrics, ridge: Metrics) -> str:
    baselines = {
        "mean-of-train": of_targets(0.3, **dict.fromkeys(net.test_r2 or {}, 0.0)),
        "ridge-pixels": ridge,
    }
    one = record(
        "1", net.val_mse, targets=[*(net.test_r2 or {})], metrics=net, baselines=baselines,
        target_low=[0, 0], target_high=[10, 10], target_integer=[False, False],
    )  # fmt: skip
    return texts(board_of(out, one))


def test_every_target_that_the_best_baseline_reads_better_is_told(tmp_path: Path) -> None:
    """Even where no network beats it."""
    told = told_of(tmp_path, of_targets(0.2, ink=0.52, digit=0.21), of_targets(0.1, ink=0.98, digit=0.51))
    assert "No network beats ridge regression on pixels" in told
    assert "does not read ink better than ridge regression on pixels (R² 0.52 against 0.98)." in told
    assert "does not read digit better than ridge regression on pixels (R² 0.21 against 0.51)." in told


def test_a_target_that_only_a_baseline_reads_is_told(tmp_path: Path) -> None:
    told = told_of(tmp_path, of_targets(0.05, ink=-0.3, digit=0.9), of_targets(0.1, ink=0.98, digit=0.5))
    assert "net + mlp does not read ink (R² -0.30); ridge regression on pixels does (R² 0.98)." in told


def test_errors_that_are_held_against_each_other_do_not_look_equal(tmp_path: Path) -> None:
    one = record("1", 0.09004)
    one.split.n_val, one.data.n = 30, 38
    assert "on the validation images (MSE 0.09004 against 0.09): none" in texts(board_of(tmp_path, one))


def test_r2_that_are_held_against_each_other_do_not_look_equal(tmp_path: Path) -> None:
    told = told_of(tmp_path, of_targets(0.05, ink=0.9812, digit=0.9), of_targets(0.1, ink=0.984, digit=0.5))
    assert "better than ridge regression on pixels (R² 0.981 against 0.984)." in told
