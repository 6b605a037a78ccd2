"""The GPU benchmark's script, at tiny size on the CPU; its figures need a GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpu
import gpu_report
import pytest

ROOT = Path(__file__).parents[2]


def gpu_sh(to: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh", to, *flags],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable, **environment},
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_one_command_writes_one_json(tmp_path: Path) -> None:
    done = gpu_sh(tmp_path / "gpu.json", "--small")
    result = json.loads((tmp_path / "gpu.json").read_text())
    failed = {name: part for name, part in result.items() if isinstance(part, dict) and "failed" in part}
    if not shutil.which("g++"):  # then nothing can be compiled
        failed.pop("bf16, --compile", None)
        failed.pop("other cells", None)
    assert failed == {}, done.stderr
    assert result["imports"]["versions"]["torch"]
    assert result["device"]["a convolution, forward and backward"] is True
    (run,) = result["main job"]["runs"]
    assert run["backbone"] == "tiny_cnn"
    assert run["train_images_per_second"] > 0
    assert 0 < run["fit_seconds"] < result["main job"]["whole_command_seconds"]
    assert min(result["the tutorial's loop, images per second of each epoch"]["tiny_cnn"]) > 0
    assert result["launches a step"]["tiny_cnn, batch 4"]["operators"] > 0
    assert [len(result[f"four runs, --jobs {n}"]["runs"]) for n in (1, 4)] == [4, 4]
    assert len(result["bf16, --compile"]["runs"][0]["curve"]) == 2
    again = [result[f"one seed, {which}"]["runs"][0]["test_mse"] for which in ("first", "again")]
    assert again[0] == again[1]
    (first,) = result["first cells"]["cells"]
    assert (first["way"], first["images_per_second"] > 0) == ("eager", True)
    assert [cell["way"] for cell in result["other cells"]["cells"]] == ["replayed", "compiled, replayed"]


def test_a_missing_package_is_told_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")\n")
    done = gpu_sh(tmp_path / "gpu.json", "--small", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert "torch" in result["imports"]["failed"]
    assert "ModuleNotFoundError: No module named 'torch'" in result["imports"]["tracebacks"]["torch"]
    assert "quadzoo.training.run" in result["imports"]["tracebacks"]
    assert "device" not in result  # nothing else could be measured


@pytest.fixture
def report(tmp_path: Path) -> gpu.Report:
    return gpu.Report(tmp_path / "gpu.json")


def written(report: gpu.Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report.to.read_text())
    return found


RECORD = {
    "status": "failed", "backbone": "resnet18", "head": "mlp", "seed": 0, "precision": "32",
    "precision_note": "", "environment": {}, "recipe": {"epochs": 5, "batch_size": 32},
    "image": {"size": [8, 8]}, "metrics": {"val_mse": None, "test_mse": None}, "cost": {}, "history": [],
    "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:09Z",
    "error": {"type": "OutOfMemory", "message": "lower", "traceback": "File run.py"},
}  # fmt: skip
FAILING = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--out") + 1]) / "runs" / "abc"
folder.mkdir(parents=True)
(folder / "record.json").write_text({record!r})
(folder / "run.log").write_text("the end of the run's log")
print("resnet18 failed", file=sys.stderr)
sys.exit(1)
"""


def test_a_failed_run_is_told_with_its_error_and_logs(
    monkeypatch: pytest.MonkeyPatch, report: gpu.Report, tmp_path: Path
) -> None:
    code = FAILING.format(record=json.dumps(RECORD))
    monkeypatch.setattr(gpu, "quadzoo", lambda *given: [sys.executable, "-c", code, *given])
    part = lambda seconds, _: gpu.bench(tmp_path / "out", seconds, tmp_path, "--seeds", "0")  # noqa: E731
    assert report.add("main job", part, 60) is False
    told = written(report)["main job"]
    assert told["failed"] == "exit status 1"
    assert told["runs"][0]["error"]["traceback"] == "File run.py"
    assert told["log"] == "resnet18 failed\n"
    assert told["logs_of_runs"] == {"abc": "the end of the run's log"}


SLOW = """
import subprocess, sys, time
print('{"first": 1}', flush=True)
print("about to wait", file=sys.stderr, flush=True)
subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"])
"""


def test_what_takes_too_long_is_ended_and_what_it_told_is_kept(
    monkeypatch: pytest.MonkeyPatch, report: gpu.Report, tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    monkeypatch.setattr(gpu, "HERE", tmp_path)
    monkeypatch.setattr(gpu_report, "LEAST", 0.1)
    seen: list[dict[str, Any]] = []

    def part(seconds: float, so_far: dict[str, Any]) -> object:
        def save() -> None:
            report.save()
            seen.append(written(report))

        return gpu.streamed("slow", [], tmp_path, seconds, so_far=so_far, save=save)

    clock = time.monotonic()
    assert report.add("slow", part, 4) is False
    assert time.monotonic() - clock < 30
    assert seen[0]["slow"] == {"first": 1}  # in the file before the part was over
    told = written(report)["slow"]
    assert told["first"] == 1
    assert told["failed"] == "not finished within 4 seconds"
    assert told["log"] == "about to wait\n"


def test_a_part_that_fails_costs_no_other(report: gpu.Report) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by nothing")

    assert report.add("broken", broken, 60) is False
    assert report.add("fine", lambda *_: {"images": 3}, 60) is True
    found = written(report)
    assert found["broken"]["failed"] == "ZeroDivisionError: by nothing"
    assert "in broken" in found["broken"]["traceback"]
    assert found["fine"] == {"images": 3}


def test_the_same_command_again_measures_what_is_missing(report: gpu.Report) -> None:
    report.add("imports", lambda *_: {"seconds": 1}, 60)
    report.add("fine", lambda *_: {"images": 3}, 60)
    report.add("late", lambda *_: {"failed": "no time left"}, 60)
    again = gpu.Report(report.to, earlier=gpu.earlier(report.to))
    assert again.add("imports", lambda *_: {"seconds": 2}, 60)
    assert again.add("fine", lambda *_: pytest.fail("measured again"), 60)
    assert again.add("late", lambda *_: {"images": 4}, 60)
    found = written(again)
    assert (found["imports"], found["fine"], found["late"]) == ({"seconds": 2}, {"images": 3}, {"images": 4})


def test_without_time_a_part_is_not_begun(report: gpu.Report) -> None:
    report.started -= 60 * gpu.MINUTES
    assert report.add("late", lambda *_: pytest.fail("begun"), 60) is False
    assert written(report)["late"] == {"failed": "no time left"}


def test_cells_that_tell_most_come_first() -> None:
    from matrix import in_order

    cells = in_order(["100x100", "32x200"], ["resnet50", "efficientnet_b0", "resnet18"], [512, 32, 128])
    first = [(32, "eager"), (32, "replayed"), (512, "eager"), (512, "compiled, replayed")]
    assert [(cell.backbone, cell.batch, cell.way) for cell in cells[: gpu.FIRST_CELLS]] == [
        (backbone, *one) for backbone in ("resnet50", "efficientnet_b0") for one in first
    ]
    assert {cell.size for cell in cells[: gpu.FIRST_CELLS]} == {"100x100"}
    assert len(cells) == len(set(cells)) == 2 * 3 * 3 * 3


def test_cells_without_time_are_listed(script: Callable[..., None], tmp_path: Path) -> None:
    script(
        "matrix", "--backbones", "tiny_cnn", "--sizes", "24x64", "--batches", "8,256", "--images", 60,
        "--minutes", 0, "--device", "cpu", "--to", tmp_path / "matrix.json",
    )  # fmt: skip
    found = json.loads((tmp_path / "matrix.json").read_text())
    assert found["cells"] == []
    missing = [(cell["batch"], cell["way"]) for cell in found["not measured"]]
    assert missing == [
        (8, "eager"), (8, "replayed"), (256, "eager"), (256, "replayed"),
        (8, "compiled, replayed"), (256, "compiled, replayed"),
    ]  # fmt: skip


def test_figures_of_a_gpu_stay_where_none_computes(report: gpu.Report) -> None:
    kept = {"device": {"gpu": {"name": "some GPU"}}, "ceilings": {"copy": 1.0}}
    report.to.write_text(json.dumps(kept))
    report.earlier.update(kept)
    assert not report.add("device", lambda *_: 1 / 0, 60)
    assert json.loads(report.to.read_text()) == kept
    report.found["device"] = {"gpu": {"name": "another"}}
    report.save()
    assert json.loads(report.to.read_text())["device"] == {"gpu": {"name": "another"}}
