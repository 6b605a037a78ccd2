"""The GPU benchmark's script, at tiny size on the CPU; its figures need a GPU."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_one_command_writes_one_json(tmp_path: Path) -> None:
    subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh", tmp_path / "gpu.json", "--small"],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHON": sys.executable},
    )
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert result["versions"]["torch"]
    main_job = result["main job"]
    (run,) = main_job["runs"]
    assert run["backbone"] == "tiny_cnn"
    assert run["train_images_per_second"] > 0
    assert 0 < run["fit_seconds"] < main_job["whole_command_seconds"]
    assert main_job["device"]
    (speeds,) = result["the tutorial's loop, images per second of each epoch"].values()
    assert min(speeds) > 0
    assert [len(one["runs"]) for one in result["several runs, by --jobs"].values()] == [4, 4]
    cells = result["matrix"]["cells"]
    assert [cell["way"] for cell in cells] == ["no", "kernels", "graphs"]
    assert cells[0]["images_per_second"] > 0
    if shutil.which("g++"):
        assert cells[1]["images_per_second"] > 0
    assert result["matrix"]["not measured"] == []


def test_a_part_that_fails_costs_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    gpu = importlib.import_module("gpu")

    def fails(*_: object) -> None:
        raise subprocess.CalledProcessError(1, "peers.py")

    monkeypatch.setattr(gpu, "peer", fails)
    monkeypatch.setattr(gpu, "bench", lambda *_: "measured")
    monkeypatch.setattr(gpu, "matrix", lambda *_, **__: "measured, too")
    gpu.measure(tmp_path, tmp_path / "gpu.json", small=True)
    _, _, _, main_job, _, tutorial, _, matrix = json.loads((tmp_path / "gpu.json").read_text()).values()
    assert main_job == "measured"
    assert "exit status 1" in tutorial["failed"]
    assert matrix == "measured, too"


def test_cells_without_time_are_listed(script: Callable[..., None], tmp_path: Path) -> None:
    script(
        "matrix", "--backbones", "tiny_cnn", "--sizes", "24x64", "--batches", "8,256", "--images", 60,
        "--minutes", 0, "--device", "cpu", "--to", tmp_path / "matrix.json",
    )  # fmt: skip
    found = json.loads((tmp_path / "matrix.json").read_text())
    assert found["cells"] == []
    missing = [(cell["batch"], cell["way"]) for cell in found["not measured"]]
    assert missing == [(8, "no"), (256, "no"), (8, "kernels"), (8, "graphs"), (256, "kernels")]
