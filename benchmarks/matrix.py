"""How fast does training go with each backbone, size and batch: eager, compiled, and as CUDA graphs?

    python benchmarks/matrix.py --minutes 6

Every cell of the matrix is a run of quadzoo with a process of its own, three short epochs long, on drawn
equations that were decoded once. The cells most worth knowing come first: eager at the first size, then
compiled there, then the other sizes; graphs only for small batches. When the minutes are over, the rest is
listed as not measured. It writes results/matrix.json, after every cell: images/s without validation, peak
memory and seconds of each cell, device and versions. A GPU is what it is for; `--device cpu` works too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from quadzoo.cli.display import Display
from quadzoo.data.equations import write_folder
from quadzoo.executors.local import Executor
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.plan import Precision, RunPlan
from quadzoo.grid.probe import find_device
from quadzoo.grid.runner import plan_bench
from quadzoo.records.record import Compiled, read_record, run_folder

HERE = Path(__file__).parent
PRECISION: Precision = "bf16"
EPOCHS, STEPS, TESTED = 3, 30, 128
WAYS: tuple[Compiled, ...] = ("no", "kernels", "graphs")
LARGEST_GRAPHED = 128  # images a batch
LIMIT = 150.0  # seconds for a cell


@dataclass(frozen=True)
class Cell:
    """One thing to measure."""

    size: str
    backbone: str
    batch: int
    way: Compiled


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", default="resnet50,efficientnet_b0,resnet18")
    parser.add_argument("--sizes", default="100x100,96x96,32x200")
    parser.add_argument("--batches", default="512,32,128,1024")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--to", type=Path, default=HERE / "results" / "matrix.json")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    sizes, backbones = arguments.sizes.split(","), arguments.backbones.split(",")
    cells = in_order(sizes, backbones, [int(batch) for batch in arguments.batches.split(",")])
    executor = Executor()
    measured: list[dict[str, object]] = []
    told = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": find_device(executor, arguments.device).name,
        "versions": {name: version(name) for name in ("torch", "torchvision", "timm", "pytorch-lightning")},
        "precision": PRECISION,
        "steps an epoch, at most": STEPS,
        "cells": measured,
    }

    def save() -> None:
        rest = {"not measured": [asdict(cell) for cell in cells]}
        arguments.to.write_text(json.dumps(told | rest, indent=1) + "\n")

    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    save()
    with tempfile.TemporaryDirectory() as scratch, Display() as display:
        write_folder(Path(scratch) / "data", arguments.images, seed=0)
        plans: dict[str, dict[str, RunPlan]] = {}
        while cells and time.monotonic() < end:
            cell = cells.pop(0)
            if cell.size not in plans:
                config = BenchConfig(
                    backbones=tuple(backbones), data=f"{scratch}/data", weights="none", resize="stretch",
                    image_size=cell.size, device=arguments.device, precision=PRECISION, out=Path(scratch),
                )  # fmt: skip
                plans[cell.size] = {run.backbone: run for run in plan_bench(config, executor, display).runs}
            plan = plans[cell.size][cell.backbone]
            measured.append({**asdict(cell), **measure(cell, plan, executor, end)})
            print(json.dumps(measured[-1]), flush=True)
            save()


def in_order(sizes: list[str], backbones: list[str], batches: list[int]) -> list[Cell]:
    """Return all cells, those most worth knowing first."""
    cells = (Cell(*one) for one in itertools.product(sizes, backbones, batches, WAYS))
    worth = [cell for cell in cells if cell.way != "graphs" or cell.batch <= LARGEST_GRAPHED]
    return sorted(worth, key=lambda cell: (cell.size != sizes[0], cell.way != "no"))


def measure(cell: Cell, plan: RunPlan, executor: Executor, end: float) -> dict[str, object]:
    """Train a cell, on no more images than its steps need; return its figures, or why there are none."""
    split = plan.data.split
    few = replace(
        split, train=split.train[: STEPS * cell.batch], val=split.val[:TESTED], test=split.test[:TESTED]
    )
    key = "-".join(str(part) for part in asdict(cell).values())
    recipe = plan.recipe.model_copy(update={"epochs": EPOCHS, "batch_size": cell.batch})
    run = replace(plan, key=key, recipe=recipe, compiled=cell.way, data=replace(plan.data, split=few))
    folder = run_folder(run.out, key)
    folder.mkdir(parents=True)
    clock = time.monotonic()
    child = executor.start("quadzoo.training.run:run", run, folder / "run.log")
    child.process.join(max(1.0, min(LIMIT, end - clock)))
    if not child.ended:
        child.kill()
        return {"failed": "no time left"}
    record = read_record(run.out, key)
    if record is None:
        return {"failed": child.fate()}
    if record.error:
        return {"failed": f"{record.error.type}: {record.error.message}"[:300]}
    return {
        "images_per_second": record.cost.train_images_per_second,
        "peak_memory_mb": record.cost.peak_memory_mb,
        "whole_seconds": time.monotonic() - clock,
    }


if __name__ == "__main__":
    main()
