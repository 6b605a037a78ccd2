"""What the page compares two rows by; `test_browser.py` lets its script do so."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quadzoo.records.record import Metrics, run_folder, write_record
from quadzoo.report import comparison as module
from quadzoo.report.comparison import ImageComparison, comparison
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from tests.report.records import predict, record

ROOM = 1_000_000


def write(out: Path, *errors: list[float]) -> None:
    """Write a run for each list of errors, the best val MSE first."""
    for index, of_run in enumerate(errors):
        write_record(out, record(str(index), 0.01 * (index + 1), backbone=f"net{index}"))
        predict(out, str(index), of_run)


def compared(out: Path, room: int = ROOM) -> ImageComparison | None:
    runs = read_runs([out]).runs
    (board,) = leaderboards(runs)
    return comparison(board, {run.record.key: run for run in runs}, room)


def decoded(found: ImageComparison, row: int) -> np.ndarray:
    content = base64.b64decode(found.data["rows"][row]["errors"])
    return np.frombuffer(content, "<f2").reshape(-1, len(found.data["ids"]))


def test_errors_and_sentence(tmp_path: Path) -> None:
    write(tmp_path, [1.0, 2.0, -3.0, 0.5], [-2.0, 1.0, 3.0, 4.0])
    found = compared(tmp_path)
    assert found
    assert found.sentence == (
        "net0 + mlp (seed 0) is nearer on 2 of 4 test images, net1 + mlp (seed 0) on 1, "
        "both are equally near on 1."
    )
    assert found.data["ids"] == ["p0", "p1", "p2", "p3"]
    assert (found.data["truth"], found.data["spread"]) == ([[5.0] * 4], [10.0])
    scaled = np.array([-2.0, 1.0, 3.0, 4.0]) / 10  # y is from 0 to 10
    np.testing.assert_allclose(decoded(found, 1), [abs(scaled), scaled], rtol=1e-3)
    assert found.left_out == ""


def test_each_row_is_its_seed_with_the_best_val(tmp_path: Path) -> None:
    write(tmp_path, [1.0, 1.0])
    for seed, val in ((0, 0.5), (1, 0.2), (2, 0.3)):
        write_record(tmp_path, record(f"s{seed}", val, backbone="seeds", seed=seed))
        predict(tmp_path, f"s{seed}", [float(seed), 3.0])
    found = compared(tmp_path)
    assert found
    assert found.data["rows"][1]["name"] == "seeds + mlp (seed 1)"
    np.testing.assert_allclose(decoded(found, 1)[1], [0.1, 0.3], rtol=1e-3)


def test_images_that_a_row_lacks_are_not_counted(tmp_path: Path) -> None:
    write(tmp_path, [1.0, 1.0, 1.0], [2.0, 2.0])
    found = compared(tmp_path)
    assert found
    assert "on 2 of 2 test images" in found.sentence
    assert np.isnan(decoded(found, 1)[:, 2]).all()


def test_far_off_is_infinite(tmp_path: Path) -> None:
    write(tmp_path, [1.0, 1.0], [2.0, 1e12])
    found = compared(tmp_path)
    assert found
    assert np.isinf(decoded(found, 1)[:, 1]).all()
    assert "on 2 of 2" in found.sentence


def test_a_large_test_set_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IMAGES", 50)
    write(tmp_path, [0.1, 0.2] * 100, [0.2, 0.3] * 100)
    found = compared(tmp_path)
    assert found
    ids = found.data["ids"]
    assert len(ids) == 50
    assert sorted(ids, key=lambda one: int(one[1:])) == ids != [f"p{index}" for index in range(50)]
    assert "on 50 of 50" in found.sentence
    assert found.left_out == "These are 50 of the 200 test images, drawn at random."


def test_what_has_no_room_is_told(tmp_path: Path) -> None:
    write(tmp_path, *([0.1, float(index)] * 50 for index in range(4)))
    full = compared(tmp_path)
    assert full
    assert full.size == pytest.approx(len(str(full.data)), rel=0.05)
    part = compared(tmp_path, full.size - 100)
    assert part
    assert len(part.data["rows"]) == 3
    assert part.left_out == "The page would be too large with all rows: the last 1 cannot be chosen."
    assert compared(tmp_path, 100) is None


def test_many_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TARGETS", 1)
    for key, error in (("1", 0.1), ("2", 0.2)):
        one = record(key, 0.1, backbone=key, targets=["a", "b"], target_low=[0, 0], target_high=[1, 4],
                     target_integer=[True, True], baselines={},
                     metrics=Metrics(val_mse=0.1, test_mse=0.1, test_rmse={"a": 1.0, "b": 1.0},
                                     test_r2={"a": 0.0, "b": 0.0}))  # fmt: skip
        one.split.n_test = 1
        write_record(tmp_path, one)
        table = {"id": ["p"], "split": ["test"], "a": [1], "a_pred": [1 + error], "b": [2], "b_pred": [2]}
        pd.DataFrame(table).to_csv(run_folder(tmp_path, key) / "predictions.csv", index=False)
    found = compared(tmp_path)
    assert found
    assert decoded(found, 0)[:, 0] == pytest.approx([0.1 / 2**0.5, 0.1], rel=1e-3)
    assert found.data["integer"] is False  # not all of them are there
    assert found.left_out == "Errors are of all targets; predictions of the last 1 are not shown."


def test_rows_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for key, val, recipe in (("1", 0.1, {"epochs": 2}), ("2", 0.2, {"epochs": 3})):
        write_record(tmp_path, record(key, val, recipe=recipe))
        predict(tmp_path, key, [0.1])
    found = compared(tmp_path)
    assert found
    assert [one["name"] for one in found.data["rows"]] == [
        "net + mlp (epochs 2) (seed 0)",
        "net + mlp (epochs 3) (seed 0)",
    ]


def test_one_row_is_not_compared(tmp_path: Path) -> None:
    write(tmp_path, [1.0])
    write_record(tmp_path, record("failed", None, backbone="broken"))
    assert compared(tmp_path) is None
