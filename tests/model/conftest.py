from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quadzoo.data.datamodule import DataModule
from quadzoo.data.splits import Split


@pytest.fixture
def data(tmp_path: Path) -> DataModule:
    """40 grey images, whose brightness is the target."""
    levels = np.random.default_rng(0).integers(0, 256, 40, dtype=np.uint8)
    np.save(tmp_path / "p.npy", np.repeat(levels, 64).reshape(40, 8, 8, 1))
    rows = np.arange(40)
    split = Split("x", 0, 1, rows[:24], rows[24:32], rows[32:], 0, "")
    return DataModule(tmp_path / "p.npy", levels[:, None] / 255, split, 8, seed=0)
