"""The spread of a head, from training to intervals."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import quadzoo as package
from quadzoo.inference.intervals import Intervals
from tests.runs import loaded, records


def test_the_gaussian_head_makes_intervals_of_unequal_widths(
    discs: Path, quadzoo: Callable[..., Any], tmp_path: Path
) -> None:
    done = quadzoo(
        "bench", "--data", discs / "discs.csv", "--images", discs / "photos", "--targets", "radius,x",
        "--id-column", "file", "--backbones", "tiny_cnn", "--heads", "gaussian", "--weights", "none",
        "--epochs", "1", "--precision", "32", "--out", tmp_path,
    )  # fmt: skip
    assert done.status == 0
    (record,) = records(tmp_path)
    folder = tmp_path / "runs" / record["key"]
    table = pd.read_csv(folder / "predictions.csv")
    model = loaded(discs, folder)
    unit = model.task.unit  # that the head learns in: standard deviations, by this data set's
    ranges = np.array(unit.high) - np.array(unit.low)
    for side, rows in (("val", model.fold.split.val), ("test", model.fold.split.test)):
        images = torch.from_numpy(model.images[rows]).permute(0, 3, 1, 2)
        with torch.no_grad():
            variance = model.module(images)[:, :, 1].double().numpy()
        written = table.loc[table["split"] == side, ["radius_spread", "x_spread"]].to_numpy()
        assert np.allclose(written, np.sqrt(variance) * ranges, rtol=1e-4)
        assert len(np.unique(written)) > len(rows)

    found = Intervals.of(folder, 0.8)
    val = table[table["split"] == "val"]
    rank = -(-80 * (len(val) + 1) // 100) - 1
    for place, target in enumerate(("radius", "x")):
        scores = np.sort((val[target] - val[f"{target}_pred"]).abs() / val[f"{target}_spread"])
        assert np.isclose(found.half_widths[""][place], scores[rank])

    test = table[table["split"] == "test"]
    with warnings.catch_warnings():  # it has hardly been trained, and its predictions are far off
        warnings.simplefilter("ignore")
        read = package.load(folder).predict([discs / "photos" / f"{one}.png" for one in test["id"]], 0.8)
    for place, target in enumerate(("radius", "x")):
        half = found.half_widths[""][place] * test[f"{target}_spread"].to_numpy()
        assert np.allclose(read[f"{target}_high"] - read[target], half, rtol=1e-3)
        assert np.allclose(read[target] - read[f"{target}_low"], half, rtol=1e-3)
