"""Two processes train, validate, test and predict together, each on images of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from quadzoo.data.datamodule import DataModule
from quadzoo.data.splits import Split
from quadzoo.errors import DataError
from tests.model.nets import module, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")

SCRIPT = '''
import json, sys
from pathlib import Path

import pytorch_lightning as pl

from tests.model.nets import module, trainer
from tests.model.test_processes import data_of


class Notes(pl.Callback):
    """Writes down which targets, each of one image, came in which batch."""

    def __init__(self, to):
        self.to, self.seen = to, {"fit": [], "val": [], "test": [], "predict": []}

    def note(self, stage, batch):
        self.seen[stage].append((batch[1][:, 0] * 1000).round().int().tolist())

    def on_train_batch_end(self, trainer, module, outputs, batch, at):
        self.note("fit", batch)

    def on_validation_batch_end(self, trainer, module, outputs, batch, at):
        self.note("val", batch)

    def on_test_batch_end(self, trainer, module, outputs, batch, at):
        self.note("test", batch)

    def on_predict_batch_end(self, trainer, module, outputs, batch, at):
        self.note("predict", batch)

    def teardown(self, trainer, module, stage):
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        weights = {name: value.tolist() for name, value in module.state_dict().items()}
        told = {"seen": self.seen, "scores": scores, "weights": weights}
        (self.to / f"{stage.value}{trainer.global_rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    data, model = data_of(folder), module(lr=0.1)
    ddp = {"strategy": "ddp", "devices": 2, "num_sanity_val_steps": 2}
    trainer(Notes(folder), epochs=2, **ddp).fit(model, datamodule=data)
    trainer(Notes(folder), **ddp).test(model, datamodule=data, verbose=False)
    trainer(Notes(folder), **ddp).predict(model, datamodule=data, return_predictions=False)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images p.npy and the targets y.npy, each of which names its image."""
    folder = tmp_path_factory.mktemp("two")
    levels = np.random.default_rng(0).integers(0, 256, 60, dtype=np.uint8)
    np.save(folder / "p.npy", np.repeat(levels, 16).reshape(60, 4, 4, 1))
    np.save(folder / "y.npy", np.arange(60)[:, None] / 1000)
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Any]:
    """What both processes wrote down: fit0, fit1, test0, ..."""
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(folder / "script.py"), str(folder)]
    root = str(Path(__file__).parents[2])
    environment = os.environ | {
        "PYTHONPATH": root,
        "PYTHONWARNINGS": "error::UserWarning",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def data_of(folder: Path) -> DataModule:
    rows = np.arange(60)
    split = Split("x", 0, 1, rows[:25], rows[25:42], rows[42:], 0, "")
    return DataModule(folder / "p.npy", np.load(folder / "y.npy"), split, 4, seed=0)


def seen(told: dict[str, Any], name: str, stage: str) -> list[list[int]]:
    return told[name]["seen"][stage]


def test_each_trains_on_images_of_its_own(told: dict[str, Any]) -> None:
    one, two = seen(told, "fit0", "fit"), seen(told, "fit1", "fit")
    assert [len(batch) for batch in one] == [len(batch) for batch in two] == [4] * 6
    for epoch in (slice(0, 3), slice(3, 6)):
        images = [image for batch in (*one[epoch], *two[epoch]) for image in batch]
        assert len(set(images)) == len(images) == 24
        assert set(images) <= set(range(25))
    assert one[:3] != one[3:]
    assert told["fit0"]["weights"] == told["fit1"]["weights"]


@pytest.mark.parametrize(
    ("name", "stage", "expected"),
    [("test", "test", range(42, 60)), ("predict", "predict", range(60))],
)
def test_each_evaluates_images_of_its_own_and_none_twice(
    told: dict[str, Any], name: str, stage: str, expected: range
) -> None:
    one, two = seen(told, f"{name}0", stage), seen(told, f"{name}1", stage)
    assert len(one) == len(two)
    assert Counter(image for batch in (*one, *two) for image in batch) == Counter(expected)


def test_scores_are_those_of_all_images(told: dict[str, Any], folder: Path) -> None:
    """One process with the same weights finds the same."""
    alone = module()
    for name in ("fit", "test"):
        one, two = told[f"{name}0"]["scores"], told[f"{name}1"]["scores"]
        assert one == two
        alone.load_state_dict(
            {key: torch.tensor(value) for key, value in told[f"{name}0"]["weights"].items()}
        )
        evaluate = trainer().validate if name == "fit" else trainer().test
        (expected,) = evaluate(alone, datamodule=data_of(folder), verbose=False)
        assert len(expected) == 4
        assert {key: one[key] for key in expected} == pytest.approx(expected, rel=1e-5)


class Shared:
    """Stands in for a Trainer of several processes."""

    overfit_batches = 0.0

    def __init__(self, process: int, processes: int) -> None:
        self.global_rank, self.world_size = process, processes


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 100])
@pytest.mark.parametrize("processes", [2, 3, 8])
def test_all_have_as_many_batches(data: DataModule, processes: int, batch_size: int) -> None:
    data.batch_size = batch_size
    for side, loader, whole in (
        (data.split.train, "train_dataloader", False),
        (data.split.val, "val_dataloader", True),
        (np.arange(40), "predict_dataloader", True),
    ):
        sizes, images = [], []
        start = data.generator.get_state()
        for process in range(processes):
            data.generator.set_state(start)  # each process has its own, in the same state
            data.trainer = Shared(process, processes)  # type: ignore[assignment]
            batches = list(getattr(data, loader)())
            sizes.append([len(targets) for _, targets in batches])
            images += [float(target) for _, targets in batches for target in targets]
        assert len({len(one) for one in sizes}) == 1
        assert min(map(min, sizes)) > 0
        assert max(map(max, sizes)) <= max(batch_size, 2)
        expected = Counter(data.targets[side].flatten().tolist())
        assert Counter(images) <= expected
        if whole:
            assert Counter(images) == expected
        else:
            assert len({tuple(one) for one in sizes}) == 1


def test_it_can_be_sent_to_a_new_process(data: DataModule, tmp_path: Path) -> None:
    """As ddp_spawn does; torch's own way of sending a Generator fails there."""
    next(iter(data.train_dataloader()))
    torch.multiprocessing.spawn(write_order, (data, tmp_path / "order.json"))
    assert json.loads((tmp_path / "order.json").read_text()) == order_of(data)


def write_order(process: int, data: DataModule, to: Path) -> None:
    to.write_text(json.dumps(order_of(data)))


def order_of(data: DataModule) -> list[float]:
    return [float(target) for _, targets in data.train_dataloader() for target in targets]


def test_more_processes_than_images_are_refused(data: DataModule) -> None:
    data.trainer = Shared(0, 9)  # type: ignore[assignment]
    with pytest.raises(DataError, match="8 images cannot be shared by 9 processes; use fewer devices"):
        data.val_dataloader()
