"""The one LightningDataModule: batches of uint8 pictures, or of features, and scaled targets."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.lib import format as npy
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from quadzoo.data.splits import Split
from quadzoo.errors import DataError

Batch = tuple[Tensor, Tensor]
"""Pictures uint8 (B, C, H, W), or features float32 (B, F, h, w), in channels_last memory order; targets
float32 (B, T) in the scaled unit."""

_SLICE = 1024  # pictures on their way to a GPU


class ArrayFile:
    """A ``.npy`` file of (N, H, W, C), uint8 or float32, read a batch at a time.

    Read, not mapped: the operating system caches the file either way, but the pages of a map count as this
    process's memory, all of them after one epoch.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            npy.read_magic(file)
            self.shape, _, self._dtype = npy.read_array_header_1_0(file)
            self._start = file.tell()
        self._path = path
        self._stride = math.prod(self.shape[1:]) * self._dtype.itemsize

    def __getitem__(self, rows: Tensor) -> Tensor:
        batch = np.empty((len(rows), *self.shape[1:]), self._dtype)
        with self._path.open("rb", buffering=0) as file:
            for one, row in zip(batch, rows.tolist(), strict=True):
                if os.preadv(file.fileno(), [one], self._start + row * self._stride) < self._stride:
                    raise DataError(f"{self._path} is cut off; `quadzoo data cache --clear`, then try again")
        return torch.from_numpy(batch)

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.shape[0] * self._stride

    def to(self, device: torch.device) -> Tensor:
        """Return all of it on a device; no more than a slice lies in memory on the way."""
        everything = torch.empty(self.shape, dtype=self[torch.arange(0)].dtype, device=device)
        for start in range(0, self.shape[0], _SLICE):
            rows = torch.arange(start, min(start + _SLICE, self.shape[0]))
            everything[rows] = self[rows].to(device)
        return everything


class _Rows(Dataset[Batch]):
    """Some rows of the inputs, fetched a batch at a time."""

    def __init__(self, inputs: Tensor | ArrayFile, targets: Tensor, rows: np.ndarray) -> None:
        self.inputs = inputs
        self.targets = targets
        self.rows = torch.from_numpy(np.ascontiguousarray(rows)).to(targets.device)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, positions: list[int]) -> Batch:
        rows = self.rows[torch.tensor(positions, device=self.rows.device)]
        return self.inputs[rows].permute(0, 3, 1, 2), self.targets[rows]


def _as_it_is(batch: Any) -> Any:
    return batch


class PictureDataModule(pl.LightningDataModule):
    """Train, val, test and predict loaders over one file of decoded pictures, or of their features.

    ``inputs`` is a ``.npy`` of uint8 pictures (N, H, W, C) or of float32 features (N, h, w, F); ``targets``
    float (N, T) in the scaled unit. Only training batches are shuffled, by ``seed``, and the last short one
    is left out; predict goes over all N in order. On a GPU with room for it the whole set lies there.
    """

    inputs: Tensor | ArrayFile

    def __init__(self, inputs: Path, targets: np.ndarray, split: Split, batch_size: int, seed: int) -> None:
        super().__init__()
        self.inputs = ArrayFile(inputs)
        self.targets = torch.from_numpy(targets.astype(np.float32))
        self.split = split
        self.batch_size = batch_size
        self.generator = torch.Generator().manual_seed(seed)

    def setup(self, stage: str) -> None:
        """Move the inputs to the GPU when they take less than half of what is free there."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if device.type != "cuda" or isinstance(self.inputs, Tensor):
            return
        free, _ = torch.cuda.mem_get_info(device)
        if self.inputs.nbytes < free / 2:
            self.inputs, self.targets = self.inputs.to(device), self.targets.to(device)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the shuffled training batches."""
        rows = self.split.train
        return self._loader(rows, shuffle=True, drop_last=len(rows) >= self.batch_size)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation batches, in the split's order."""
        return self._loader(self.split.val)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the test batches, in the split's order."""
        return self._loader(self.split.test)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return all pictures, in the data's order."""
        return self._loader(np.arange(len(self.targets)))

    def _loader(
        self, rows: np.ndarray, *, shuffle: bool = False, drop_last: bool = False
    ) -> DataLoader[Batch]:
        return DataLoader(
            _Rows(self.inputs, self.targets, rows),
            batch_size=self.batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            collate_fn=_as_it_is,
            generator=self.generator if shuffle else None,
        )
