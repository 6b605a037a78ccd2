"""Runs of several kinds, each trained once for all tests here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import quadzoo
from quadzoo.records.record import RunRecord
from tests.data.kinds import bands, tiff, write_set

SHARED = {"backbones": ["tiny_cnn"], "weights": "none", "epochs": 2, "batch_size": 8}


@pytest.fixture
def out(disc_runs: Path) -> Path:
    """The results folder of two heads with two seeds each."""
    return disc_runs


@pytest.fixture(scope="session")
def deep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of images of 16 bits in five bands, and the run of a frozen backbone on four of them."""
    folder = tmp_path_factory.mktemp("deep")
    table = write_set(
        folder, ".tif", lambda radius, index: tiff(bands(radius, index, 5, 4).astype(np.uint16) * 40), 30
    )
    quadzoo.bench(
        **SHARED, heads=["linear"], recipe={"freeze": True, "frozen_features": "standardised"},
        data=str(table), images=folder / "img", targets=["y"],
        bands=[4, 2, 1, 5], precision="32", out=folder / "results",
    )  # fmt: skip
    (run,) = (folder / "results" / "runs").iterdir()
    return folder / "img", run


@pytest.fixture(scope="session")
def halved(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in bf16."""
    folder = tmp_path_factory.mktemp("bf16")
    quadzoo.bench(
        **SHARED, heads=["mlp"], data=str(discs / "discs.csv"), images=discs / "photos", targets=["radius"],
        id_column="file", precision="bf16", out=folder,
    )  # fmt: skip
    (run,) = (folder / "runs").iterdir()
    return run


@pytest.fixture
def run_of(out: Path) -> Callable[..., Path]:
    """Return the folder of the run with a head and a seed."""

    def find(head: str, seed: int = 0) -> Path:
        for folder in sorted((out / "runs").iterdir()):
            record = record_of(folder)
            if (record["head"], record["seed"]) == (head, seed):
                return folder
        raise LookupError(head, seed)

    return find


def record_of(folder: Path) -> dict[str, Any]:
    """A run's record, as an outside reader would read it."""
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a record as somebody who knows how its key is made."""
    fields = record_of(folder)
    change(fields)
    fields["key"] = RunRecord.model_validate(fields).identity.key
    (folder / "record.json").write_text(json.dumps(fields))
