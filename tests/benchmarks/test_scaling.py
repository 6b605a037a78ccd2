from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def test_scheduler_benchmark_runs_at_tiny_size(script: Callable[..., None], tmp_path: Path) -> None:
    script("scheduler_sim", "--runs", "50", "--workers", "1", "--to", tmp_path)
    script("scheduler_sim", "--runs", "50", "--workers", "8", "--to", tmp_path)
    found = json.loads((tmp_path / "results" / "scheduler.json").read_text())
    assert (found["runs"], [one["workers"] for one in found["workers"]]) == (50, [1, 8])
    alone, several = (one["longest_first"] for one in found["workers"])
    assert abs(alone["over_bound"]) < 1e-9  # one worker is never idle
    assert 0 <= several["over_bound"] < 0.34  # Graham's bound, with costs that are nearly right
    assert "With the workers: 50 runs" in (tmp_path / "SCALING.md").read_text()


def test_records_benchmark_runs_at_tiny_size(script: Callable[..., None], tmp_path: Path) -> None:
    script("records", "--records", "30", "--to", tmp_path)  # it ends early where verify finds a fault
    (found,) = json.loads((tmp_path / "results" / "records.json").read_text())["records"].values()
    assert found["report"]["cpu_seconds"] > 0
    assert {*found["megabytes"]} == {"html", "csv", "json", "md"}
    assert "## With the records" in (tmp_path / "SCALING.md").read_text()


def test_halving_benchmark_runs_at_tiny_size(script: Callable[..., None], tmp_path: Path) -> None:
    flags = ("--backbones", "tiny_cnn", "--seeds", "0", "--epochs", "2", "--n", "120")
    script("halving", *flags, "--to", tmp_path)
    found = json.loads((tmp_path / "results" / "halving.json").read_text())
    assert len(found["full"]["rows"]) == 3
    assert (len(found["halved"]["rows"]), found["halved"]["stopped"]) == (2, 1)
    assert "Halving ends with the row in place" in (tmp_path / "SCALING.md").read_text()
