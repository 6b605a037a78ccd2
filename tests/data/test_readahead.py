"""Images that are read ahead of their use: the same code as for a GPU, without pinned memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from quadzoo.data.datamodule import ArrayFile, DataModule
from quadzoo.data.readahead import ReadAhead
from quadzoo.data.splits import Split
from quadzoo.errors import DataError
from tests.model import nets

CPU = torch.device("cpu")


def file(tmp_path: Path, dtype: type = np.uint8, n: int = 40) -> ArrayFile:
    values = np.random.default_rng(0).integers(0, 256, (n, 2, 3, 3)).astype(dtype)
    np.save(tmp_path / "p.npy", values)
    return ArrayFile(tmp_path / "p.npy")


def reading() -> bool:
    return any(thread.name.startswith("quadzoo-read-ahead") for thread in threading.enumerate())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("sizes", [[4] * 10, [7, 7, 7, 3], [5], [3, 2], []])
def test_batches_are_those_of_the_file_and_are_kept(tmp_path: Path, dtype: type, sizes: list[int]) -> None:
    images = file(tmp_path, dtype)
    rows = torch.randperm(40, generator=torch.Generator().manual_seed(0))[: sum(sizes)]
    parts = list(torch.split(rows, sizes)) if sizes else []
    read = list(ReadAhead(images, CPU).batches(parts))  # all are kept while others are read
    assert [len(batch) for batch in read] == sizes
    for batch, part in zip(read, parts, strict=True):
        assert batch.dtype == images.dtype
        assert torch.equal(batch, images[part])
    assert not reading()


def test_it_reads_at_most_two_batches_ahead(tmp_path: Path) -> None:
    images, read, started = file(tmp_path), [], threading.Event()

    class Watched(ArrayFile):
        def read_into(self, rows: Tensor, batch: Tensor) -> None:
            read.append(int(rows[0]))
            super().read_into(rows, batch)
            started.set()

    batches = ReadAhead(Watched(tmp_path / "p.npy"), CPU).batches(torch.split(torch.arange(40), 4))
    assert read == []  # nothing before the first is asked for
    first = next(batches)
    assert torch.equal(first, images[torch.arange(4)])
    assert started.wait(5)
    assert 2 <= len(read) <= 4
    batches.close()
    assert not reading()
    assert len(read) <= 4


def test_a_file_that_is_cut_short_is_an_error_of_the_reader(tmp_path: Path) -> None:
    images = file(tmp_path)
    whole = (tmp_path / "p.npy").read_bytes()
    (tmp_path / "p.npy").write_bytes(whole[:-30])
    batches = ReadAhead(images, CPU).batches(torch.split(torch.arange(40), 4))
    with pytest.raises(DataError, match="is truncated"):
        list(batches)
    assert not reading()


def module(tmp_path: Path) -> DataModule:
    file(tmp_path)
    rows = np.arange(40)
    split = Split("x", 0, 1, rows[:26], rows[26:33], rows[33:], 0, "")
    return DataModule(tmp_path / "p.npy", rows[:, None] / 40, split, 4, seed=3)


@pytest.mark.parametrize("resident", [True, False])
def test_a_datamodule_gives_the_same_batches_from_wherever(tmp_path: Path, resident: bool) -> None:
    def batches(data: DataModule) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(2):
            yield from data.train_dataloader()
        yield from data.val_dataloader()
        yield from data.test_dataloader()
        yield from data.calibration_batches()

    plain, placed = module(tmp_path), module(tmp_path)
    placed.place(CPU, resident=resident)
    assert isinstance(placed.inputs, Tensor if resident else ReadAhead)
    assert placed.resident_bytes == (40 * 18 if resident else 0)
    for one, other in zip(batches(plain), batches(placed), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
        assert other[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_what_is_read_ahead_trains_to_the_same_digits(tmp_path: Path) -> None:
    histories = []
    for ahead in (False, True):
        levels = np.random.default_rng(0).integers(0, 256, 40, dtype=np.uint8)
        np.save(tmp_path / "grey.npy", np.repeat(levels, 64).reshape(40, 8, 8, 1))
        rows = np.arange(40)
        split = Split("x", 0, 1, rows[:24], rows[24:32], rows[32:], 0, "")
        data = DataModule(tmp_path / "grey.npy", levels[:, None] / 255, split, 8, seed=0)
        if ahead:
            data.place(CPU, resident=False)
        net = nets.module(lr=0.1, epochs=3)
        nets.trainer(epochs=3).fit(net, datamodule=data)
        histories.append(net.history)
    assert histories[0] == histories[1]
    assert len(histories[0]) == 3
    assert not reading()


@pytest.mark.parametrize(("free", "resident"), [(1442, True), (1440, False)])  # the set takes 720 bytes
def test_a_gpu_keeps_what_fits_into_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, resident: bool
) -> None:
    placed = []
    monkeypatch.setattr(DataModule, "place", lambda _, device, *, resident: placed.append((device, resident)))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 9999))
    gpu = torch.device("cuda", 0)
    data = module(tmp_path)
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=gpu))  # type: ignore[assignment]
    data.setup("fit")
    assert placed == [(gpu, resident)]
