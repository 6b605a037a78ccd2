"""Callbacks of a run: best weights, averaged weights, throughput, predictions, progress."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from quadzoo.model.device import wait_for
from quadzoo.model.replay import EAGER_STEPS, Replaying

_SETTLING = EAGER_STEPS + 1  # steps: cuDNN tries algorithms in the first, the last is recorded


class BestWeights(pl.Callback):
    """Keeps the weights of the best ``val_mse`` in memory: on small data a file costs more than an epoch.

    ``score`` is that MSE and ``epoch`` its epoch, from 0; infinity and -1 before the first validation.
    """

    def __init__(self) -> None:
        self.score = float("inf")
        self.epoch = -1
        self._state: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights when they are the best so far."""
        if trainer.state.fn != "fit":
            return
        self.take(float(trainer.callback_metrics["val_mse"]), pl_module, trainer.current_epoch)

    def take(self, score: float, module: pl.LightningModule, epoch: int = -1) -> None:
        """Copy the weights when ``score`` is the best so far; epoch -1 is before the first."""
        if score < self.score:
            self.score, self.epoch, self._state = score, epoch, _copy(module)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        return {"score": self.score, "epoch": self.epoch, "weights": self._state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what a checkpoint stored."""
        self.score, self.epoch, self._state = (state_dict[name] for name in ("score", "epoch", "weights"))

    def restore(self, module: pl.LightningModule) -> None:
        """Load the best weights into the module; without a validation it keeps its own."""
        module.load_state_dict(self._state, strict=False)


class AveragedWeights(pl.Callback):
    """Validates a moving average of all weights and buffers in place of the weights.

    It comes after `BestWeights` in the Trainer's callbacks, so that the average is what is kept. The decay
    starts low and rises to ``decay``, so that the first weights are soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._steps = 0
        self._average: dict[str, Tensor] = {}
        self._own: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        return {"steps": self._steps, "average": self._average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what a checkpoint stored."""
        self._steps, self._average = state_dict["steps"], state_dict["average"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring an average from a checkpoint to the weights' device."""
        self._average = {name: value.to(pl_module.device) for name, value in self._average.items()}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average towards the weights."""
        self._average = self._average or _copy(pl_module)
        self._steps += 1
        decay = min(self._decay, self._steps / (self._steps + 9))
        weights = pl_module.state_dict()
        by_dtype: dict[torch.dtype, list[str]] = defaultdict(list)
        for name, average in self._average.items():
            by_dtype[average.dtype].append(name)
        # On a GPU that is one launch for all tensors of a dtype; one for each would take longer than a step.
        for dtype, names in by_dtype.items():
            averages, own = [self._average[name] for name in names], [weights[name] for name in names]
            if dtype.is_floating_point:
                torch._foreach_lerp_(averages, own, 1 - decay)
            else:
                torch._foreach_copy_(averages, own)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the weights by their average."""
        if trainer.state.fn == "fit":
            self._own = _copy(pl_module)
            pl_module.load_state_dict(self._average, strict=False)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the weights, for training to continue with."""
        if trainer.state.fn == "fit":
            pl_module.load_state_dict(self._own, strict=False)


class Throughput(pl.Callback):
    """Measures training images per second, without validation; the first epoch is a warm-up."""

    def __init__(self) -> None:
        self._epochs: list[float] = []
        self._images = 0
        self._start = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        return {"epochs": self._epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what a checkpoint stored."""
        self._epochs = state_dict["epochs"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        wait_for(pl_module.device)
        self._images, self._start = 0, time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images; stop the clock after the epoch's last batch, before validation."""
        self._images += len(batch[1])
        if trainer.is_last_batch:
            wait_for(pl_module.device)
            self._epochs.append(self._images / (time.perf_counter() - self._start))

    @property
    def images_per_second(self) -> float:
        """The median over all epochs but the first, or the first if it is the only one."""
        return float(np.median(self._epochs[1:] or self._epochs))


class PeakMemory(pl.Callback):
    """Measures the most memory that training steps take on a GPU, without ``resident`` bytes of images.

    The first steps are not counted: there cuDNN tries algorithms, which takes memory that later steps do not
    need. Of a step that is replayed it is what it took when it was recorded. Nor is validation. ``mib`` is
    None on a CPU, and where no other step is left.
    """

    def __init__(self, resident: Callable[[], int]) -> None:
        self.mib: float | None = None
        self._resident = resident
        self._steps = 0  # of this process

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the memory of validation."""
        _reset_peak(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Forget the memory of the first steps; read that of the others at the end of an epoch."""
        self._steps += 1
        if self._steps == _SETTLING:
            _reset_peak(pl_module)
        elif self._steps > _SETTLING and trainer.is_last_batch and pl_module.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(pl_module.device)
            if isinstance(pl_module, Replaying) and pl_module.replay:
                peak = max(peak, pl_module.replay.peak_bytes)
            self.mib = max(self.mib or 0.0, (peak - self._resident()) / 2**20)


class Predictions(pl.Callback):
    """Collects the predictions of a validation or test, in the loader's order.

    ``spread`` are the standard deviations of those that were taken last, float64 (N, T) in the scaled unit;
    None where the head has none.
    """

    def __init__(self) -> None:
        self.spread: np.ndarray | None = None
        self._batches: list[dict[str, Tensor]] = []

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Keep a batch's predictions."""
        self._batches.append(outputs)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Keep a batch's predictions."""
        self._batches.append(outputs)

    def take(self) -> np.ndarray:
        """Return the predictions since the last call, float64 (N, T) in the scaled unit, and forget them."""
        batches, self._batches = self._batches, []
        self.spread = _joined(batches, "spread") if "spread" in batches[0] else None
        return _joined(batches, "prediction")


class Progress(pl.Callback):
    """Calls ``report`` with the share of the training that is done, 0 to 1, and the last val MSE."""

    def __init__(self, report: Callable[[float, float | None], None], every_seconds: float = 0.5) -> None:
        self._report = report
        self._every = every_seconds
        self._last = 0.0
        self._score: float | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the val MSE once, here: in a step a GPU would have to finish all it was given."""
        score = trainer.callback_metrics.get("val_mse")
        self._score = None if score is None else float(score)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report, at most once in ``every_seconds``."""
        if time.monotonic() - self._last < self._every:
            return
        self._last = time.monotonic()
        self._report(trainer.global_step / trainer.estimated_stepping_batches, self._score)


def _joined(batches: Sequence[Mapping[str, Tensor]], name: str) -> np.ndarray:
    return torch.cat([batch[name] for batch in batches]).cpu().double().numpy()


def _copy(module: pl.LightningModule) -> dict[str, Tensor]:
    """Copy what training changes: all weights and buffers except frozen weights."""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    state = module.state_dict()
    return {name: value.clone() for name, value in state.items() if name not in frozen}


def _reset_peak(module: pl.LightningModule) -> None:
    if module.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(module.device)
