"""How fast does training go with each backbone, size and batch: eager, compiled, and as CUDA graphs?

    python benchmarks/matrix.py --minutes 6

Every cell of the matrix is a run of quadzoo with a process of its own, three short epochs long, on drawn
equations that were decoded once. The cells that tell most come first: eager at the first size, then
compiled there, then the other sizes; graphs only for small batches. When the minutes are over, the rest is
listed as not measured. It writes results/matrix.json, after every cell: images/s without validation, peak
memory and seconds of each cell, device and versions. It is meant for a GPU; `--device cpu` works too.
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

from quadzoo import api
from quadzoo.data.equations import write_folder
from quadzoo.data.fold import Fold
from quadzoo.executors.local import LocalExecutor
from quadzoo.grid.devices import find_device
from quadzoo.grid.plan import Plan
from quadzoo.records.record import Compiled, Precision, read_record, run_folder

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
    executor = LocalExecutor()
    measured: list[dict[str, object]] = []
    result = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": find_device(executor, arguments.device).name,
        "versions": {name: version(name) for name in ("torch", "torchvision", "timm", "pytorch-lightning")},
        "precision": PRECISION,
        "steps an epoch, at most": STEPS,
        "cells": measured,
    }

    def save() -> None:
        rest = {"not measured": [asdict(cell) for cell in cells]}
        arguments.to.write_text(json.dumps(result | rest, indent=1) + "\n")

    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    save()
    with tempfile.TemporaryDirectory() as scratch:
        write_folder(Path(scratch) / "data", arguments.images, seed=0)
        plans: dict[str, Plan] = {}
        while cells and time.monotonic() < end:
            cell = cells.pop(0)
            if cell.size not in plans:
                plans[cell.size] = api.plan(
                    backbones=backbones, data=f"{scratch}/data", weights="none", resize="stretch",
                    image_size=cell.size, device=arguments.device, precision=PRECISION, out=Path(scratch),
                    progress=True,
                )  # fmt: skip
            measured.append({**asdict(cell), **measure(cell, plans[cell.size], executor, end)})
            print(json.dumps(measured[-1]), flush=True)
            save()


def in_order(sizes: list[str], backbones: list[str], batches: list[int]) -> list[Cell]:
    """Return all cells, those that tell most first."""
    cells = (Cell(*one) for one in itertools.product(sizes, backbones, batches, WAYS))
    worth = [cell for cell in cells if cell.way != "graphs" or cell.batch <= LARGEST_GRAPHED]
    return sorted(worth, key=lambda cell: (cell.size != sizes[0], cell.way != "no"))


def measure(cell: Cell, plan: Plan, executor: LocalExecutor, end: float) -> dict[str, object]:
    """Train a cell, on no more images than its steps need; return its figures, or why there are none."""
    (whole,) = (task for task in plan.tasks if task.backbone == cell.backbone)
    recipe = whole.recipe.model_copy(update={"epochs": EPOCHS, "batch_size": cell.batch})
    task = replace(whole, identity=replace(whole.identity, recipe=recipe))
    out = plan.config.out / cell.way  # the way is not in the key
    folder = run_folder(out, task.key)
    folder.mkdir(parents=True)
    placement = replace(plan.placement(task), compiled=cell.way, out=out, fold=folder / "fold.npz")
    shortened(plan.data.folds[0].fold, cell).save(placement.fold)
    clock = time.monotonic()
    job = executor.submit("quadzoo.training.run:run", (task, placement), folder / "run.log")
    job.wait(max(1.0, min(LIMIT, end - clock)))
    if not job.ended:
        job.cancel()
        return {"failed": "no time left"}
    record = read_record(out, task.key)
    if record is None:
        return {"failed": job.exit_reason()}
    if record.error:
        return {"failed": f"{record.error.type}: {record.error.message}"[:300]}
    return {
        "images_per_second": record.cost.train_images_per_second,
        "peak_memory_mb": record.cost.peak_memory_mb,
        "whole_seconds": time.monotonic() - clock,
    }


def shortened(fold: Fold, cell: Cell) -> Fold:
    """Return the fold with no more images than the steps of a cell need."""
    split = fold.split
    few = replace(
        split, train=split.train[: STEPS * cell.batch], val=split.val[:TESTED], test=split.test[:TESTED]
    )
    return replace(fold, split=few)


if __name__ == "__main__":
    main()
