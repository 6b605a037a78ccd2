"""Intervals around predictions of new images, against other code."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import quadzoo as package
from quadzoo.errors import DataError

Find = Callable[..., Path]
TARGETS = ["radius", "x"]


def side(runs: Sequence[Path], name: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Truth and mean prediction of the runs for one side, (N, 2) each, and the ids."""
    tables = [pd.read_csv(run / "predictions.csv") for run in runs]
    tables = [table[table["split"] == name] for table in tables]
    predictions = np.mean([table[[f"{one}_pred" for one in TARGETS]].to_numpy() for table in tables], axis=0)
    return tables[0][TARGETS].to_numpy(), predictions, tables[0]["id"].tolist()


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_half_a_width_is_a_quantile_of_the_val_residuals(
    seeds: list[int], run_of: Find, out: Path, discs: Path
) -> None:
    runs = [run_of("linear", seed) for seed in seeds]
    truth, prediction, _ = side(runs, "val")
    sizes = np.sort(np.abs(prediction - truth), axis=0)
    half = sizes[int(np.ceil(0.8 * (len(sizes) + 1))) - 1]
    _, expected, ids = side(runs, "test")
    model = package.load(",".join(map(str, runs)), out)
    found = model.predict([discs / "photos" / f"{one}.png" for one in ids], interval=0.8)
    assert [*found][:3] == ["id", *TARGETS]
    assert {*found} >= {f"{target}_{end}" for target in TARGETS for end in ("low", "high", "joint_low")}
    for place, target in enumerate(TARGETS):
        assert np.allclose(found[target], expected[:, place], atol=1e-4)
        assert np.allclose(found[f"{target}_low"], found[target] - half[place], atol=1e-4)
        assert np.allclose(found[f"{target}_high"], found[target] + half[place], atol=1e-4)


def test_too_few_val_images(run_of: Find, discs: Path) -> None:
    run = run_of("linear")
    n_val = len(side([run], "val")[2])
    image = next((discs / "photos").iterdir())
    with pytest.raises(DataError, match=f"needs at least 99 val images, there are {n_val}; choose a lower"):
        package.load(run).predict(image, interval=0.99)


def test_a_model_without_val_predictions(discs: Path, quadzoo: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("quadzoo_reader")
    image = next((discs / "photos").iterdir())
    done = quadzoo("predict", "reader-equations", image, "--interval", 0.9)
    assert done.status == 2
    assert "intervals are calibrated on the val predictions" in done.error
    assert len(done.error) <= 300


def test_the_command_line(run_of: Find, discs: Path, quadzoo: Callable[..., Any], tmp_path: Path) -> None:
    """Also where some images cannot be read: they have no interval."""
    (tmp_path / "bad.png").write_bytes(b"no image")
    image = next((discs / "photos").iterdir())
    arguments = ("predict", run_of("linear"), image, tmp_path / "bad.png", "--interval", "0.8")
    done = quadzoo(*arguments, "--csv", tmp_path / "t.csv")
    assert done.status == 1
    good, bad = pd.read_csv(tmp_path / "t.csv").to_dict("records")
    assert good["x_low"] < good["x"] < good["x_high"]
    assert good["x_joint_low"] <= good["x_low"]
    assert np.isnan(bad["x_low"])
    rows = json.loads(quadzoo(*arguments, "--json").out)["predictions"]
    assert rows[1]["x_high"] is None
    assert "x 80% interval" in quadzoo(*arguments).out
