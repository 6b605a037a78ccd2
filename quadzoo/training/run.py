"""One run, from plan to record: seed, build, fit, test, measure, save. It has a process of its own."""

from __future__ import annotations

import io
import logging
import resource
import statistics
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytorch_lightning as pl
import safetensors
import safetensors.torch
import torch
from PIL import Image
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from quadzoo.data.datamodule import ArrayFile, DataModule
from quadzoo.errors import BadModule
from quadzoo.executors.local import Tell
from quadzoo.grid.baselines import score, scores_of
from quadzoo.grid.plan import FoldData, RunPlan, record_of
from quadzoo.model.callbacks import AveragedWeights, BestWeights, Predictions, Progress, Throughput
from quadzoo.model.depthwise import keep_depthwise_in_float32
from quadzoo.model.recipe import Recipe
from quadzoo.model.regressor import RegressionModule
from quadzoo.records.record import (
    N_WORST,
    PREDICTIONS,
    WEIGHTS,
    WORST,
    Cost,
    Failure,
    RunRecord,
    run_folder,
    sha256_of,
    write_record,
)
from quadzoo.registry import catalogue
from quadzoo.registry.specs import BackboneSpec
from quadzoo.storage import write_atomically
from quadzoo.targets import scale, unscale
from quadzoo.training.energy import EnergyMeter
from quadzoo.training.features import frozen_features

_TIMED = 0.5  # seconds of one image at a time, and again of batches, within these numbers of calls
_LATENCY_CALLS = 20, 50
_BATCH_CALLS = 3, 5
_FROZEN_SEED = 0
_INFERENCE_BATCH = 32
_THUMBNAIL = 224  # pixels of the longer side: what --image-size auto makes at most


def run(plan: RunPlan, tell: Tell) -> None:
    """Train, test and save one run; whatever goes wrong becomes a record with status failed."""
    started = datetime.now(UTC)
    try:
        record = _run(plan, tell, started)
    except BrokenPipeError:
        raise  # the parent is gone, and with it the lock: this run is not ours to record any more
    except Exception as error:
        failure = Failure(type=type(error).__name__, message=str(error), traceback=traceback.format_exc())
        record = record_of(plan, started, error=failure)
    write_record(plan.out, record)


def _run(plan: RunPlan, tell: Tell, started: datetime) -> RunRecord:
    _quiet()
    torch.set_num_threads(plan.threads)
    pl.seed_everything(plan.seed, workers=True, verbose=False)
    module = build_module(plan)
    if plan.compiled != "no":
        module.compile_training(graphs=plan.compiled == "graphs")
    data, inputs = plan.data, plan.data.images.file
    if plan.recipe.freeze:
        inputs = frozen_features(plan, module, make_trainer(plan, []))
    datamodule = DataModule(
        inputs, scale(data.targets, plan.info), data.split, plan.recipe.batch_size, plan.seed
    )
    best, speed = BestWeights(), Throughput()
    progress = Progress(lambda share, val_mse: tell((share, val_mse)))
    averaging = [AveragedWeights(plan.recipe.average)] if plan.recipe.average else []
    trainer = make_trainer(plan, [best, *averaging, speed, progress])

    fitted = Cost(fit_seconds=0.0)
    if plan.recipe.epochs:
        meter, clock = EnergyMeter(plan.device.kind == "cuda"), time.perf_counter()
        trainer.fit(module, datamodule=datamodule)
        fitted = Cost(
            fit_seconds=time.perf_counter() - clock,
            fit_energy_joules=meter.joules,
            train_images_per_second=speed.images_per_second,
        )
        best.restore(module)
    return tested(plan, module, datamodule, started=started, fitted=fitted, best_epoch=best.epoch + 1)


def tested(
    plan: RunPlan,
    module: RegressionModule,
    datamodule: DataModule,
    *,
    started: datetime,
    fitted: Cost,
    best_epoch: int,
) -> RunRecord:
    """Validate and test a trained module, measure it, save what a run leaves, and return its record.

    ``fitted`` holds what training cost, ``best_epoch`` is that of the module's weights, 0 where none was
    trained.
    """
    data, predictions, images = plan.data, Predictions(), ArrayFile(plan.data.images.file)
    trainer = make_trainer(plan, [predictions])
    val, decoding = _validated(plan, module, trainer, datamodule, predictions)
    trainer.test(module, datamodule=datamodule, verbose=False)
    test = unscale(predictions.take(), plan.info)
    worst = _worst(data, test)
    return record_of(
        plan,
        started,
        metrics=score(val, test, data.targets, data.split, data.info),
        cost=_cost(module, trainer, images).model_copy(update=fitted.model_dump(exclude_unset=True)),
        best_epoch=best_epoch or None,
        decoding=decoding,
        history=module.history,
        worst=[data.ids[row] for row in worst],
        files=_save(
            run_folder(plan.out, plan.key),
            {
                WEIGHTS: _weights(module),
                PREDICTIONS: _predictions(data, val, test),
                WORST: _thumbnails(images[torch.from_numpy(worst)].numpy()),
            },
        ),
    )


def _validated(
    plan: RunPlan,
    module: RegressionModule,
    trainer: pl.Trainer,
    datamodule: DataModule,
    predictions: Predictions,
) -> tuple[np.ndarray, str | None]:
    """Return the predictions (n_val, T) in original units, and the decoding they came by.

    Of a head's several decodings that with the lowest val MSE is taken, and stays. A head with one way to
    predict has no names for it: None.
    """
    data, found = plan.data, {}
    for name in getattr(module.head, "decodings", (None,)):
        if name is not None:
            module.head.decode_by(name)
        trainer.validate(module, datamodule=datamodule, verbose=False)
        prediction = unscale(predictions.take(), plan.info)
        found[name] = scores_of(prediction, data.targets[data.split.val], data.info)["mse"], prediction
    best = min(found, key=lambda name: found[name][0])
    if best is not None:
        module.head.decode_by(best)
    return found[best][1], best


def build_module(plan: RunPlan) -> RegressionModule:
    """Build the run's backbone and head and join them; load the weights of the model it starts from.

    A frozen backbone without pretrained weights is the same for all seeds, that its features can be shared.
    Raises BadModule for a backbone without a width, and for weights that are not those of the two.
    """
    names = catalogue.load()
    backbone, head = names.backbones[plan.backbone].spec, names.heads[plan.head].spec
    geometry = plan.data.images.geometry
    if plan.recipe.freeze:
        torch.manual_seed(_FROZEN_SEED)
    features = backbone.build(
        pretrained=plan.weights.kind == "pretrained", in_channels=geometry.channels, image_size=geometry.size
    )
    width = getattr(features, "num_features", None)
    if not isinstance(width, int):
        raise BadModule(f"backbone {plan.backbone!r} must have an int attribute num_features, has {width!r}")
    if plan.recipe.freeze:
        torch.manual_seed(plan.seed)
    answers = head.build(num_features=width, targets=plan.info)
    module = joined(backbone, features, answers, plan.recipe, geometry.channels)
    if model := plan.weights.model:
        try:
            module.load_state_dict(safetensors.torch.load_file(model.folder / WEIGHTS))
        except (RuntimeError, safetensors.SafetensorError) as error:
            told = " ".join(str(error).split())[:300]
            raise BadModule(
                f"the weights of {model.name} do not fit {plan.backbone} + {plan.head}: {told}"
            ) from error
    return module


def joined(
    spec: BackboneSpec, backbone: nn.Module, head: nn.Module, recipe: Recipe, channels: int
) -> RegressionModule:
    """Join a backbone, as built from its spec for images with so many channels, and a head."""
    keep_depthwise_in_float32(backbone)
    mean, std = ([statistics.fmean(c)] if channels == 1 else list(c) for c in (spec.mean, spec.std))
    return RegressionModule(backbone, head, recipe, mean, std)


def make_trainer(plan: RunPlan, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Return a Trainer that writes nothing and, on the CPU, gives the same digits every time."""
    on_gpu = plan.device.kind == "cuda"
    use_tf32(on_gpu)
    # With deterministic algorithms torch fills all memory it takes, which nobody reads; without,
    # efficientnet_b0 trains 8 % faster on two CPU cores.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return pl.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=1,
        precision="bf16-mixed" if plan.precision == "bf16" else "32-true",
        max_epochs=plan.recipe.epochs,
        deterministic=not on_gpu,
        benchmark=on_gpu,
        callbacks=callbacks,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def use_tf32(on_gpu: bool) -> None:
    """Multiply float32 in TF32 where a GPU does: convolutions do so anyway."""
    torch.set_float32_matmul_precision("high" if on_gpu else "highest")


def _quiet() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


def _cost(module: RegressionModule, trainer: pl.Trainer, images: ArrayFile) -> Cost:
    """Measure what the trained module needs, on the trainer's device and in its precision."""
    device = trainer.strategy.root_device
    on_gpu = device.type == "cuda"
    module.to(device).eval()
    rows = torch.arange(_INFERENCE_BATCH) % images.shape[0]
    batch = images[rows].permute(0, 3, 1, 2).to(device)

    def seconds(some: torch.Tensor, least: int, most: int) -> list[float]:
        module.predict(some).cpu()  # warms up
        taken: list[float] = []
        while len(taken) < least or (len(taken) < most and sum(taken) < _TIMED):
            clock = time.perf_counter()
            module.predict(some).cpu()  # the copy waits for the GPU
            taken.append(time.perf_counter() - clock)
        return taken

    with trainer.precision_plugin.forward_context():
        gmacs = _gmacs(module, batch[:1])
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        one = seconds(batch[:1], *_LATENCY_CALLS)
        many = seconds(batch, *_BATCH_CALLS)
    if on_gpu:
        peak_memory = torch.cuda.max_memory_allocated() / 2**20
    else:
        unit = 2**20 if sys.platform == "darwin" else 2**10
        peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return Cost(
        params=sum(parameter.numel() for parameter in module.parameters()),
        gmacs=gmacs,
        latency_ms=1000 * statistics.median(one),
        latency_p95_ms=1000 * float(np.quantile(one, 0.95)),
        images_per_second=_INFERENCE_BATCH / statistics.median(many),
        inference_batch=_INFERENCE_BATCH,
        peak_memory_mb=peak_memory,
    )


def _gmacs(module: RegressionModule, image: torch.Tensor) -> float:
    """Count the multiply-adds of one image, in 1e9."""
    # The counter knows neither fused attention nor, without gradients, torch's fused transformer layers.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module.predict(image)
    return float(counter.get_total_flops()) / 2 / 1e9


def _save(folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    """Write the files; return the SHA-256 of each."""
    for name, content in files.items():
        write_atomically(folder / name, content)
    return {name: sha256_of(folder / name) for name in files}


def _weights(module: RegressionModule) -> bytes:
    # Cloned, since safetensors refuses tensors that share memory.
    state = {name: value.cpu().contiguous().clone() for name, value in module.state_dict().items()}
    return safetensors.torch.save(state)


def _predictions(data: FoldData, val: np.ndarray, test: np.ndarray) -> bytes:
    """Return the table of what was predicted (n_val, T) and (n_test, T), in original units, as CSV."""
    rows, prediction = np.concatenate([data.split.val, data.split.test]), np.concatenate([val, test])
    _, first, group = np.unique(data.groups, return_index=True, return_inverse=True)
    columns: dict[str, object] = {
        "id": [data.ids[row] for row in rows],
        "split": ["val"] * len(val) + ["test"] * len(test),
    }
    for index, name in enumerate(data.info.names):
        truth = data.targets[:, index]
        whole = bool((truth == np.rint(truth)).all())
        columns[name] = truth[rows].astype(np.int64) if whole else truth[rows]
        columns[f"{name}_pred"] = prediction[:, index]
    columns["image_group"] = [data.ids[first[group[row]]] for row in rows]
    if data.kinds is not None:
        columns["image_kind"] = [data.kinds[row] for row in rows]
    return pd.DataFrame(columns).to_csv(index=False).encode()


def _worst(data: FoldData, test: np.ndarray) -> np.ndarray:
    """Return the rows of the test images with the largest errors, worst first."""
    error = scale(test, data.info) - scale(data.targets[data.split.test], data.info)
    order = np.argsort(-(error**2).mean(axis=1), kind="stable")
    return data.split.test[order[:N_WORST]]


def _thumbnails(images: np.ndarray) -> bytes:
    """Return images (N, H, W, C), as the network saw them, one below the other, as WebP."""
    height, width = images.shape[1:3]
    factor = min(1.0, _THUMBNAIL / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    strip = np.concatenate([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in images])
    file = io.BytesIO()
    Image.fromarray(strip).save(file, "WEBP", quality=80)
    return file.getvalue()
