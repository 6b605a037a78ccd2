"""Which runs `best` and `ensemble` stand for, and what a bench recommends at its end."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quadzoo.errors import QuadzooError
from quadzoo.report.winner import chosen, next_step
from tests.report.records import board_of, predict, record


def write(out: Path, key: str, size: float, *, fold: int = 0, folds: int = 1, **changes: object) -> None:
    errors = np.random.default_rng(int(key[-2:], 16)).normal(0, size, 20)
    one = record(key, float((errors**2).mean()) / 100, **changes)
    one.split.fold, one.split.folds = fold, folds
    board_of(out, one)
    predict(out, key, errors, val=errors)
    path = out / "runs" / key / "predictions.csv"
    table = pd.read_csv(path)  # each fold has images of its own
    table.assign(id=[f"{fold} {one}" for one in table["id"]]).to_csv(path, index=False)


def test_of_a_winner_the_command_is_told(tmp_path: Path) -> None:
    out = tmp_path / "my results"
    for seed, size in enumerate((0.3, 0.1, 0.2)):
        write(out, f"a{seed}", size, backbone="good", seed=seed)
        write(out, f"b{seed}", 1.0, backbone="bad", seed=seed)
    board = board_of(out)
    text = next_step(board, out)
    assert text == f"to use good + mlp on new images: quadzoo predict a1 IMAGES --out '{out}'"
    assert shlex.split(text.split(": ")[1])[-1] == str(out)
    assert next_step(board, Path("results")).endswith("quadzoo predict a1 IMAGES")
    found = chosen("best", out)
    assert found.runs == [(out / "runs" / "a1", 1.0)]
    assert found.told == "best is good + mlp, seed 1: run a1"
    assert found.warnings == []


def test_of_several_folds_the_models_of_all_are_averaged(tmp_path: Path) -> None:
    for seed, size in enumerate((0.3, 0.1)):
        for fold in range(2):
            write(tmp_path, f"{seed}{fold}", size, seed=seed, fold=fold, folds=2)
    found = chosen("best", tmp_path)
    assert [folder.name for folder, _ in found.runs] == ["10", "11"]
    assert next_step(board_of(tmp_path), tmp_path).split()[-4] == "10,11"


def test_of_several_folds_the_weights_of_an_ensemble_are_shared(tmp_path: Path) -> None:
    for seed in range(3):
        for fold in range(2):
            write(tmp_path, f"{seed}{fold}", 1.0, seed=seed, fold=fold, folds=2)
    runs = chosen("ensemble", tmp_path).runs
    assert len(runs) > 2
    for fold in "01":
        assert sum(weight for folder, weight in runs if folder.name[1] == fold) == pytest.approx(0.5)


def test_what_beats_nothing_is_not_recommended(tmp_path: Path) -> None:
    write(tmp_path, "a0", 20.0)
    assert next_step(board_of(tmp_path), tmp_path).startswith("No network beats always predicting the mean")
    assert chosen("best", tmp_path).warnings[0].startswith("No network beats always predicting the mean")


def test_an_incomplete_row_is_warned_of(tmp_path: Path) -> None:
    write(tmp_path, "a0", 0.1)
    board_of(tmp_path, record("a1", None, seed=1))
    assert chosen("best", tmp_path).warnings == [
        "no row is complete: runs of net + mlp failed or are missing, so it may not be the best"
    ]


def test_where_there_is_nothing_to_choose_from(tmp_path: Path) -> None:
    write(tmp_path, "a0", 0.1)
    with pytest.raises(QuadzooError, match=r"^ensemble: .* has none, since no mean of its runs"):
        chosen("ensemble", tmp_path)
    (tmp_path / "runs" / "a0" / "predictions.csv").unlink()
    with pytest.raises(QuadzooError, match=r"no finished run of .* has predictions to judge it by"):
        chosen("best", tmp_path)
    (tmp_path / "runs" / "a0" / "record.json").write_text("{}")
    with pytest.raises(QuadzooError, match="has no run that can be read"):
        chosen("best", tmp_path)
