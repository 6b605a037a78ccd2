"""The files of a finished run: weights, predictions, the worst images, the digests of what it has seen."""

from __future__ import annotations

import io

import numpy as np
import safetensors.torch
import torch
from PIL import Image

from quadzoo.data.datamodule import ArrayFile
from quadzoo.data.fold import Fold
from quadzoo.data.geometry import shrunk, viewable
from quadzoo.metrics import means
from quadzoo.model.regressor import RegressionModule
from quadzoo.records import predictions, seen
from quadzoo.records.record import N_WORST, PREDICTIONS, SEEN, WEIGHTS, WORST, run_folder, sha256_of
from quadzoo.records.trained import PREDICTS, predicts
from quadzoo.storage import write_atomically
from quadzoo.targets import scale
from quadzoo.training.task import Placement, Task

_THUMBNAIL = 224  # pixels of the longer side: what `image_size` auto makes at most


def save(
    task: Task,
    placement: Placement,
    fold: Fold,
    module: RegressionModule,
    *,
    val: np.ndarray,
    test: np.ndarray,
    spread: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[dict[str, str], list[str]]:
    """Write all files of a run but its record; return the SHA-256 of each, and the ids of the worst images.

    ``val`` (n_val, T) and ``test`` (n_test, T) are predictions, float64, in original units, ``spread`` the
    standard deviations that the head gives them. Raises OSError where a file cannot be written.
    """
    worst = _worst(task, fold, test)
    images = ArrayFile(placement.images)[torch.from_numpy(worst)].numpy()
    files = {
        WEIGHTS: _weights(module, task),
        PREDICTIONS: predictions.of_fold(fold, task.targets.names, val, test, spread),
        WORST: _thumbnails(images),
    }
    known = seen.of_run(fold.digests, fold.split.train, fold.split.val, placement.initial, task.epochs)
    if known is not None:
        files[SEEN] = known
    folder = run_folder(placement.out, task.key)
    for name, content in files.items():
        write_atomically(folder / name, content)
    return {name: sha256_of(folder / name) for name in files}, [fold.ids[row] for row in worst]


def _weights(module: RegressionModule, task: Task) -> bytes:
    # Cloned, since safetensors refuses tensors that share memory.
    state = {name: value.cpu().contiguous().clone() for name, value in module.state_dict().items()}
    return safetensors.torch.save(state, {PREDICTS: predicts(task.targets, task.unit)})


def _worst(task: Task, fold: Fold, test: np.ndarray) -> np.ndarray:
    """Return the rows int64 of the test images with the largest errors, largest first."""
    error = scale(test, task.targets) - scale(fold.targets[fold.split.test], task.targets)
    order = np.argsort(-means((error**2).T, ~np.isnan(error).T), kind="stable")
    return fold.split.test[order[:N_WORST]]


def _thumbnails(images: np.ndarray) -> bytes:
    """Return images (N, H, W, C), 0 to 255, as the network saw them, one below the other, as WebP."""
    height, width = images.shape[1:3]
    factor = min(1.0, _THUMBNAIL / max(height, width))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    strip = np.concatenate([shrunk(viewable(one), size) for one in images])
    file = io.BytesIO()
    Image.fromarray(strip).save(file, "WEBP", quality=80)
    return file.getvalue()
