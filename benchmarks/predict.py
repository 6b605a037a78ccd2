"""Claim: `quadzoo predict` reads images in at most 1.5 times the time of the bench's own test pass.

    python benchmarks/predict.py --data FOLDER --n 2000 --turns 5

reads the published images with reader-equations, which must be installed, on the CPU. By turns it times the
test pass of a bench, `Trainer.test` on images that are decoded already, and `Model.predict`, which decodes
them from their files; both have their network loaded, and warm up before. It writes the seconds of each turn,
the median of their ratios, how many images were read right, and by how much this process's memory grew over
the turns, to results/predict.json; so that one sees what bounds it, also the seconds of decoding alone.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from quadzoo import api
from quadzoo.data.datamodule import DataModule
from quadzoo.data.equations import DETAILS_CSV, IMAGES, TARGETS
from quadzoo.data.splits import Split
from quadzoo.inference.images import files_of
from quadzoo.inference.view import decoded
from quadzoo.records.trained import read_trained
from quadzoo.registry import catalogue
from quadzoo.system import cpu_name, peak_memory
from quadzoo.targets import scale
from quadzoo.training.run import build_module, make_trainer

HERE = Path(__file__).parent
MODEL = "reader-equations"
MOST = 1.5  # times the test pass


def subset(data: Path, n: int, folder: Path) -> Path:
    """Return a folder in the published layout with the first n images."""
    table = pd.read_csv(data / DETAILS_CSV, dtype=str, keep_default_na=False)[:n]
    (folder / IMAGES).mkdir(parents=True)
    table.to_csv(folder / DETAILS_CSV, index=False)
    for name in table["id"]:
        (folder / IMAGES / f"{name}.png").symlink_to((data / IMAGES / f"{name}.png").absolute())
    return folder


def tester(folder: Path) -> tuple[Callable[[], object], int]:
    """Return what does a bench's test pass over all images of a folder, and their number."""
    plan = api.plan(data=str(folder), init=MODEL, epochs=0, device="cpu")
    (task,), fold = plan.tasks, plan.data.folds[0].fold
    placement = plan.placement(task)
    rows = np.arange(len(fold.ids))
    split = Split("all", 0, 1, rows[:0], rows[:0], rows, 0, "")
    targets, batch = (
        scale(fold.targets, task.unit),
        read_trained(model_folder(), MODEL).record.recipe.batch_size,
    )
    datamodule = DataModule(placement.images, targets, split, batch, 0)
    module, trainer = build_module(task, placement), make_trainer(task, placement, [])
    return lambda: trainer.test(module, datamodule=datamodule, verbose=False), len(rows)


def model_folder() -> Path:
    return catalogue.load().models[MODEL].spec.folder


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the published images")
    parser.add_argument("--n", type=int, default=2000, help="images")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--to", type=Path, default=HERE / "results" / "predict.json")
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        folder = subset(arguments.data, arguments.n, Path(temporary) / "quadratic")
        test, n = tester(folder)
        model, images = api.load(MODEL, device="cpu"), files_of([folder / IMAGES])
        test(), model.predicted(images)
        memory = peak_memory()
        times = [(seconds(test), seconds(lambda: model.predicted(images))) for _ in range(arguments.turns)]
        growth = peak_memory() - memory
        decoding = seconds(lambda: [decoded(Path(str(image.source)), None) for image in images])
        found = model.predicted(images).frame
    tests, predictions = zip(*times, strict=True)
    truth = pd.read_csv(arguments.data / DETAILS_CSV).set_index("id")[list(TARGETS)]
    found.index = [Path(one).stem for one in found["id"]]
    right = (np.rint(found[list(TARGETS)]) == truth.loc[found.index]).all(axis=1).sum()
    ratio = statistics.median(one / other for other, one in times)
    result = {
        "command": f"python benchmarks/predict.py --data FOLDER --n {n} --turns {arguments.turns}",
        "device": cpu_name(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "images": n,
        "right": int(right),
        "test_seconds": [round(one, 3) for one in tests],
        "predict_seconds": [round(one, 3) for one in predictions],
        "decode_seconds": round(decoding, 3),
        "ratio": round(ratio, 3),
        "at_most": MOST,
        "memory_growth_mb": round(growth / 2**20, 1),
    }
    arguments.to.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    sys.exit(ratio > MOST)


if __name__ == "__main__":
    main()
