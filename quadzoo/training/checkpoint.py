"""Long runs survive: what training needs to go on after its process was ended, beside the run's record."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import TorchCheckpointIO

from quadzoo import storage
from quadzoo.errors import OutOfMemory
from quadzoo.executors.base import Send
from quadzoo.model.regressor import RegressionModule
from quadzoo.training.energy import CostMeter
from quadzoo.training.task import CHECKPOINT, Task

_log = logging.getLogger(__name__)  # into the run's log
_LONGEST = 150  # characters of why a checkpoint cannot be used
_OURS = "quadzoo"  # the part of a checkpoint that is not Lightning's


class NotRestored(Exception):
    """A checkpoint could be read, and training cannot go on from it."""


class WholeCheckpoints(TorchCheckpointIO):
    """Has a Trainer write checkpoints beside the old one, and replace it: Lightning's go through TMPDIR."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint. Raises OSError where that fails; the old one stays."""
        with storage.written_whole(Path(path)) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # of the end of the file, which torch writes after a failure, too
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise


class Checkpoints(pl.callbacks.Checkpoint):
    """Writes a checkpoint of a task at the first end of an epoch after every ``minutes``; goes on from one.

    It holds weights, optimizer, schedule, epoch, random states, best and averaged weights, and what training
    has cost by then. On a CPU with as many threads the resumed training ends with the digits of one that was
    never interrupted. What cannot be written or used is sent as a warning, and costs no run. Of an epoch
    that is cut short nothing is kept. ``resumed`` are the epochs, from 1, after which training was resumed.
    """

    def __init__(self, folder: Path, task: Task, minutes: float, send: Send) -> None:
        self.path = folder / CHECKPOINT
        self.resumed: list[int] = []
        # The key holds what was asked for; of a learning rate that was to be found, another may be found now.
        self._of = {"key": task.key, "lr": task.trained_recipe.lr}
        self._send = send
        self._seconds = minutes * 60
        self._last = time.monotonic()
        self._meter: CostMeter | None = None
        self._random: dict[str, Any] | None = None
        self._restores = False

    def resume(self, module: RegressionModule, meter: CostMeter) -> bool:
        """Say whether there is a checkpoint to go on from, and make module and meter ready for it.

        One that is damaged, of another run, or lacks something is deleted, and training starts anew. It is
        read as tensors and plain values; nothing else is unpickled.
        """
        self._meter, self._last = meter, time.monotonic()
        if not os.path.lexists(self.path):
            return False
        try:
            with storage.open_regular(self.path) as file:
                kept = torch.load(file, map_location="cpu", weights_only=True)
            ours = _of_run(kept, self._of)
            resumed = [*map(int, ours["resumed"]), int(kept["epoch"]) + 1]
            earlier = float(ours["seconds"]), float(ours["joules"])
            self._random = ours["random"]
            for name in ("feature_mean", "feature_std"):  # which only a model with a frozen backbone has
                setattr(module, name, kept["state_dict"].get(name))
        except Exception as error:  # a file that anybody may have put there can raise anything
            self._drop(error)
            return False
        self.resumed, self._restores = resumed, True
        meter.earlier_seconds, meter.earlier_joules = earlier
        _log.warning("training goes on after epoch %d", resumed[-1])
        return True

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Around the fit that goes on from a checkpoint. Raises NotRestored where that cannot be restored.

        The checkpoint is deleted then: it lacks something, or what it holds is of other code.
        """
        try:
            yield
        except Exception as error:
            if not self._restores or is_of_surroundings(error):
                raise
            self._drop(error)
            if os.path.lexists(self.path):  # it would be read again, and again
                raise
            raise NotRestored from error

    def _drop(self, error: Exception) -> None:
        text = f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        why = " ".join(text.split())
        why = why if len(why) <= _LONGEST else f"{why[: _LONGEST - 1]}…"
        self._send(f"{self.path.name} cannot be used ({why}); training starts anew")
        self.resumed, self._restores, self._random = [], False, None
        self.discard()

    def discard(self) -> None:
        """Delete the checkpoint, if there is one: its run is over."""
        with suppress(OSError):  # a folder of that name stays
            self.path.unlink(missing_ok=True)
            storage.sweep(self.path)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check that nothing is missing. Raises KeyError: Lightning would go on without."""
        for one in trainer.callbacks:  # type: ignore[attr-defined]
            if one.state_dict():
                _ = checkpoint["callbacks"][one.state_key]
        _ = checkpoint[type(trainer.datamodule).__qualname__]  # type: ignore[attr-defined]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the random states, when all else is in place."""
        if self._random:
            _restore_random(self._random)
        self._restores, self._random = False, None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a checkpoint when the last is old enough; Lightning calls this callback after all others."""
        if time.monotonic() - self._last < self._seconds:
            return
        try:
            trainer.save_checkpoint(self.path)
        except OSError as error:
            self._send(f"no checkpoint could be written: {error}")
        self._last = time.monotonic()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put into a checkpoint what Lightning does not."""
        checkpoint[_OURS] = {
            **self._of,
            "resumed": self.resumed,
            "seconds": self._meter.seconds if self._meter else 0.0,
            "joules": (self._meter.joules if self._meter else None) or 0.0,
            "random": _random_states(),
        }


def is_of_surroundings(error: BaseException) -> bool:
    """Say whether a run failed for want of room on disk or in memory: later it may go on where it was."""
    return isinstance(error, OSError | MemoryError | OutOfMemory | torch.OutOfMemoryError)


def _of_run(kept: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Return our part of a checkpoint. Raises an error for one of another run, or without all parts."""
    ours: dict[str, Any] = kept[_OURS]
    if ours["key"] != run["key"]:
        raise ValueError(f"it is of run {str(ours['key'])[:16]}")
    if ours["lr"] != run["lr"]:
        raise ValueError(f"it was trained with learning rate {ours['lr']:g}, now {run['lr']:g} is taken")
    _ = kept["callbacks"], kept["loops"], kept["optimizer_states"], kept["lr_schedulers"]
    epochs = int(kept["epoch"]) + 1
    if len(kept["history"]) != epochs:
        raise ValueError(f"it has {len(kept['history'])} epochs of {epochs}")
    return ours


def _random_states() -> dict[str, Any]:
    """Return the states of all global generators, as tensors and plain values."""
    name, state, *others = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(np.asarray(state).astype(np.int64)), *others],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _restore_random(states: dict[str, Any]) -> None:
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, state, *others = states["numpy"]
    np.random.set_state((name, state.numpy().astype(np.uint32), *others))
    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
