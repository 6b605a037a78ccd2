"""Large results folders without any training: planned as a bench plans, with made-up predictions.

Everything else is real: keys, splits, baselines, scores, hashes of files. So `quadzoo report`, `verify` and
`bench --dry-run` take them for the results of a bench. `records.py`, `scheduler_sim.py` and `page.py` use it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from quadzoo.api import config_of
from quadzoo.data.equations import write_folder
from quadzoo.executors.base import Executor
from quadzoo.executors.local import LocalExecutor
from quadzoo.grid.observer import Silent
from quadzoo.grid.plan import Plan
from quadzoo.grid.ridge import with_ridge
from quadzoo.grid.runner import plan_bench
from quadzoo.metrics import scores_of
from quadzoo.records import predictions
from quadzoo.records.record import (
    PREDICTIONS,
    RECORD,
    WEIGHTS,
    Cost,
    Epoch,
    Metrics,
    RunRecord,
    json_of,
    run_folder,
)
from quadzoo.training.outcome import record_of
from quadzoo.training.task import Placement, Task

HEADS = ("mlp", "linear", "skip", "integer", "spatial")
IMAGES = 1000
EPOCHS = 20

PLUGIN = '''"""Backbones for measurements: as many as are asked for, all alike."""
from quadzoo import BackboneSpec, hookimpl

def build(*, pretrained, in_channels, image_size):
    raise RuntimeError("this backbone is never built")

@hookimpl
def register_backbones():
    return [BackboneSpec(name=f"net_{{number:04d}}", build=build, revision="1") for number in range({n})]
'''


def plan_of(
    scratch: Path, rows: int, seeds: int, *, jobs: int = 1, images: int = IMAGES, out: Path | None = None,
    executor: Executor | None = None,
) -> Plan:  # fmt: skip
    """Return the plan of ``rows`` combinations × ``seeds`` on drawn equations, with baselines.

    Data and plugin are written to ``scratch`` unless they are there, results are for ``out``.
    """
    data, out = scratch / "data", out or scratch / "results"
    if not data.exists():
        write_folder(data, images, seed=0)
    executor = executor or LocalExecutor()
    plan = plan_bench(config_of(**flags_of(scratch, rows, seeds), jobs=jobs, out=out), executor, Silent())
    return with_ridge(plan, executor, Silent())


def flags_of(scratch: Path, rows: int, seeds: int) -> dict[str, object]:
    """Return the parameters of `quadzoo.bench` that `plan_of` plans; the plugin is written to ``scratch``."""
    heads = HEADS[: min(rows, len(HEADS))]
    backbones = -(-rows // len(heads))
    plugin = scratch / "nets.py"
    plugin.write_text(PLUGIN.format(n=backbones))
    return {
        "backbones": [f"net_{number:04d}" for number in range(backbones)],
        "heads": list(heads),
        "seeds": list(range(seeds)),
        "data": str(scratch / "data"),
        "plugin": [plugin],
        "weights": "none",
        "precision": "32",
        "epochs": EPOCHS,
    }


def write_results(plan: Plan) -> None:
    """Write a record and predictions for each task that is to do."""
    placements: dict[int, Placement] = {}
    for number, task in enumerate(plan.to_do):
        fold = task.split.fold
        if fold not in placements:
            placements[fold] = plan.placement(task)
        write_run(plan, task, placements[fold], number)


def write_run(plan: Plan, task: Task, placement: Placement, number: int) -> RunRecord:
    """Write the run of a task with made-up predictions, the ``number``-th of a bench; return its record."""
    fold = plan.data.fold_of(task)
    rng = np.random.default_rng([number, task.seed])
    steady = np.random.default_rng(int(task.identity.combination[:8], 16))
    quality = float(np.exp(steady.normal(0, 0.5)))  # a row is as good as it is, whatever its seed
    sides = []
    for side in (fold.split.val, fold.split.test):
        truth = fold.targets[side]
        noise = steady.normal(0, 1, truth.shape) + rng.normal(0, 0.3, truth.shape)
        ranges = np.subtract(task.targets.high, task.targets.low)
        sides.append(truth + 0.05 * quality * noise * ranges)
    val, test = sides
    table = predictions.of_fold(fold, task.targets.names, val, test)
    metrics = Metrics.of(
        scores_of(val, fold.targets[fold.split.val], task.targets),
        scores_of(test, fold.targets[fold.split.test], task.targets),
    )
    curve = metrics.val_mse * (1 + 9 / np.arange(1, task.epochs + 1))
    record = record_of(
        task,
        placement,
        datetime.now(UTC),
        metrics=metrics,
        cost=Cost(
            params=int(1e6 * quality), gmacs=0.1, fit_seconds=60 * quality, latency_ms=2 / quality,
            train_images_per_second=500 / quality,
        ),
        best_epoch=task.epochs,
        history=[Epoch(train_mse=float(one), val_mse=float(one)) for one in curve],
        files={PREDICTIONS: hashlib.sha256(table).hexdigest(), WEIGHTS: "0" * 64},
    )  # fmt: skip
    # One after the other: on one device no two were under way at a time.
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    record = record.model_copy(update={"started": start, "finished": start + timedelta(seconds=50)})
    folder = run_folder(placement.out, task.key)
    folder.mkdir(parents=True)
    (folder / PREDICTIONS).write_bytes(table)
    (folder / RECORD).write_bytes(json_of(record))
    return record


def as_flags(parameters: dict[str, object]) -> list[str]:
    """Return parameters as the command line takes them."""
    words: list[str] = []
    for name, value in parameters.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words += [f"--{name.replace('_', '-')}", text]
    return words
