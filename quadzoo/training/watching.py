"""Loggers that show how a run goes: curves, hyper-parameters, the worst images. They change nothing of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from torch import Tensor

from quadzoo.executors.base import Send
from quadzoo.records.predictions import of_targets, read_predictions
from quadzoo.records.record import PREDICTIONS, WORST, RunRecord, run_folder
from quadzoo.training.task import LOGS, Placement, Task

_WORST = "worst_test_images"
_LONGEST = 200  # characters of a warning
_QUIET = {
    # Neither sends anything of its own accord.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}


class SafeLogger(Logger):
    """A logger of Lightning's that cannot fail: at its first error ``warn`` is told, and it goes silent.

    Hyper-parameters of the module are left to `describe`, which has all of the run's.
    """

    def __init__(self, kind: str, make: Callable[[], Logger], warn: Callable[[str], None]) -> None:
        super().__init__()
        self.kind = kind
        self._warn = warn
        self._inner: Logger | None = None
        self._inner = self._tried(make)

    @property
    def name(self) -> str:
        """The kind of the logger."""
        return self.kind

    @property
    def version(self) -> str:
        """Nothing: what it writes has a folder of its own."""
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Pass on figures of a step."""
        self.call(lambda inner: inner.log_metrics(dict(metrics), step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Drop those of the module."""

    def describe(self, facts: Mapping[str, Any], metrics: Mapping[str, float] | None = None) -> None:
        """Pass on the hyper-parameters of the run; TensorBoard shows them beside ``metrics``."""
        if self.kind == "tensorboard":
            self.call(lambda inner: inner.log_hyperparams(dict(facts), dict(metrics or {})))
        elif metrics is None:
            self.call(lambda inner: inner.log_hyperparams(dict(facts)))

    def save(self) -> None:
        """Have it write what it has."""
        self.call(lambda inner: inner.save())

    def finalize(self, status: str) -> None:
        """Only have it write: more is to come when training has ended; `close` is the end."""
        self.save()

    def close(self, status: str) -> None:
        """End it; ``status`` is success or failed."""
        self.call(lambda inner: inner.save())
        self.call(lambda inner: inner.finalize(status))
        if self.kind == "wandb":
            self.call(lambda inner: inner.experiment.finish(exit_code=int(status != "success")))

    def call(self, work: Callable[[Any], object]) -> None:
        """Do something with Lightning's logger, unless it has failed."""
        self._tried(lambda: work(self._inner) if self._inner else None)

    def _tried(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (Exception, SystemExit) as error:
            self._inner = None
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            self._warn(f"logger {self.kind} failed, and is left out: {reason}"[:_LONGEST])
            return None


class Curves(pl.Callback):
    """Gives the loggers of a Trainer the mean loss of each epoch, and the learning rate at its end."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin anew."""
        self._losses = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep a batch's loss, on its device."""
        self._losses.append(outputs["loss"].detach())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log both."""
        loss = float(sum(self._losses)) / max(1, len(self._losses))
        pl_module.log_dict({"train_loss": loss, "lr": trainer.optimizers[0].param_groups[0]["lr"]})


@contextmanager
def watching(task: Task, placement: Placement, send: Send) -> Iterator[list[SafeLogger]]:
    """Begin the loggers that the placement asks for, and end them with the block; none can make a run fail.

    ``send`` is given a line for each that fails. They write to OUT/logs alone.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    folder = placement.out / LOGS
    started = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")

    def warn(text: str) -> None:
        sys.stderr.write(f"warning: {text}\n")  # to the run's log
        send(text)

    loggers = [
        SafeLogger(kind, lambda kind=kind: _logger(kind, task, folder, started), warn)  # type: ignore[misc]
        for kind in placement.loggers
    ]
    status = "failed"
    try:
        for logger in loggers:
            logger.describe(_facts(task))
        yield loggers
        status = "success"
    finally:
        for logger in loggers:
            logger.close(status)


def show(loggers: list[SafeLogger], task: Task, placement: Placement, record: RunRecord) -> None:
    """Log the scores of a run that ended well, and the test images that it predicts worst."""
    if not loggers:
        return
    metrics = record.metrics
    scores = {"best_val_mse": metrics.val_mse or 0.0, "test_mse": metrics.test_mse or 0.0}
    scores |= {f"test_rmse/{target}": value for target, value in (metrics.test_rmse or {}).items()}
    for logger in loggers:
        logger.log_metrics(scores, record.epochs or 0)
        logger.describe(_facts(task), {f"hp/{name}": value for name, value in scores.items()})
        if logger.kind != "csv":  # worst.webp of the run has the same images
            logger.call(lambda inner, kind=logger.kind: _show_worst(kind, inner, placement, record))  # type: ignore[misc]


def _logger(kind: str, task: Task, folder: Path, started: str) -> Logger:
    name = "".join(one if one.isalnum() or one in "._+" else "-" for one in f"{task.backbone}-{task.head}")
    fold = f"-fold{task.split.fold}" if task.split.folds > 1 else ""
    share = f"-share{task.split.train_share:g}" if task.split.train_share < 1 else ""
    run = f"{name}-seed{task.seed}{fold}{share}-{task.key[:8]}"
    place = folder / kind
    match kind:
        case "csv":
            return CSVLogger(place, name=run, version=started)
        case "tensorboard":
            return TensorBoardLogger(place, name=run, version=started, default_hp_metric=False)
        case "mlflow":
            address = os.environ.get("MLFLOW_TRACKING_URI") or place.as_uri()
            logger = MLFlowLogger(task.data.name, run_name=f"{run}-{started}", tracking_uri=address)
            assert logger.run_id  # begins the run
            return logger
        case _:
            place.mkdir(parents=True, exist_ok=True)
            wandb = import_module("wandb")
            offline = os.environ.get("WANDB_MODE", "offline") == "offline"
            settings = wandb.Settings(console="off", disable_git=True, x_disable_stats=True)
            project = os.environ.get("WANDB_PROJECT", "quadzoo")
            begun = WandbLogger(
                f"{run}-{started}", place, offline=offline, project=project, settings=settings
            )
            assert begun.experiment  # begins the run
            return begun


def _facts(task: Task) -> dict[str, Any]:
    """Return what was asked for, flat."""
    identity = task.identity
    return {
        "key": task.key,
        "backbone": task.backbone,
        "head": task.head,
        "seed": task.seed,
        "weights": identity.weights,
        "data": task.data.name,
        "split": task.split.name,
        "fold": task.split.fold,
        "n_train": task.split.n_train,
        "n_val": task.split.n_val,
        "n_test": task.split.n_test,
        "image_size": "x".join(map(str, identity.image.size)),
        "precision": task.precision,
        **{f"recipe/{name}": value for name, value in task.trained_recipe.model_dump().items()},
        "recipe/epochs": task.epochs,
    }


def _show_worst(kind: str, inner: Any, placement: Placement, record: RunRecord) -> None:
    folder = run_folder(placement.out, record.key)
    table = read_predictions(folder / PREDICTIONS, record.targets)
    table = table[table["split"] == "test"].set_index("id").loc[record.worst]
    truths, predictions = of_targets(table, record.targets)
    with Image.open(folder / WORST) as strip:
        images = np.split(np.asarray(strip.convert("RGB")), len(record.worst))
    captions = [
        f"{name}: " + ", ".join(
            f"{target} {truth:.6g}, predicted {prediction:.6g}"
            for target, truth, prediction in zip(record.targets, *rows, strict=True)
        )
        for name, *rows in zip(record.worst, truths, predictions, strict=True)
    ]  # fmt: skip
    if kind == "tensorboard":
        inner.experiment.add_images(_WORST, np.stack(images), record.epochs or 0, dataformats="NHWC")
        inner.experiment.add_text(_WORST, "\n".join(f"1. {one}" for one in captions), record.epochs or 0)
    elif kind == "wandb":
        inner.log_image(_WORST, images, caption=captions)
    else:
        for number, image in enumerate(images):
            inner.experiment.log_image(inner.run_id, image, artifact_file=f"{_WORST}/{number:02}.png")
        inner.experiment.log_text(inner.run_id, "\n".join(captions), f"{_WORST}/captions.txt")
