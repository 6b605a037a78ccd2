"""The GPU benchmark's script, at tiny size on the CPU; its figures need a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_one_command_writes_one_json(equations: Path, tmp_path: Path) -> None:
    flags = ["--device", "cpu", "--backbones", "tiny_cnn", "--epochs", "1", "--data", str(equations)]
    subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh", tmp_path / "gpu.json", *flags],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHON": sys.executable},
    )
    result = json.loads((tmp_path / "gpu.json").read_text())
    (run,) = result["runs"]
    assert run["backbone"] == "tiny_cnn"
    assert run["train_images_per_second"] > 0
    assert 0 < run["fit_seconds"] < result["whole_command_seconds"]
    assert result["device"]
    assert result["versions"]["torch"]
