"""What does `--freeze` save? One backbone, four heads, three seeds: the grid against its runs one by one.

    python benchmarks/grid.py

It draws equations and times the whole command `quadzoo bench --freeze`, with an empty cache. Beside it, for
each head and the first seed, one process trains the same head on the same frozen backbone, for as many epochs
in the same precision, but computes the features of every batch again. Of these the training alone is timed,
not starting, testing or saving; the time of all seeds is taken to be that times their number. Nothing else
should run at the same time. It writes benchmarks/results/grid.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from quadzoo import api
from quadzoo.data.datamodule import DataModule
from quadzoo.data.equations import write_folder
from quadzoo.records.record import read_records
from quadzoo.targets import scale
from quadzoo.training.run import build_module, make_trainer

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--heads", default="mlp,linear,spatial,gaussian")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--to", type=Path, default=HERE / "results" / "grid.json")
    parser.add_argument("--alone", type=Path, help="train the one head on the data in this folder (internal)")
    arguments = parser.parse_args()
    if arguments.alone:
        print(alone(arguments.alone, arguments.backbone, arguments.heads, arguments.epochs))
        return
    heads, seeds = arguments.heads.split(","), arguments.seeds.split(",")
    shared = ["--backbone", arguments.backbone, "--epochs", str(arguments.epochs)]
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        write_folder(data, arguments.n, seed=0)
        os.environ["QUADZOO_CACHE_DIR"] = f"{scratch}/cache"
        clock = time.perf_counter()
        python(
            "-c", "from quadzoo.cli import main; main()", "bench", "--freeze", "--weights", "none",
            "--backbones", arguments.backbone, "--heads", arguments.heads, "--seeds", arguments.seeds,
            "--epochs", str(arguments.epochs), "--data", str(data), "--out", f"{scratch}/out",
        )  # fmt: skip
        grid = time.perf_counter() - clock
        records = read_records(Path(scratch) / "out")
        one_by_one = {
            head: float(python(__file__, "--alone", str(data), "--heads", head, *shared)) for head in heads
        }
    total = len(seeds) * sum(one_by_one.values())
    result = {
        "command": ["python", "benchmarks/grid.py", *sys.argv[1:]],
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": records[0].environment.device_name,
        "threads": records[0].environment.threads,
        "python": sys.version.split()[0],
        "torch": version("torch"),
        "backbone": arguments.backbone,
        "precision": records[0].precision,
        "image": records[0].image.size,
        "images": arguments.n,
        "epochs": arguments.epochs,
        "runs": len(records),
        "fit_seconds": {f"{one.head} {one.seed}": one.cost.fit_seconds for one in records},
        "grid_seconds": grid,
        "one_by_one_seconds": one_by_one,
        "ratio": total / grid,
    }
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    arguments.to.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def python(*arguments: str) -> str:
    """Return what a Python process prints."""
    done = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def alone(folder: Path, backbone: str, head: str, epochs: int) -> float:
    """Train a head on a frozen backbone, computing the features of every batch anew; validate each epoch.

    Return the seconds of the training.
    """
    plan = api.plan(
        backbones=(backbone,), heads=(head,), data=str(folder), weights="none", epochs=epochs, freeze=True
    )
    (task,), fold = plan.tasks, plan.data.folds[0].fold
    placement = plan.placement(task)
    torch.manual_seed(task.seed)
    module, trainer = build_module(task, placement), make_trainer(task, placement, [])
    device = trainer.strategy.root_device
    targets = scale(fold.targets, task.unit)
    datamodule = DataModule(placement.images, targets, fold.split, task.recipe.batch_size, task.seed)
    module.to(device).eval()
    optimizer = torch.optim.AdamW(module.head.parameters(), lr=task.recipe.lr)

    def answered(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            features = module.features(images.to(device)).float()
        raw: torch.Tensor = module.head(features)
        return raw

    clock = time.perf_counter()
    for _ in range(epochs):
        for images, target in datamodule.train_dataloader():
            optimizer.zero_grad()
            module.head.loss(answered(images), target.to(device)).backward()
            optimizer.step()
        with torch.no_grad():
            for images, _ in datamodule.val_dataloader():
                module.head.predict(answered(images)).cpu()
    return time.perf_counter() - clock


if __name__ == "__main__":
    main()
