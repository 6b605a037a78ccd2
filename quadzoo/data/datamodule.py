"""The one LightningDataModule: batches of uint8 pictures and scaled targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from quadzoo.data.splits import Split

Batch = tuple[Tensor, Tensor]
"""Pictures uint8 (B, C, H, W) in channels_last memory order, targets float32 (B, T) in the scaled unit."""


class _Rows(Dataset[Batch]):
    """Some rows of the pictures, fetched a batch at a time."""

    def __init__(self, pictures: Tensor, targets: Tensor, rows: np.ndarray) -> None:
        self.pictures = pictures
        self.targets = targets
        self.rows = torch.from_numpy(np.ascontiguousarray(rows)).to(pictures.device)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, positions: list[int]) -> Batch:
        rows = self.rows[torch.tensor(positions, device=self.rows.device)]
        return self.pictures[rows].permute(0, 3, 1, 2), self.targets[rows]


def _as_it_is(batch: Any) -> Any:
    return batch


class PictureDataModule(pl.LightningDataModule):
    """Train, val, test and predict loaders over one file of decoded pictures.

    ``pictures`` is a ``.npy`` of uint8 (N, H, W, C), which is mapped, not read; ``targets`` float (N, T)
    in the scaled unit. Only training batches are shuffled, by ``seed``, and its last short batch is left
    out; predict goes over all N pictures in order. On a GPU with room for it the whole set lies there.
    """

    def __init__(self, pictures: Path, targets: np.ndarray, split: Split, batch_size: int, seed: int) -> None:
        super().__init__()
        # Mode "c" lets torch have the map without a warning: pages are shared until written to.
        self.pictures = torch.from_numpy(np.load(pictures, mmap_mode="c"))
        self.targets = torch.from_numpy(targets.astype(np.float32))
        self.split = split
        self.batch_size = batch_size
        self.generator = torch.Generator().manual_seed(seed)

    def setup(self, stage: str) -> None:
        """Move the pictures to the GPU when they take less than half of what is free there."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if device.type != "cuda" or self.pictures.device == device:
            return
        free, _ = torch.cuda.mem_get_info(device)
        if self.pictures.nbytes < free / 2:
            self.pictures, self.targets = self.pictures.to(device), self.targets.to(device)

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
            _Rows(self.pictures, self.targets, rows),
            batch_size=self.batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            collate_fn=_as_it_is,
            generator=self.generator if shuffle else None,
        )
