"""One run, from task to record: seed, build, fit, test, measure, save. It has a process of its own."""

from __future__ import annotations

import logging
import signal
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from quadzoo.data.datamodule import DataModule
from quadzoo.data.fold import Fold
from quadzoo.errors import NonFinitePrediction
from quadzoo.executors.base import Send
from quadzoo.metrics import scores_of
from quadzoo.model.build import build_head, join, load_weights
from quadzoo.model.callbacks import (
    AveragedWeights,
    BestWeights,
    PeakMemory,
    Predictions,
    Progress,
    Throughput,
)
from quadzoo.model.contract import backbone_width
from quadzoo.model.kernels import is_worth_trying, use_kernels_for, use_tf32
from quadzoo.model.regressor import RegressionModule
from quadzoo.records.predictions import MOST
from quadzoo.records.record import (
    WEIGHTS,
    Cost,
    Epoch,
    Metrics,
    RunRecord,
    run_folder,
    write_record,
)
from quadzoo.registry import catalogue
from quadzoo.system import end_by
from quadzoo.targets import scale, unscale, unscale_spread
from quadzoo.threads import CpuTime
from quadzoo.training.artifacts import save
from quadzoo.training.backbone import started_backbone
from quadzoo.training.checkpoint import Checkpoints, NotRestored, WholeCheckpoints, is_of_surroundings
from quadzoo.training.contention import Contention
from quadzoo.training.cost import measure
from quadzoo.training.device import take
from quadzoo.training.energy import CostMeter
from quadzoo.training.features import frozen_features, further_bands
from quadzoo.training.memory import explained
from quadzoo.training.outcome import failure_of, record_of
from quadzoo.training.start import draw_to_mean, start_head
from quadzoo.training.task import Placement, Task
from quadzoo.training.watching import Curves, show, watching

_FROZEN_SEED = 0
_MOMENT = 1.0  # seconds in which chance decides who gets a CPU


def run(work: tuple[Task, Placement], send: Send) -> None:
    """Train, test and save one run; whatever goes wrong becomes a record with status failed.

    ``send`` is given the share of the training that is done and the last val MSE, from time to time.
    """
    task, placement = work
    started = datetime.now(UTC)
    take(placement.device)
    folder = run_folder(placement.out, task.key)
    checkpoints = Checkpoints(folder, task, placement.checkpoint_minutes, send)
    is_kept = False
    try:
        record = _run(task, placement, send, started, checkpoints)
    except BrokenPipeError:
        raise  # the parent is gone, and with it the lock: this run is not ours to record any more
    except SIGTERMException:  # what Lightning makes of the signal
        end_by(signal.SIGTERM)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # no signal: this process ignores SIGINT
        traceback.print_exc()  # whole, in the run's log
        record = record_of(task, placement, started, error=failure_of(error))
        is_kept = is_of_surroundings(error)
    write_record(placement.out, record)
    if not is_kept:
        checkpoints.discard()


def _run(
    task: Task, placement: Placement, send: Send, started: datetime, checkpoints: Checkpoints
) -> RunRecord:
    with watching(task, placement, send) as loggers:
        fit = trained(task, placement, send, checkpoints, loggers)
        with explained(task, placement, lambda: fit.datamodule.resident_bytes):
            record = tested(
                task,
                placement,
                fit.fold,
                fit.module,
                fit.datamodule,
                started=started,
                fitted=fit.cost,
                best_epoch=fit.best_epoch,
                resumed=checkpoints.resumed,
            )
        show(loggers, task, placement, record)
    return record


class Trained(NamedTuple):
    """A module with its best weights, its data, what training cost, and the epoch of the weights, from 1.

    Epoch 0 is before training; None where there was none.
    """

    fold: Fold
    module: RegressionModule
    datamodule: DataModule
    cost: Cost
    best_epoch: int | None


def trained(
    task: Task,
    placement: Placement,
    send: Send,
    checkpoints: Checkpoints | None = None,
    loggers: Sequence[Logger] = (),
) -> Trained:
    """Build the task's module and train it on this process's device; no test image is used.

    ``send`` is given the share of the training that is done and the last val MSE, from time to time;
    ``loggers`` get the curves. ``checkpoints`` are written, and training goes on from the last one. Raises
    NonFiniteLoss when training diverges, and OutOfMemory where the GPU has too little memory.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    torch.set_num_threads(placement.threads)
    pl.seed_everything(task.seed, workers=True, verbose=False)
    module = build_module(task, placement)
    if placement.compiled != "no":
        module.compile_training()
    if placement.device.kind == "cuda" and placement.replay:
        module.replay_training()
    fold, inputs = Fold.load(placement.fold), placement.images
    if task.recipe.freeze:
        with explained(task, placement):
            inputs = frozen_features(task, placement, module, make_trainer(task, placement, []))
    targets = scale(fold.targets, task.unit)
    datamodule = DataModule(
        inputs, targets, fold.split, task.recipe.batch_size, task.seed, memory=placement.device.memory
    )
    best, speed, memory = BestWeights(), Throughput(), PeakMemory(lambda: datamodule.resident_bytes)
    progress = Progress(lambda share, val_mse: send((share, val_mse)))
    averaging = [AveragedWeights(task.recipe.average)] if task.recipe.average else []
    others = [*([Curves()] if loggers else []), *([checkpoints] if checkpoints else [])]
    others.append(Contention(placement, send))
    trainer = make_trainer(task, placement, [best, *averaging, speed, memory, progress, *others], loggers)

    fitted = Cost(fit_seconds=0.0)
    if task.epochs:
        times = CpuTime() if placement.device.kind == "cpu" else None
        meter = CostMeter(placement.device.kind == "cuda", shared=placement.device_shared_by > 1)
        path = checkpoints.path if checkpoints and checkpoints.resume(module, meter) else None
        trains = any(parameter.requires_grad for parameter in module.parameters())
        try:
            with explained(task, placement, lambda: datamodule.resident_bytes):
                if path is None:
                    start_head(task, module, datamodule, trainer, best)
                if trains:
                    with checkpoints.restoring() if checkpoints else nullcontext():
                        trainer.fit(module, datamodule=datamodule, ckpt_path=path, weights_only=True)
        except NotRestored:  # a part of it may be in place
            return trained(task, placement, send, checkpoints, loggers)
        fitted = Cost(
            fit_seconds=meter.seconds,
            fit_energy_joules=meter.joules,
            cpu_share=times.share() if times and meter.seconds > _MOMENT else None,
            train_images_per_second=speed.images_per_second if trains else None,
            **({} if memory.mib is None else {"peak_memory_mb": memory.mib}),
        )
        best.restore(module)
        draw_to_mean(module, datamodule, trainer)
        if module.replay and module.replay.why_not:
            send(f"its steps are not replayed as a CUDA graph, which is slower: {module.replay.why_not}")
    return Trained(fold, module, datamodule, fitted, best.epoch + 1 if task.epochs else None)


def tested(
    task: Task,
    placement: Placement,
    fold: Fold,
    module: RegressionModule,
    datamodule: DataModule,
    *,
    started: datetime,
    fitted: Cost,
    best_epoch: int | None,
    resumed: Sequence[int],
) -> RunRecord:
    """Validate and test a trained module, measure it, save what a run leaves, and return its record.

    ``fitted`` holds what training cost. ``best_epoch`` is that of the module's weights: 0 where they are the
    first ones, None where nothing was trained; ``resumed`` are those after which training was resumed.
    Raises NonFinitePrediction for a prediction that is NaN or infinite.
    """
    predictions = Predictions()
    trainer = make_trainer(task, placement, [predictions])
    val, val_spread, prediction_mode = validated(
        task, fold, module, datamodule, trainer=trainer, predictions=predictions
    )
    trainer.test(module, datamodule=datamodule, verbose=False)
    test, test_spread = _taken(predictions, task)
    for side, values in (("val", val), ("test", test)):
        check_finite(side, values, task)
    spread = None
    if val_spread is not None and test_spread is not None:
        spread = val_spread, test_spread
        for side, values in zip(("val", "test"), spread, strict=True):
            check_spread(side, values, task)
    metrics = Metrics.of(
        scores_of(val, fold.targets[fold.split.val], task.targets),
        scores_of(test, fold.targets[fold.split.test], task.targets),
    )
    measured = measure(module, trainer, placement.images, resident=datamodule.resident_bytes)
    cost = measured.model_copy(update=fitted.model_dump(exclude_unset=True))
    files, worst = save(task, placement, fold, module, val=val, test=test, spread=spread)
    return record_of(
        task,
        placement,
        started,
        metrics=metrics,
        cost=cost,
        best_epoch=best_epoch,
        resumed=resumed,
        replayed=module.is_replayed,
        prediction_mode=prediction_mode,
        history=[Epoch.model_validate(scores) for scores in module.history],
        worst=worst,
        files=files,
    )


def check_finite(side: str, values: np.ndarray, task: Task) -> None:
    """Check the predictions for a side, float64 (N, T).

    Raises NonFinitePrediction for one that is NaN, infinite, or so large that nobody can read it again.
    """
    _refuse(~np.isfinite(values), "predicts NaN or infinity", side, task)
    _refuse(np.abs(values) > MOST, f"predicts numbers beyond {MOST:g}", side, task)


def check_spread(side: str, values: np.ndarray, task: Task) -> None:
    """Check the spread of the predictions for a side, float64 (N, T).

    Raises NonFinitePrediction for one that is no positive number.
    """
    _refuse(~(np.isfinite(values) & (values > 0)), "gives no positive spread", side, task)


def _refuse(bad: np.ndarray, what: str, side: str, task: Task) -> None:
    if n := int(bad.any(axis=1).sum()):
        raise NonFinitePrediction(f"{task.head} {what} for {n} of {len(bad)} {side} images")


def _taken(predictions: Predictions, task: Task) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the collected predictions and their spread, float64 (N, T) in original units."""
    values, spread = unscale(predictions.take(), task.unit), predictions.spread
    return values, None if spread is None else unscale_spread(spread, task.unit)


def validated(
    task: Task,
    fold: Fold,
    module: RegressionModule,
    datamodule: DataModule,
    *,
    trainer: pl.Trainer,
    predictions: Predictions,
) -> tuple[np.ndarray, np.ndarray | None, str | None]:
    """Return predictions and their spread, float64 (n_val, T) in original units, and their prediction mode.

    The spread is None where the head has none. Of a head's several modes that with the lowest val MSE is
    taken, and stays. A head with one way to predict has no names for it: None. ``predictions`` is a callback
    of ``trainer``.
    """
    found: dict[str | None, tuple[float, np.ndarray, np.ndarray | None]] = {}
    for mode in getattr(module.head, "prediction_modes", (None,)):
        if mode is not None:
            module.head.use_prediction_mode(mode)
        trainer.validate(module, datamodule=datamodule, verbose=False)
        prediction, spread = _taken(predictions, task)
        mse = scores_of(prediction, fold.targets[fold.split.val], task.targets)["mse"]
        found[mode] = mse, prediction, spread
    best = min(found, key=lambda mode: found[mode][0])
    if best is not None:
        module.head.use_prediction_mode(best)
    _, prediction, spread = found[best]
    return prediction, spread, best


def build_module(task: Task, placement: Placement) -> RegressionModule:
    """Build the task's backbone and head and join them; load the weights of the model it starts from.

    A frozen backbone without pretrained weights is the same for all seeds, so that its features can be
    shared. Raises BadModule for a backbone or head that breaks the plugin contract, and for weights that do
    not fit or are no longer those of the task.
    """
    names = catalogue.load()
    backbone, head = names.backbones[task.backbone].spec, names.heads[task.head].spec
    image = task.identity.image
    if task.recipe.freeze:
        torch.manual_seed(_FROZEN_SEED)
    features = started_backbone(backbone, task, placement)
    if task.recipe.freeze:
        torch.manual_seed(task.seed)
    answers = build_head(head, num_features=backbone_width(features), targets=task.unit)
    module = join(
        backbone,
        features,
        answers,
        task.trained_recipe,
        image.channels,
        targets=task.unit,
        scored=task.targets,
        further=further_bands(placement, image.channels),
    )
    if placement.initial:
        who = f"{task.identity.weights} do not fit {task.backbone} + {task.head}"
        load_weights(module, placement.initial / WEIGHTS, who)
    return module


def make_trainer(
    task: Task, placement: Placement, callbacks: list[pl.Callback], loggers: Sequence[Logger] = ()
) -> pl.Trainer:
    """Return a Trainer that, but for its loggers, writes nothing.

    On the CPU it gives the same digits each time, on a GPU where the placement is ``deterministic``; there a
    layer that has no such kernel is an error.
    """
    kind = placement.device.kind
    on_gpu = kind == "cuda"
    use_tf32(on_gpu)
    use_kernels_for(task.pixels)
    # With deterministic algorithms torch fills all memory it takes, which nobody reads; without,
    # efficientnet_b0 trains 8 % faster on two CPU cores.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return pl.Trainer(
        accelerator=kind,
        devices=1,
        precision="bf16-mixed" if task.precision == "bf16" else "32-true",
        max_epochs=task.epochs,
        check_val_every_n_epoch=task.recipe.validate_every(task.split.n_train),
        deterministic=kind == "cpu" or (on_gpu and placement.deterministic),
        # cuDNN times a few algorithms for each shape; ROCm's MIOpen would search through all, for minutes.
        benchmark=on_gpu
        and is_worth_trying(task.pixels)
        and not placement.deterministic
        and torch.version.hip is None,
        callbacks=callbacks,
        num_sanity_val_steps=0,
        logger=list(loggers) or False,
        enable_checkpointing=any(isinstance(one, Checkpoints) for one in callbacks),
        plugins=[WholeCheckpoints()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
