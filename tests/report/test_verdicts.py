"""What is said of rows: never more than seeds, images and baselines allow."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quadzoo.model.recipe import Recipe
from quadzoo.records.predictions import to_csv
from quadzoo.records.record import Epoch, Metrics, read_record, write_record
from quadzoo.report.answer import answers
from quadzoo.report.page import to_html
from quadzoo.report.results import read_runs
from quadzoo.report.winner import chosen
from tests.report.judged import N, answer, by_name, row_of, texts
from tests.report.records import board_of, predict, record


def test_three_seeds_tell_what_one_does_not(tmp_path: Path) -> None:
    for seeds, verdicts in (([0], ["no evidence"] * 2), ([0, 1, 2], ["best", "worse"])):
        out = tmp_path / str(len(seeds))
        row_of(out, "good", 1.0, seeds=seeds)
        row_of(out, "bad", 2.0, seeds=seeds)
        rows = by_name(board_of(out))
        assert [rows[name].verdict for name in ("good", "bad")] == verdicts
        assert [rows[name].rank for name in ("good", "bad")] == [1, 2]
    assert rows["bad"].p_value is not None
    assert rows["bad"].times_best == pytest.approx(4, rel=0.3)


def test_one_seed_in_five_folds_is_still_one_seed(tmp_path: Path) -> None:
    for backbone, factor in (("good", 1.0), ("bad", 3.0)):
        for fold in range(5):
            errors = np.random.default_rng(fold).normal(0, factor, 40)
            one = record(f"{backbone}{fold}", factor / 100, factor**2 / 100, backbone=backbone)
            one.split.fold, one.split.folds = fold, 5
            write_record(tmp_path, one)
            predict(tmp_path, one.key, errors)
            path = tmp_path / "runs" / one.key / "predictions.csv"
            path.write_text(path.read_text().replace("p", f"f{fold}p").replace(f"sf{fold}p", "sp").replace(
                f"y_f{fold}pred", "y_pred"))  # fmt: skip
    board = board_of(tmp_path)
    assert {row.verdict for row in board.rows if row.head != "-"} == {"no evidence"}
    assert "three seeds are needed to tell" in texts(board)


def test_the_same_rows_tell_the_same_story_in_smaller_company(tmp_path: Path) -> None:
    """Ranks count from 1 without gaps or ties, and a row is worse than the best in any table."""
    names = [f"n{i}" for i in range(9)]
    for number, name in enumerate(names):
        row_of(tmp_path, name, 1.35**number)
    everything = by_name(board_of(tmp_path))
    assert [everything[name].rank for name in names] == list(range(1, 10))
    for name in names[4:]:
        for seed in range(3):
            shutil.rmtree(tmp_path / "runs" / f"{name}{seed}")
    few = by_name(board_of(tmp_path))
    assert [few[name].rank for name in names[:4]] == [1, 2, 3, 4]
    assert [few[name].verdict for name in names[:4]] == [everything[name].verdict for name in names[:4]]


def test_a_row_whose_worst_seed_failed_is_not_ranked(tmp_path: Path) -> None:
    row_of(tmp_path, "steady", 1.0)
    row_of(tmp_path, "lucky", 0.5, seeds=[0, 1])
    write_record(tmp_path, record("lucky2", None, backbone="lucky", seed=2))
    board = board_of(tmp_path)
    rows = by_name(board)
    assert (rows["lucky"].rank, rows["lucky"].verdict) == (None, "incomplete")
    assert (rows["steady"].rank, rows["steady"].verdict) == (1, "best")
    assert board.best is rows["steady"]
    assert "lucky + mlp is incomplete and has no rank" in texts(board)


def test_a_row_that_lacks_a_fold_is_incomplete(tmp_path: Path) -> None:
    one = record("1", 0.01)
    one.split.folds = 2
    assert by_name(board_of(tmp_path, one))["net"].verdict == "incomplete"


def test_three_seeds_must_beat_the_baseline_on_the_test_images(tmp_path: Path) -> None:
    """A lower val MSE alone does not do, where the test images know better."""
    row_of(tmp_path, "net", 1.0)
    row_of(tmp_path, "second", 1.3)
    ridge = np.random.default_rng(0).normal(0, 1, N) * 1.02
    answer(tmp_path, "ridge-pixels", ridge, val=0.0104)
    board = board_of(tmp_path)
    rows = by_name(board)
    assert rows["net"].val_mse is not None
    assert rows["net"].val_mse < 0.0115
    assert rows["net"].verdict == "does not beat ridge regression on pixels"
    assert rows["second"].verdict == "does not beat ridge regression on pixels"
    assert "net + mlp" not in answers(board).get("What does it cost?", "")
    answer(tmp_path, "ridge-pixels", ridge * 3, val=0.085)
    board = board_of(tmp_path)
    assert by_name(board)["net"].verdict == "best"
    p = by_name(board)["net"].p_baseline
    assert p is not None
    assert p < 0.001


def test_the_fastest_is_none_that_does_not_beat_the_baseline(tmp_path: Path) -> None:
    row_of(tmp_path, "net", 1.0)
    row_of(tmp_path, "quick", 1.02, val=0.2)
    for seed in range(3):
        one = read_record(tmp_path, f"quick{seed}")
        assert one
        one.cost.latency_ms = 0.01
        write_record(tmp_path, one)
    board = board_of(tmp_path)
    assert by_name(board)["quick"].verdict == "does not beat always predicting the mean"
    assert "quick" not in answers(board)["What does it cost?"]


def test_not_worse_says_how_many_times(tmp_path: Path) -> None:
    row_of(tmp_path, "best", 1.0, spread=0.6)
    row_of(tmp_path, "other", 1.2, spread=0.6, val=0.05)
    board = board_of(tmp_path)
    other = by_name(board)["other"]
    assert other.verdict == "not significantly worse"
    assert f"other + mlp ({other.times_best:.3g}×)" in texts(board)


def test_intervals_say_what_they_cover(tmp_path: Path) -> None:
    row_of(tmp_path / "one", "net", 1.0, seeds=[0])
    (one,) = [row for row in board_of(tmp_path / "one").rows if row.head != "-"]
    assert one.covers == "this run, test images only"
    row_of(tmp_path / "three", "net", 1.0)
    row_of(tmp_path / "three", "other", 1.5)
    rows = by_name(board_of(tmp_path / "three"))
    assert rows["net"].covers == "test images, seeds and the choice from 2 rows"
    assert rows["other"].covers == "test images and seeds"


def test_an_interval_is_withheld_with_the_reason(tmp_path: Path) -> None:
    """One image carries the error."""
    write_record(tmp_path, record("1", 0.01))
    predict(tmp_path, "1", [0.01] * 99 + [50.0])
    board = board_of(tmp_path)
    (row,) = [row for row in board.rows if row.head != "-"]
    assert row.test_mse_low is None
    assert row.covers.startswith("one test image has 100% of the error")
    assert row.covers in texts(board)


def test_places_come_from_val(tmp_path: Path) -> None:
    """Predictions of val images give the interval of a rank, and none are needed for the rank."""
    row_of(tmp_path, "net", 1.0)
    row_of(tmp_path, "other", 1.3)
    assert by_name(board_of(tmp_path))["net"].rank_high is None
    for backbone, factor in (("net", 1.0), ("other", 3.0)):
        for seed in range(3):
            path = tmp_path / "runs" / f"{backbone}{seed}" / "predictions.csv"
            table = pd.read_csv(path)
            val = pd.DataFrame({"id": [f"v{i}" for i in range(40)], "split": "val", "y": 5.0})
            noise = np.random.default_rng(seed).normal(0, factor, 40)
            pd.concat([table, val.assign(y_pred=5.0 + noise)]).to_csv(path, index=False)
            one = read_record(tmp_path, f"{backbone}{seed}")
            assert one
            one.split.n_val = 40
            write_record(tmp_path, one)
    rows = by_name(board_of(tmp_path))
    assert [(rows[name].rank_low, rows[name].rank_high) for name in ("net", "other")] == [(1, 1), (2, 2)]
    assert rows["net"].p_best == pytest.approx(1, abs=0.01)


def test_targets_may_be_called_what_our_own_columns_are(tmp_path: Path) -> None:
    """A target `error`, and one whose name is that of another's prediction."""
    targets = ["error", "y", "y_pred"]
    truth = np.random.default_rng(0).uniform(0, 10, (60, 3))
    for seed in range(2):
        metrics = Metrics(
            val_mse=0.01,
            test_mse=0.01,
            test_rmse=dict.fromkeys(targets, 1.0),
            test_r2=dict.fromkeys(targets, 0.9),
        )
        one = record(
            f"s{seed}", 0.01, seed=seed, targets=targets, target_low=[0] * 3, target_high=[10] * 3,
            target_integer=[False] * 3, metrics=metrics, worst=["p3"], baselines={},
        )  # fmt: skip
        one.split.n_test, one.data.n = len(truth), 100
        write_record(tmp_path, one)
        ids = [f"p{i}" for i in range(len(truth))]
        content = to_csv(
            ["test"] * len(truth),
            ids,
            truth,
            truth + np.array([1.0, 2.0, 3.0 + seed]),
            targets=targets,
            groups=ids,
        )
        (tmp_path / "runs" / one.key / "predictions.csv").write_bytes(content)
    (row,) = [row for row in board_of(tmp_path).rows if row.head != "-"]
    assert row.test_mae == pytest.approx({"error": 1.0, "y": 2.0, "y_pred": 3.5})
    assert row.test_mse_low is not None
    assert row.test_mse_low <= (1 + 4 + 12.5) / 300 * 1.01
    assert row.details.worst[0].prediction["y_pred"] == pytest.approx(truth[3, 2] + 3)
    assert {name: bins[0].rmse for name, bins in row.details.bins.items()} == pytest.approx(
        {"error": 1.0, "y": 2.0, "y_pred": 12.5**0.5}
    )
    runs = read_runs([tmp_path]).runs
    assert "y_pred" in to_html([board_of(tmp_path)], runs)


def test_every_baseline_must_be_beaten(tmp_path: Path) -> None:
    """One that is second by val may be far better on the test images."""
    row_of(tmp_path, "net", 1.0)
    rng = np.random.default_rng(5)
    answer(tmp_path, "ridge-pixels", rng.normal(0, 3, N), val=0.02)
    answer(tmp_path, "ridge-features:net", rng.normal(0, 0.1, N), val=0.03)
    row = by_name(board_of(tmp_path))["net"]
    assert row.verdict == "does not beat ridge regression on the features of net"


def test_a_fit_to_features_need_not_beat_a_fit_to_features(tmp_path: Path) -> None:
    for name, history in (("fitted", []), ("trained", [Epoch(val_mse=0.1)])):
        row_of(tmp_path, name, 1.0)
        for seed in range(3):
            one = read_record(tmp_path, f"{name}{seed}")
            assert one
            frozen = one.model_copy(update={"recipe": Recipe(epochs=2, freeze=True), "history": history})
            write_record(tmp_path, frozen)
    answer(tmp_path, "ridge-features:net", np.random.default_rng(5).normal(0, 0.1, N), val=0.001)
    board = board_of(tmp_path)
    verdicts = {name: row.verdict for name, row in by_name(board).items()}
    assert verdicts["trained"] == "does not beat ridge regression on the features of net"
    assert not verdicts["fitted"].startswith("does not beat")
    assert not any("features" in one.baseline for one in by_name(board)["fitted"].unread)


def test_without_predictions_of_a_baseline_the_means_must_say_so(tmp_path: Path) -> None:
    for seed in range(3):
        write_record(tmp_path, record(f"s{seed}", 0.08, 0.2, seed=seed))
    row = by_name(board_of(tmp_path))["net"]
    assert row.verdict == "does not beat always predicting the mean"


def test_a_row_that_nothing_can_be_said_of_says_nothing_of_others(tmp_path: Path) -> None:
    """One image of one seed is far off: that row has no interval, and the others keep theirs."""
    row_of(tmp_path, "good", 1.0)
    row_of(tmp_path, "bad", 2.0)
    before = by_name(board_of(tmp_path))
    row_of(tmp_path, "junk", 1.5)
    path = tmp_path / "runs" / "junk1" / "predictions.csv"
    table = pd.read_csv(path)
    table.loc[3, "y_pred"] = 1e4
    table.to_csv(path, index=False)
    after = by_name(board_of(tmp_path))
    assert after["junk"].covers.startswith("one test image has")
    assert after["bad"].test_mse_low == pytest.approx(before["bad"].test_mse_low)
    assert (before["bad"].verdict, after["bad"].verdict) == ("worse", "worse")


def test_a_row_with_one_seed_takes_no_ranks_from_others(tmp_path: Path) -> None:
    row_of(tmp_path, "good", 1.0, val_errors=True)
    row_of(tmp_path, "bad", 2.0, val_errors=True)
    before = by_name(board_of(tmp_path))
    assert (before["good"].rank_low, before["bad"].rank_high) == (1, 2)
    row_of(tmp_path, "single", 4.0, seeds=[0], val_errors=True)
    after = by_name(board_of(tmp_path))
    assert (after["good"].rank_low, after["good"].rank_high, after["bad"].rank_high) == (1, 1, 2)
    assert after["single"].rank_low is None
    assert after["single"].p_best is None


def test_an_ensemble_is_compared_with_the_baselines(tmp_path: Path) -> None:
    row_of(tmp_path, "net", 1.0, val_errors=True)
    row_of(tmp_path, "other", 1.01, val_errors=True)
    answer(tmp_path, "ridge-pixels", np.full(N, 30.0), val=0.9)
    row = by_name(board_of(tmp_path))["ensemble"]
    assert (row.verdict, row.rank) == ("", None)
    assert row.p_baseline is not None
    assert row.p_baseline < 0.001
    answer(tmp_path, "ridge-pixels", np.random.default_rng(0).normal(0, 1, N) * 0.9, val=0.02)
    board = board_of(tmp_path)
    assert by_name(board)["ensemble"].verdict == "does not beat ridge regression on pixels"
    assert "better than ridge regression on pixels on the test images (MSE " in texts(board)
    assert "ridge regression on pixels on the test images" in chosen("ensemble", tmp_path).warnings[-1]


def test_a_run_that_cannot_be_scored_takes_the_rank_of_its_row(tmp_path: Path) -> None:
    row_of(tmp_path, "good", 1.0)
    row_of(tmp_path, "bad", 2.0)
    (tmp_path / "runs" / "bad2" / "predictions.csv").write_text("garbage")
    rows = by_name(board_of(tmp_path))
    assert (rows["bad"].verdict, rows["bad"].rank) == ("incomplete", None)


def test_an_interval_is_of_the_seeds_that_were_seen(tmp_path: Path) -> None:
    row_of(tmp_path, "net", 1.0)
    for seed in (1, 2):
        (tmp_path / "runs" / f"net{seed}" / "predictions.csv").unlink()
    row = by_name(board_of(tmp_path))["net"]
    assert row.test_mse_low is None
    assert row.covers == "predictions of 1 of 3 seeds for all images"


def test_where_no_row_is_complete_none_is_recommended(tmp_path: Path) -> None:
    board = board_of(tmp_path, record("1", 0.01), record("2", None, seed=1))
    told = answers(board)
    assert list(told) == ["Which backbone?"]
    assert told["Which backbone?"].startswith("No row is complete, so none is recommended")
