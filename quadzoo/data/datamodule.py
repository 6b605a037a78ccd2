"""The one LightningDataModule: batches of images, or of features, and scaled targets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.lib import format as npy
from torch import Tensor

from quadzoo.data.readahead import ReadAhead
from quadzoo.data.splits import Split
from quadzoo.errors import DataError
from quadzoo.system import read_at

Batch = tuple[Tensor, Tensor]
"""Images (B, C, H, W) from 0 to 255, uint8 or, of deeper images, float32; or features float32 (B, F, h, w);
in channels_last memory order. Targets float32 (B, T) in the scaled unit, NaN where one is missing."""

_SLICE = 1024  # images copied to a GPU at once
_CALIBRATION, _BATCH = 512, 64  # images
_EVALUATED = 4  # times as many images a batch on a GPU: fewer launches to wait for, no gradients to keep


def pixels_tensor(pixels: np.ndarray) -> Tensor:
    """Return images, uint8, uint16 or float32 (N, H, W, C), as a tensor; uint16 as float32 from 0 to 255."""
    # torch knows uint16 too little to choose rows of it on a GPU.
    return torch.from_numpy(pixels if pixels.dtype != np.uint16 else pixels * np.float32(255 / 65535))


class ArrayFile:
    """A ``.npy`` file of (N, H, W, C), uint8, uint16 or float32, read a batch at a time.

    It is read and not mapped: the operating system caches the file in both cases, but mapped pages count as
    this process's memory, and after one epoch they are the whole file. ``file[rows]`` returns the given rows
    (B, H, W, C) in the file's dtype, uint16 as float32 from 0 to 255; it raises DataError where the file is
    too short. Raises DataError for any other array.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            npy.read_magic(file)
            self.shape, by_columns, self._dtype = npy.read_array_header_1_0(file)
            self._start = file.tell()
        if by_columns or self._dtype not in (np.uint8, np.uint16, np.float32) or len(self.shape) != 4:
            raise DataError(
                f"{path}: {self._dtype} {self.shape}{', in column order' * by_columns}; needed is "
                "(N, H, W, C) in row order, uint8 or uint16 for images, float32 for these or features"
            )
        self._path = path
        self._stride = math.prod(self.shape[1:]) * self._dtype.itemsize

    def __getitem__(self, rows: Tensor) -> Tensor:
        return pixels_tensor(self._read(rows, np.empty((len(rows), *self.shape[1:]), self._dtype)))

    def read_into(self, rows: Tensor, batch: Tensor) -> None:
        """Read the given rows, int64 (B,), into a tensor (B, H, W, C) of `dtype`, such as pinned memory.

        Raises DataError where the file is too short.
        """
        if self._dtype == np.uint16:
            batch.copy_(self[rows])
        else:
            self._read(rows, batch.numpy())

    def _read(self, rows: Tensor, batch: np.ndarray) -> np.ndarray:
        with self._path.open("rb", buffering=0) as file:
            for one, row in zip(batch, rows.tolist(), strict=True):
                if read_at(file, one, self._start + row * self._stride) < self._stride:
                    raise DataError(
                        f"{self._path} is truncated; run `quadzoo data cache --clear` and try again"
                    )
        return batch

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of batches: uint8 or float32."""
        return torch.uint8 if self._dtype == np.uint8 else torch.float32

    @property
    def nbytes(self) -> int:
        """Its size in memory, in bytes."""
        return self.shape[0] * self._stride * (2 if self._dtype == np.uint16 else 1)

    def to(self, device: torch.device) -> Tensor:
        """Return the whole array (N, H, W, C), uint8 or float32 as its rows are, on a device.

        It is copied slice by slice, so that only one slice is in the computer's memory.
        """
        images = torch.empty(self.shape, dtype=self.dtype, device=device)
        for start in range(0, self.shape[0], _SLICE):
            rows = torch.arange(start, min(start + _SLICE, self.shape[0]))
            images[rows] = self[rows].to(device)
        return images


class Batches:
    """Batches of some rows of the inputs, in order or, with a generator, in a new order every epoch.

    Process p of P takes rows p, p + P, p + 2P, ... of that order, which is the same in all. The order is
    copied to a GPU once an epoch; a DataLoader would do that with every batch, and make the GPU wait.
    """

    def __init__(
        self,
        inputs: Tensor | ArrayFile | ReadAhead,
        targets: Tensor,
        rows: np.ndarray,
        sizes: list[int],
        *,
        generator: torch.Generator | None = None,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self._inputs = inputs
        self._targets = targets
        self._rows = torch.from_numpy(np.ascontiguousarray(rows))
        self._sizes = sizes
        self._generator = generator
        self._process = process
        self._processes = processes

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[Batch]:
        rows = self._rows
        if self._generator:
            rows = rows[torch.randperm(len(rows), generator=self._generator)]
        mine = rows[self._process :: self._processes][: sum(self._sizes)]
        parts = torch.split(mine.to(self._targets.device), self._sizes)
        images: Iterable[Tensor] = (
            self._inputs.batches(torch.split(mine, self._sizes))
            if isinstance(self._inputs, ReadAhead)
            else map(self._inputs.__getitem__, parts)
        )
        for batch, chosen in zip(images, parts, strict=True):
            yield batch.permute(0, 3, 1, 2), self._targets[chosen]


class DataModule(pl.LightningDataModule):
    """Train, val, test and predict batches over one file of decoded images, or of their features.

    ``inputs`` is a ``.npy`` of images (N, H, W, C), uint8, uint16 whose 65535 is white, or float32 whose 255
    is, or of float32 features (N, h, w, F); ``targets`` float (N, T) in the scaled unit, NaN where one is
    missing; ``masked`` says whether any is. Training batches are shuffled, by ``seed``, and a last incomplete
    one is left out; predict goes over all N in order. A GPU that has room for it holds the whole set, else
    batches are read ahead of the training step; of its memory ``memory`` bytes are this process's, by default
    all that are free.

    With a Trainer of several processes, each process gets its own share of the images, and all get the same
    number of batches; ``batch_size`` is that of one process. Raises DataError when a side of the split has
    fewer images than there are processes.
    """

    inputs: Tensor | ArrayFile | ReadAhead

    def __init__(
        self,
        inputs: Path,
        targets: np.ndarray,
        split: Split,
        batch_size: int,
        seed: int,
        *,
        memory: int | None = None,
    ) -> None:
        super().__init__()
        self.inputs = ArrayFile(inputs)
        self.targets = torch.from_numpy(targets.astype(np.float32))
        self.masked = bool(np.isnan(targets).any())
        self.split = split
        self.batch_size = batch_size
        self.generator = torch.Generator().manual_seed(seed)
        self.memory = memory

    def __getstate__(self) -> dict[str, Any]:
        # A Generator does not survive torch's way of sending objects to a new process; its state does.
        return {**self.__dict__, "generator": self.generator.get_state().numpy().tobytes()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        generator_state = np.frombuffer(state["generator"], np.uint8).copy()
        self.generator = torch.Generator()
        self.generator.set_state(torch.from_numpy(generator_state))

    def setup(self, stage: str) -> None:
        """Move the inputs to the GPU when they take less than half of this process's memory there."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if device.type != "cuda" or not isinstance(self.inputs, ArrayFile):
            return
        # What is free at this moment is another run's, too, where several share the GPU.
        ours = torch.cuda.mem_get_info(device)[0] if self.memory is None else self.memory
        self.place(device, resident=self.inputs.nbytes < ours / 2)

    def place(self, device: torch.device, *, resident: bool) -> None:
        """Have all batches lie on a device: ``resident`` as the whole set, else read ahead."""
        if not isinstance(self.inputs, ArrayFile):
            return
        self.inputs = self.inputs.to(device) if resident else ReadAhead(self.inputs, device)
        self.targets = self.targets.to(device)

    @property
    def resident_bytes(self) -> int:
        """How many bytes of inputs are kept on a device."""
        return self.inputs.nbytes if isinstance(self.inputs, Tensor) else 0

    def train_dataloader(self) -> Batches:
        """Return the training batches; with ``overfit_batches`` they are not shuffled. Raises DataError."""
        overfits = self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]
        return self._batches(self.split.train, training=True, generator=None if overfits else self.generator)

    def val_dataloader(self) -> Batches:
        """Return the validation batches, in the split's order. Raises DataError."""
        return self._batches(self.split.val)

    def test_dataloader(self) -> Batches:
        """Return the test batches, in the split's order. Raises DataError."""
        return self._batches(self.split.test)

    def predict_dataloader(self) -> Batches:
        """Return all images, in the data's order; of several processes, each its share. Raises DataError."""
        return self._batches(np.arange(len(self.targets)))

    def calibration_batches(self) -> Batches:
        """Return at most 512 training images, always the same, for statistics such as those of batch norm.

        All processes get all of them.
        """
        return self.batches_of(np.random.default_rng(0).permutation(self.split.train)[:_CALIBRATION])

    def batches_of(self, rows: np.ndarray) -> Batches:
        """Return batches of at most 64 of the images at int64 positions (N,), in that order.

        No batch has a single image, unless N is 1.
        """
        parts = np.array_split(rows, math.ceil(len(rows) / _BATCH))
        return Batches(self.inputs, self.targets, rows, [len(part) for part in parts])

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps: the state of the generator that shuffles, uint8 (K,).

        Resumed training then takes the images in the order that it would have taken without the interruption.
        """
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Restore the state of the generator, uint8 (K,), from a checkpoint."""
        self.generator.set_state(state_dict["generator"].cpu())

    def _batches(
        self, rows: np.ndarray, *, training: bool = False, generator: torch.Generator | None = None
    ) -> Batches:
        trainer = self.trainer
        process, processes = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        on_gpu = self.targets.device.type == "cuda"
        size = self.batch_size * (_EVALUATED if on_gpu and not training else 1)
        sizes = _batch_sizes(len(rows), size, process, processes, training=training)
        return Batches(
            self.inputs, self.targets, rows, sizes,
            generator=generator, process=process, processes=processes,
        )  # fmt: skip


def _batch_sizes(n: int, batch_size: int, process: int, processes: int, *, training: bool) -> list[int]:
    """Return the sizes of one process's batches of n images; all processes get the same number of batches.

    In training all batches are full, unless there are too few images for one, and the rest of the order is
    left out. In evaluation every image is taken once: shares that differ by an image have batches that differ
    by one. Raises DataError for fewer images than processes.
    """
    least = n // processes
    if processes > 1 and not least:
        raise DataError(f"{n} images cannot be shared by {processes} processes; use fewer devices")
    if training:
        return [batch_size] * (least // batch_size) or [least] * bool(least)
    mine = len(range(process, n, processes))
    if processes == 1:
        return [min(batch_size, n - start) for start in range(0, n, batch_size)]
    batches = min(math.ceil(math.ceil(n / processes) / batch_size), least)
    return [mine // batches + (index < mine % batches) for index in range(batches)]
