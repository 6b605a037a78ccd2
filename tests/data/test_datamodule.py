from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import torch

from quadzoo.data.datamodule import Batches, DataModule
from quadzoo.data.splits import Split


def make(tmp_path: Path, batch_size: int = 4, seed: int = 0) -> DataModule:
    images = np.arange(20 * 2 * 3 * 3, dtype=np.uint8).reshape(20, 2, 3, 3)
    np.save(tmp_path / "p.npy", images)
    split = Split("x", 0, 1, np.arange(10), np.arange(10, 14), np.array([19, 15]), 0, "")
    return DataModule(tmp_path / "p.npy", np.arange(40.0).reshape(20, 2), split, batch_size, seed)


def test_batches(tmp_path: Path) -> None:
    module = make(tmp_path)
    images, targets = next(iter(module.test_dataloader()))
    assert (images.dtype, tuple(images.shape)) == (torch.uint8, (2, 3, 2, 3))
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert targets.tolist() == [[38, 39], [30, 31]]
    original = np.load(tmp_path / "p.npy")
    assert np.array_equal(images[0].numpy(), original[19].transpose(2, 0, 1))


def test_loaders_cover_their_sides(tmp_path: Path) -> None:
    module = make(tmp_path)

    def rows(batches: Batches) -> list[int]:
        collected = list(batches)
        assert len(collected) == len(batches)
        return [int(t[0]) // 2 for _, targets in collected for t in targets]

    first, second = rows(module.train_dataloader()), rows(module.train_dataloader())
    assert len(first) == 8  # two of ten are left out by the last short batch
    assert set(first) <= set(range(10))
    assert first != second
    assert rows(make(tmp_path).train_dataloader()) == first
    assert rows(make(tmp_path, seed=1).train_dataloader()) != first
    assert rows(module.val_dataloader()) == [10, 11, 12, 13]
    assert rows(module.predict_dataloader()) == list(range(20))


def test_no_process_can_die(tmp_path: Path) -> None:
    """Batches are made where they are used: there is no worker to be killed, or to wait for."""

    def started() -> list[str]:
        tasks = Path("/proc/self/task")
        return [pid for one in tasks.iterdir() for pid in (one / "children").read_text().split()]

    before, threads = started(), threading.active_count()
    loader = make(tmp_path).train_dataloader()
    assert next(iter(loader))
    assert (started(), threading.active_count()) == (before, threads)


def test_a_batch_larger_than_the_data_is_the_data(tmp_path: Path) -> None:
    (batch,) = make(tmp_path, batch_size=64).train_dataloader()
    assert len(batch[1]) == 10
