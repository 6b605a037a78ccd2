"""Images that do not fit a GPU: read ahead of the training step, by one thread, and copied beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from quadzoo.data.datamodule import ArrayFile

_BUFFERS = 2


class ReadAhead:
    """Batches of a file on a device: while one is computed on, the next is copied and the one after it read.

    There are two buffers, pinned where the device is a GPU, which copies from them on a stream of its own. On
    a CPU the same is done without pinning and streams.
    """

    def __init__(self, file: ArrayFile, device: torch.device) -> None:
        self._file, self._device = file, device

    def batches(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield images (B, H, W, C), uint8 or float32, for each of the int64 rows (B,) on the CPU.

        Raises DataError where the file is too short.
        """
        if not parts:
            return
        on_gpu = self._device.type == "cuda"
        side = torch.cuda.Stream(self._device) if on_gpu else None  # type: ignore[no-untyped-call]
        shape = max(map(len, parts)), *self._file.shape[1:]
        buffers = [
            torch.empty(shape, dtype=self._file.dtype, pin_memory=on_gpu)
            for _ in range(min(_BUFFERS, len(parts)))
        ]
        copied: list[torch.cuda.Event | None] = [None] * len(buffers)

        def read(index: int) -> Tensor:
            slot = index % _BUFFERS
            if event := copied[slot]:
                event.synchronize()  # the buffer is still being copied from
            rows = parts[index]
            self._file.read_into(rows, buffers[slot][: len(rows)])
            return buffers[slot][: len(rows)]

        with ThreadPoolExecutor(1, "quadzoo-read-ahead") as thread:
            reads = [thread.submit(read, index) for index in range(len(buffers))]
            ready: Tensor | None = None
            for index in range(len(parts)):
                host = reads[index % _BUFFERS].result()
                beside: AbstractContextManager[Any] = torch.cuda.stream(side) if side else nullcontext()
                with beside:
                    copy = host.to(self._device, non_blocking=on_gpu, copy=True)
                if side:
                    done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
                    copied[index % _BUFFERS] = side.record_event(done)
                if index + _BUFFERS < len(parts):
                    reads[index % _BUFFERS] = thread.submit(read, index + _BUFFERS)
                if ready is not None:
                    yield ready
                ready = self._received(copy, side)
            if ready is not None:
                yield ready

    def _received(self, copy: Tensor, side: torch.cuda.Stream | None) -> Tensor:
        """Return the copy for use on the current stream."""
        if side:
            current = torch.cuda.current_stream(self._device)
            current.wait_stream(side)
            copy.record_stream(current)  # its memory is not used again before the step is over
        return copy
