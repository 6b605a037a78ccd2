"""The trials of learning rates, as they are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quadzoo.errors import DataError
from quadzoo.records.tuning import (
    Trial,
    TuningRecord,
    read_tuning,
    tuning_key,
    tuning_path,
    write_tuning,
)

from .test_keys import changed


def made(*trials: Trial) -> TuningRecord:
    return TuningRecord(
        key="k", backbone="net", head="mlp", fold=0, precision="32", seed=0, epochs=5, trials=list(trials)
    )


def test_round_trip(tmp_path: Path) -> None:
    written = made(Trial(lr=0.1, val_mse=0.5), Trial(lr=1.0, error="NonFiniteLoss: nan", diverged=True))
    assert read_tuning(tmp_path, "k") is None
    write_tuning(tmp_path, written)
    assert read_tuning(tmp_path, "k") == written


def test_the_best_has_the_lowest_val_mse_and_of_equals_the_lowest_rate() -> None:
    failed = Trial(lr=0.001, error="x")
    assert made(failed, Trial(lr=0.1, val_mse=0.3), Trial(lr=0.2, val_mse=0.2)).best == 0.2
    assert made(Trial(lr=0.2, val_mse=0.2), Trial(lr=0.1, val_mse=0.2), failed).best == 0.1
    assert made(failed).best is None
    assert [Trial(lr=1, error="x", diverged=flag).is_final for flag in (True, False)] == [True, False]


@pytest.mark.parametrize(
    "change",
    [
        {"key": "other"}, {"trials": [{"lr": 0.1}]}, {"trials": [{"lr": 0.1, "val_mse": 1, "error": "x"}]},
        {"trials": [{"lr": 0.1, "val_mse": float("nan")}]}, {"trials": [{"lr": 0.1, "val_mse": 1e31}]},
        {"trials": [{"lr": 0, "val_mse": 1}]}, {"trials": [{"lr": 0.1, "error": "x" * 1001}]},
        {"seed": 2**32}, {"seed": -1}, {"epochs": 0}, {"code": "print()"}, {"precision": "8"},
    ],
)  # fmt: skip
def test_what_anybody_wrote_there_is_checked(change: dict[str, Any], tmp_path: Path) -> None:
    write_tuning(tmp_path, made(Trial(lr=0.1, val_mse=0.5)))
    path = tuning_path(tmp_path, "k")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=r"k\.json: (not the trials|it has the trials of other)"):
        read_tuning(tmp_path, "k")


@pytest.mark.posix
def test_a_file_without_an_end_is_not_read(tmp_path: Path) -> None:
    path = tuning_path(tmp_path, "k")
    path.parent.mkdir()
    path.write_bytes(b" " * (2 << 20))
    with pytest.raises(DataError, match="cannot be read"):
        read_tuning(tmp_path, "k")
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match="cannot be read"):
        read_tuning(tmp_path, "k")


def test_all_seeds_share_a_search_and_nothing_else_does() -> None:
    variants = dict(changed())
    keys = {name: tuning_key(one) for name, one in variants.items()}
    seed = keys.pop("seed")
    assert seed not in keys.values()
    assert len({*keys.values()}) == len(keys)
    plain = tuning_key(next(iter(variants.values())))
    assert plain != seed
