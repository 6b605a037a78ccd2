"""Says once that a run gets less CPU time than its threads ask for, since other programs run."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl

from quadzoo.executors.base import Send
from quadzoo.threads import LEAST_SHARE, CpuTime, available_cpus
from quadzoo.training.task import Placement

_AFTER = 20.0  # seconds of training


class Contention(pl.Callback):
    """Sends one line where the threads of a run on the CPU wait for CPUs instead of computing.

    The number of threads stays: it changes scores. ``send`` goes to whoever started the run.
    """

    def __init__(self, placement: Placement, send: Send) -> None:
        self._threads = placement.threads if placement.device.kind == "cpu" else 1
        self._send = send
        self._times: CpuTime | None = None
        self._started = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to measure; a single thread cannot be fewer."""
        if self._threads > 1:
            self._times, self._started = CpuTime(), time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After some time, measure once."""
        if self._times is None or time.monotonic() - self._started < _AFTER:
            return
        share, self._times = self._times.share(), None
        if share is not None and share < LEAST_SHARE:
            cpus = available_cpus()
            since = "other programs run" if self._threads <= cpus else f"there are {cpus} CPUs"
            self._send(
                f"its {self._threads} threads get {share:.0%} of the CPU time that they ask for, since "
                f"{since}; they wait for each other, and `threads` 1 is often faster then, with scores "
                "that differ as those of another seed do"
            )
