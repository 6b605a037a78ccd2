"""A record that was changed costs its own row, whatever it says: of scores, of baselines, of the division."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quadzoo.records.baseline import BaselineRecord, baseline_key, write_baseline
from quadzoo.records.record import Metrics
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from quadzoo.report.rows import Leaderboard
from quadzoo.report.scores import differences
from quadzoo.report.verify import verify
from tests.report.records import board_of, predict, record
from tests.report.tampering import RIDGE, RIDGE_TEXT, SCORES, TEXT, add_run, finished


def change(out: Path, key: str, **facts: Any) -> None:
    """Change what a record says, a dictionary one key at a time."""
    path = out / "runs" / key / "record.json"
    said = json.loads(path.read_text())
    for name, value in facts.items():
        if value is None:  # it no longer names the predictions
            said[name].pop("predictions.csv")
            continue
        said[name] = said[name] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(said))


def board(out: Path) -> Leaderboard:
    results = read_runs([out])
    (found,) = leaderboards(results.runs, results.unreadable, results.answers)
    return found


def keys_of(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "runs").iterdir())


TAMPERED: dict[str, tuple[dict[str, Any], str]] = {
    "val": (
        {"metrics": {"val_mse": 1e-6}},
        "val_mse is 1e-06 in the record, but 0.005 by its",
    ),
    "test": ({"metrics": {"test_mse": 1e-6}}, "test_mse is 1e-06 in the record, but 0.01 by its"),
    "rmse": ({"metrics": {"test_rmse": {"y": 0.1}}}, "test_rmse of y is 0.1 in the record, but 1 by its"),
    "range": ({"target_high": [10_000.0]}, "val_mse is 0.005 in the record, but 5e-09 by its"),
    "file": ({"files": {"predictions.csv": "0" * 64}}, "not the file that the record names"),
    "no file": ({"files": None}, "not the file that the record names"),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_scores_are_those_of_the_predictions(case: str, tmp_path: Path, quadzoo: Callable[..., Any]) -> None:
    facts, told = TAMPERED[case]
    out = finished(tmp_path)
    (key,) = keys_of(out)
    assert board(out).unreadable == []
    assert board(out).best is not None
    change(out, key, **facts)
    results = read_runs([out])
    assert results.runs == []
    (named,) = results.unreadable
    assert named.key == key
    assert told in named.reason
    done = quadzoo("report", out)
    assert done.status == 1
    assert key in done.err


def test_changed_predictions_are_told_from_the_record(tmp_path: Path) -> None:
    out = finished(tmp_path)
    (key,) = keys_of(out)
    path = out / "runs" / key / "predictions.csv"
    path.write_text(path.read_text().replace("t1,test,4,6", "t1,test,4,4"))
    (named,) = read_runs([out]).unreadable
    assert "not the file that the record names: it was changed or cut off" in named.reason


def test_one_record_does_not_speak_for_a_baseline(tmp_path: Path) -> None:
    """What is kept of a baseline was scored; a record may say anything."""
    out = finished(tmp_path)
    (key,) = keys_of(out)
    before = {row.backbone: row.val_mse for row in board(out).rows}
    change(out, key, baselines={"ridge-pixels": {"val_mse": 1e-9, "test_mse": 1e-9}})
    assert {row.backbone: row.val_mse for row in board(out).rows} == before
    assert before["ridge-pixels"] == 0.02


def test_one_record_does_not_speak_for_the_division(tmp_path: Path) -> None:
    for seed in range(3):
        one = record(f"{seed}", 0.1, seed=seed)
        board_of(tmp_path, one)
        predict(tmp_path, one.key, [1.0, 2.0, 3.0, 2.0])
    change(tmp_path, "0", split={"name": "other", "leaky": True, "leaked": 4})
    found = board(tmp_path)
    assert found.split.leaky is False
    assert [one.key for one in found.unreadable] == ["0"]
    assert "split.leaked is 4 in its record, but 0 in 2 others" in found.unreadable[0].reason
    change(tmp_path, "1", split={"leaky": True, "leaked": 4})
    change(tmp_path, "2", split={"leaky": True, "leaked": 4})
    assert board(tmp_path).unreadable == []


@pytest.mark.parametrize("edited", ["0", "1"])
def test_of_two_records_the_one_that_tells_of_leaks_is_believed(edited: str, tmp_path: Path) -> None:
    for seed in range(2):
        one = record(f"{seed}", 0.1, seed=seed)
        board_of(tmp_path, one)
        predict(tmp_path, one.key, [1.0, 2.0, 3.0, 2.0])
        change(tmp_path, f"{seed}", split={"leaky": True, "leaked": 4})
    change(tmp_path, edited, split={"leaky": False, "leaked": 0})
    found = board(tmp_path)
    assert (found.split.leaky, found.split.leaked) == (True, 4)
    assert [one.key for one in found.unreadable] == [edited]
    assert "split.leaked is 0 in its record, but 4 in 1 other of this" in found.unreadable[0].reason


def test_two_sets_with_one_division_have_their_own_baselines(tmp_path: Path) -> None:
    """Other targets of the same images: the baselines of one do not hide those of the other."""
    one, other = finished(tmp_path / "one"), tmp_path / "other"
    told = add_run(other, data={"name": "e", "hash": "E", "n": 10, "duplicates": 1})
    key = baseline_key("ridge-pixels", "E", told.image, (told.split.hash, told.split.fold))
    ridge = BaselineRecord(
        key=key, name="ridge-pixels", data=told.data, split=told.split, targets=["y"], metrics=RIDGE,
        alphas={"y": 1.0}, n_fitted=4, seconds=0.1, files={},
    )  # fmt: skip
    write_baseline(other, ridge, RIDGE_TEXT.encode())
    (alone,) = leaderboards(*_parts(one))
    for folders in ((one, other), (other, one)):
        together = leaderboards(*_parts(*folders))
        assert [found.data.hash for found in together] == ["D", "E"]
        assert together[0].model_dump_json() == alone.model_dump_json()
        assert {row.backbone: row.test_mae for row in together[1].rows}["ridge-pixels"] == {"y": 0.5}


def _parts(*folders: Path) -> tuple[Any, Any, Any]:
    results = read_runs(list(folders))
    return results.runs, results.unreadable, results.answers


GROUPED = "".join(
    f"{line},{line.split(',')[0] if n else 'image_group'}\n" for n, line in enumerate(TEXT.split())
)
EDITED: dict[str, tuple[dict[str, Any], str, str]] = {
    "range": (
        {
            "target_low": [-10.0],
            "metrics": SCORES.model_copy(update={"val_mse": 0.00125, "test_mse": 0.0025}),
        },
        GROUPED,
        "target_low is [-10.0] in its record, but [0.0] in 3 others",
    ),
    "leaky": (
        {"split": {"leaky": True}},
        GROUPED,
        "split.leaky is True in its record, but False in 3 others",
    ),
    "truth": ({}, GROUPED.replace("v1,val,2,3", "v1,val,4,5"), "true values than 3 others"),
    "images": ({}, GROUPED.replace("t4", "t9"), "has other images, groups or true values than 3 others"),
    "groups": ({}, GROUPED.replace("7,7,t4", "7,7,t1"), "has other images, groups or true values"),
}


@pytest.mark.parametrize("case", EDITED)
def test_images_truth_and_ranges_are_those_of_the_others(case: str, tmp_path: Path) -> None:
    """A record with easier images, a truth or a range of its own would rank too well."""
    facts, text, told = EDITED[case]
    for backbone in "abc":
        add_run(tmp_path, GROUPED, backbone=backbone)
    assert board(tmp_path).unreadable == []
    split = record("0", 0.1).split.model_dump() | facts.get("split", {})
    edited = add_run(tmp_path, text, **facts | {"backbone": "z", "split": split})
    found = board(tmp_path)
    assert [one.key for one in found.unreadable] == [edited.key]
    assert told in found.unreadable[0].reason
    verdict = verify(tmp_path)
    assert any(one.where == edited.key for one in verdict.faults)


def test_one_record_does_not_name_the_data(tmp_path: Path) -> None:
    for backbone in "abc":
        add_run(tmp_path, GROUPED, backbone=backbone)
    first = keys_of(tmp_path)[0]
    change(tmp_path, first, data={"name": "ImageNet", "n": 2_000_000})
    found = board(tmp_path)
    assert (found.data.name, found.data.n) == ("d", 10)


def test_an_r2_near_nothing_is_rounded_like_one() -> None:
    """`verify` named that of mean-of-train, for digits beyond the fifteenth after the point."""
    said = Metrics(val_mse=0.1, test_mse=0.1, test_rmse={"y": 1.0}, test_r2={"y": -2.4913954432825847e-07})
    found = said.model_copy(update={"test_r2": {"y": -2.4913954299599084e-07}})
    assert list(differences(said, found, 1e-9)) == []
    other = said.model_copy(update={"test_r2": {"y": -2.6e-07}})
    assert [name for name, _, _ in differences(said, other, 1e-9)] == ["test_r2 of y"]
