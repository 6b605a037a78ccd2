"""Where intervals come from: val predictions, read from runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quadzoo.errors import ConfigError, DataError
from quadzoo.inference.calibration import Calibration, combined
from quadzoo.inference.intervals import Intervals
from quadzoo.records.record import run_folder, write_record
from tests.report.records import predict, record

N = 40


def write(out: Path, key: str, seed: int = 0, **columns: Any) -> Path:
    """Write a run with predictions for N val and N test images."""
    write_record(out, record(key, 0.5, seed=seed))
    rng = np.random.default_rng(seed)
    predict(out, key, rng.normal(0, 1, N), val=rng.normal(0, 2, N), **columns)
    return run_folder(out, key)


def val_of(folder: Path) -> pd.DataFrame:
    """What the file says of val."""
    table = pd.read_csv(folder / "predictions.csv")
    return table[table["split"] == "val"]


def shuffled(folder: Path) -> None:
    """Write the rows of predictions.csv in another order."""
    pd.read_csv(folder / "predictions.csv").sample(frac=1, random_state=1).to_csv(
        folder / "predictions.csv", index=False
    )


def test_a_run_is_calibrated_on_val_alone(tmp_path: Path) -> None:
    folder = write(tmp_path, "a", image_kind="disc")
    found = Calibration.of_run(folder)
    table = val_of(folder)
    assert (found.targets, found.ranges.tolist(), list(found.ids)) == (("y",), [10.0], table["id"].tolist())
    assert np.array_equal(found.truth, table[["y"]])
    assert np.array_equal(found.prediction, table[["y_pred"]])
    assert found.spread is None
    assert {name: {*values} for name, values in found.labels.items()} == {
        "image_group": {*found.ids}, "image_kind": {"disc"},
    }  # fmt: skip
    errors = np.sort((table["y_pred"] - table["y"]).abs())
    assert Intervals.of(folder, 0.9).half_widths[""] == pytest.approx([errors[36]])  # of 40 the 37th


@pytest.mark.parametrize("weights", [None, [1.0, 3.0]])
def test_several_runs_are_calibrated_on_their_mean(weights: list[float] | None, tmp_path: Path) -> None:
    spread = np.linspace(0.5, 3, 2 * N)
    folders = [write(tmp_path, "a", 0, y_spread=0.5), write(tmp_path, "b", 1, y_spread=spread)]
    shuffled(folders[1])
    tables = [val_of(folder).sort_values("id") for folder in folders]
    first, second = weights or [0.5, 0.5]
    share = first / (first + second)
    one, other = (table["y_pred"].to_numpy() for table in tables)
    mean = share * one + (1 - share) * other
    found = Calibration.of_runs(folders, weights)
    order = np.argsort(found.ids)
    assert found.prediction[order, 0] == pytest.approx(mean)
    assert np.array_equal(found.truth[order, 0], tables[0]["y"])
    own = tables[1]["y_spread"].to_numpy()
    variance = share * (0.25 + (one - mean) ** 2) + (1 - share) * (own**2 + (other - mean) ** 2)
    assert found.spread is not None
    assert found.spread[order, 0] == pytest.approx(np.sqrt(variance))
    if weights is None:
        scores = np.sort(np.abs(mean - 5) / np.sqrt(variance))
        assert Intervals.of(folders, 0.9).half_widths[""] == pytest.approx([scores[36]])


def test_members_of_which_one_has_no_spread_have_none(tmp_path: Path) -> None:
    folders = [write(tmp_path, "a", 0, y_spread=0.5), write(tmp_path, "b", 1)]
    assert Calibration.of_runs(folders).spread is None
    assert not Intervals.of(folders, 0.9).normalised
    assert Intervals.of(folders[:1], 0.9).normalised


def test_new_images_are_combined_in_the_same_way() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.choice(2, 200_000, p=[0.25, 0.75])
    mean, deviation = np.array([1.0, 4.0]), np.array([0.5, 2.0])
    sample = rng.normal(mean[drawn], deviation[drawn])
    prediction, spread = combined(mean[:, None, None], deviation[:, None, None], [1, 3])
    assert spread is not None
    assert (prediction.item(), spread.item()) == pytest.approx((sample.mean(), sample.std()), rel=0.01)


@pytest.mark.parametrize(
    ("where", "value", "what"),
    [(("split", "hash"), "other", "val images"), (("split", "fold"), 1, "val images"),
     (("data", "hash"), "other", "data")],
)  # fmt: skip
def test_runs_of_other_splits_are_not_combined(
    where: tuple[str, str], value: object, what: str, tmp_path: Path
) -> None:
    folders = [write(tmp_path, "a"), write(tmp_path, "b")]
    path = folders[1] / "record.json"
    given = json.loads(path.read_text())
    given[where[0]][where[1]] = value
    given["split"]["folds"] = 2
    path.write_text(json.dumps(given))
    with pytest.raises(ConfigError, match=f"^b has other {what} than a: what is val for one may be in train"):
        Intervals.of(folders, 0.9)


def cut(folder: Path) -> None:
    path = folder / "predictions.csv"
    path.write_text(path.read_text().replace("v0,val", "v0,train"))


def twice(folder: Path) -> None:
    path = folder / "predictions.csv"
    path.write_text(path.read_text().replace("v1,val", "v0,val"))


def not_a_number(folder: Path) -> None:
    table = pd.read_csv(folder / "predictions.csv")
    table.assign(y_pred=np.inf).to_csv(folder / "predictions.csv", index=False)


def no_predictions(folder: Path) -> None:
    (folder / "predictions.csv").unlink()


def no_record(folder: Path) -> None:
    (folder / "record.json").unlink()


def failed(folder: Path) -> None:
    write_record(folder.parents[1], record("a", None))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (cut, "39 val images, the record says 40"),
        (twice, "39 val images, the record says 40"),
        (not_a_number, "a target or prediction is not a finite number"),
        (no_predictions, "intervals are calibrated on the val predictions in it"),
        (no_record, "cannot be read (No such file or directory)"),
        (failed, "the run failed, so it has no val predictions"),
    ],
)
def test_what_cannot_be_calibrated_is_one_line(spoil: Any, told: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "a")
    spoil(folder)
    with pytest.raises(DataError) as refused:
        Intervals.of(folder, 0.9)
    line = str(refused.value)
    assert told in line
    assert "\n" not in line
    assert len(line.replace(str(tmp_path), "")) <= 300


def test_other_val_images_under_one_split_are_refused(tmp_path: Path) -> None:
    folders = [write(tmp_path, "a"), write(tmp_path, "b")]
    path = folders[1] / "predictions.csv"
    path.write_text(path.read_text().replace("v0,val", "w0,val"))
    with pytest.raises(DataError, match=r"the val images of the runs differ: .*; else `quadzoo verify`"):
        Intervals.of(folders, 0.9)


def test_changed_predictions_give_no_interval(run_of: Callable[..., Path], tmp_path: Path) -> None:
    run = tmp_path / run_of("linear").name
    shutil.copytree(run_of("linear"), run)
    path = run / "predictions.csv"
    path.write_text(path.read_text().replace("val,", "val,1", 1))
    with pytest.raises(DataError, match=r"not the file that record\.json names; .* ask for no interval"):
        Calibration.of_run(run)
