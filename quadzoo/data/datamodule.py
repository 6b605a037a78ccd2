"""The one LightningDataModule: batches of uint8 images, or of features, and scaled targets."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.lib import format as npy
from torch import Tensor

from quadzoo.data.splits import Split
from quadzoo.errors import DataError

Batch = tuple[Tensor, Tensor]
"""Images uint8 (B, C, H, W), or features float32 (B, F, h, w), in channels_last memory order; targets
float32 (B, T) in the scaled unit."""

_SLICE = 1024  # images on their way to a GPU


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


class Batches:
    """Some rows of the inputs, a batch at a time: in order or, with a generator, in a new order every time.

    The order reaches a GPU once an epoch, where a DataLoader's would with every batch, and each time make the
    GPU wait.
    """

    def __init__(
        self,
        inputs: Tensor | ArrayFile,
        targets: Tensor,
        rows: np.ndarray,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        drop_last: bool = False,
    ) -> None:
        self._inputs = inputs
        self._targets = targets
        self._rows = torch.from_numpy(np.ascontiguousarray(rows))
        self._batch_size = batch_size
        self._generator = generator
        self._drop_last = drop_last

    def __len__(self) -> int:
        whole, rest = divmod(len(self._rows), self._batch_size)
        return whole + (rest > 0 and not self._drop_last)

    def __iter__(self) -> Iterator[Batch]:
        rows = self._rows
        if self._generator:
            rows = rows[torch.randperm(len(rows), generator=self._generator)]
        for chosen in torch.split(rows.to(self._targets.device), self._batch_size)[: len(self)]:
            yield self._inputs[chosen].permute(0, 3, 1, 2), self._targets[chosen]


class DataModule(pl.LightningDataModule):
    """Train, val, test and predict batches over one file of decoded images, or of their features.

    ``inputs`` is a ``.npy`` of uint8 images (N, H, W, C) or of float32 features (N, h, w, F); ``targets``
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

    def train_dataloader(self) -> Batches:
        """Return the shuffled training batches."""
        rows = self.split.train
        return self._batches(rows, generator=self.generator, drop_last=len(rows) >= self.batch_size)

    def val_dataloader(self) -> Batches:
        """Return the validation batches, in the split's order."""
        return self._batches(self.split.val)

    def test_dataloader(self) -> Batches:
        """Return the test batches, in the split's order."""
        return self._batches(self.split.test)

    def predict_dataloader(self) -> Batches:
        """Return all images, in the data's order."""
        return self._batches(np.arange(len(self.targets)))

    def _batches(
        self, rows: np.ndarray, *, generator: torch.Generator | None = None, drop_last: bool = False
    ) -> Batches:
        return Batches(
            self.inputs, self.targets, rows, self.batch_size, generator=generator, drop_last=drop_last
        )
