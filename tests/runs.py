"""What a bench left, and a trained model of it, as tests want to look at them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


def records(out: Path) -> list[dict[str, Any]]:
    """All records of a results folder, as an outside reader would read them."""
    return [json.loads(path.read_text()) for path in sorted(out.glob("runs/*/record.json"))]


class Loaded(NamedTuple):
    """A trained model, ready to predict the images of its data."""

    task: Any
    fold: Any
    images: np.ndarray
    module: Any


def loaded(discs: Path, folder: Path) -> Loaded:
    """Load the model that a run on the discs left in a folder."""
    from quadzoo import api
    from quadzoo.training.run import build_module

    plan = api.plan(
        data=str(discs / "discs.csv"), images=discs / "photos", targets=("radius", "x"), id_column="file",
        init=str(folder), epochs=0,
    )  # fmt: skip
    (task,) = plan.tasks
    placement = plan.placement(task)
    return Loaded(
        task, plan.data.folds[0].fold, np.load(placement.images), build_module(task, placement).eval()
    )
