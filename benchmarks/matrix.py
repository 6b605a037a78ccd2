"""How fast does training go with each backbone, size and batch: eager, replayed as a graph, and compiled?

    python benchmarks/matrix.py --minutes 6

Every cell of the matrix is a run of quadzoo with a process of its own, three short epochs long, on drawn
equations that were decoded once; where its steps need more images than there are, images come again. The
cells that tell most come first: at the first size each backbone at 32 images a batch, eager and replayed,
and at 512, eager and compiled; then the rest of that size. When the minutes are over, the rest is listed as
not measured. It writes results/matrix.json, and prints a line of JSON, after every cell: images/s without
validation, peak memory and seconds, or the error and the end of the log; device and versions. It is meant for
a GPU; `--device cpu` works too.
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

import numpy as np

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
WAYS: dict[str, tuple[Compiled, bool]] = {  # whether kernels are compiled, and steps replayed
    "eager": ("no", False), "replayed": ("no", True), "compiled, replayed": ("kernels", True),
}  # fmt: skip
LIMIT = 90.0  # seconds for a cell
TAIL = 3000  # characters of a failed cell's log
FIRST = ((32, "eager"), (32, "replayed"), (512, "eager"), (512, "compiled, replayed"))


@dataclass(frozen=True)
class Cell:
    """One thing to measure."""

    size: str
    backbone: str
    batch: int
    way: str


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", default="resnet50,efficientnet_b0,resnet18")
    parser.add_argument("--sizes", default="100x100,96x96,32x200")
    parser.add_argument("--batches", default="512,32,128,1024")
    parser.add_argument("--images", type=int, default=2000, help="to draw, without --data")
    parser.add_argument("--data", help="a folder in the published layout")
    parser.add_argument("--skip", type=int, default=0, help="so many cells at the beginning are left out")
    parser.add_argument("--most", type=int, help="so many cells, and no more")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--to", type=Path, default=HERE / "results" / "matrix.json")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    sizes, backbones = arguments.sizes.split(","), arguments.backbones.split(",")
    cells = in_order(sizes, backbones, [int(batch) for batch in arguments.batches.split(",")])
    cells = cells[arguments.skip :][: arguments.most]
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
        data = arguments.data or f"{scratch}/data"
        if not arguments.data:
            write_folder(Path(data), arguments.images, seed=0)
        plans: dict[str, Plan] = {}
        while cells and time.monotonic() < end:
            cell = cells.pop(0)
            if cell.size not in plans:
                plans[cell.size] = api.plan(
                    backbones=backbones, data=data, weights="none", resize="stretch",
                    image_size=cell.size, device=arguments.device, precision=PRECISION, out=Path(scratch),
                    progress=True,
                )  # fmt: skip
            measured.append({**asdict(cell), **measure(cell, plans[cell.size], executor, end)})
            print(json.dumps(measured[-1]), flush=True)
            save()


def in_order(sizes: list[str], backbones: list[str], batches: list[int]) -> list[Cell]:
    """Return all cells, those that tell most first."""
    cells = [Cell(*one) for one in itertools.product(sizes, backbones, batches, WAYS)]

    def place(cell: Cell) -> tuple[object, ...]:
        kind = cell.batch, cell.way
        later = cell.size != sizes[0], kind not in FIRST
        if any(later):
            return *later, "compiled" in cell.way
        return *later, backbones.index(cell.backbone), FIRST.index(kind)

    return sorted(cells, key=place)


def measure(cell: Cell, plan: Plan, executor: LocalExecutor, end: float) -> dict[str, object]:
    """Train a cell, on no more images than its steps need; return its figures, or why there are none."""
    (whole,) = (task for task in plan.tasks if task.backbone == cell.backbone)
    recipe = whole.recipe.model_copy(update={"epochs": EPOCHS, "batch_size": cell.batch})
    task = replace(whole, identity=replace(whole.identity, recipe=recipe))
    out = plan.config.out / cell.way.replace(", ", "-")  # the way is not in the key
    folder = run_folder(out, task.key)
    folder.mkdir(parents=True)
    compiled, replay = WAYS[cell.way]
    placement = replace(
        plan.placement(task), compiled=compiled, replay=replay, out=out, fold=folder / "fold.npz"
    )
    shortened(plan.data.folds[0].fold, cell).save(placement.fold)
    clock = time.monotonic()
    job = executor.submit("quadzoo.training.run:run", (task, placement), folder / "run.log")
    job.wait(max(1.0, min(LIMIT, end - clock)))
    if not job.ended:
        job.cancel()
        why = "no time left" if time.monotonic() > end - 1 else f"not finished within {LIMIT:.0f} seconds"
        return {"failed": why, "log": job.log_tail(TAIL)}
    record = read_record(out, task.key)
    if record is None:
        return {"failed": job.exit_reason(), "log": job.log_tail(TAIL)}
    if record.error:
        why = f"{record.error.type}: {record.error.message}"[:300]
        return {"failed": why, "traceback": record.error.traceback[-TAIL:], "log": job.log_tail(TAIL)}
    return {
        "images_per_second": record.cost.train_images_per_second,
        "was replayed": record.environment.replayed,
        "peak_memory_mb": record.cost.peak_memory_mb,
        "whole_seconds": time.monotonic() - clock,
    }


def shortened(fold: Fold, cell: Cell) -> Fold:
    """Return the fold with as many images as the steps of a cell need; some come several times."""
    split = fold.split
    train = np.resize(split.train, STEPS * cell.batch)
    return replace(fold, split=replace(split, train=train, val=split.val[:TESTED], test=split.test[:TESTED]))


if __name__ == "__main__":
    main()
