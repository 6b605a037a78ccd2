"""What a trained module needs: parameters, arithmetic, time and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from quadzoo.data.datamodule import ArrayFile
from quadzoo.model.regressor import RegressionModule
from quadzoo.records.record import Cost
from quadzoo.system import peak_memory

_SECONDS = 0.5  # of one image at a time, and again of batches, within these numbers of calls
_LATENCY_CALLS = 20, 50
_BATCH_CALLS = 3, 5
_BATCH = 32


def measure(module: RegressionModule, trainer: pl.Trainer, images: Path, *, resident: int = 0) -> Cost:
    """Measure a trained module on the trainer's device and in its precision.

    ``images`` is the ``.npy`` of uint8 images (N, H, W, C). The peak memory of a GPU is that of predicting a
    batch, without the ``resident`` bytes of images; that of training is `PeakMemory`'s to measure.
    """
    device = trainer.strategy.root_device
    module.to(device).eval()
    file = ArrayFile(images)
    batch = file[torch.arange(_BATCH) % file.shape[0]].permute(0, 3, 1, 2).to(device)
    with trainer.precision_plugin.forward_context():
        gmacs = _gmacs(module, batch[:1])
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        one = _seconds(module, batch[:1], *_LATENCY_CALLS)
        many = _seconds(module, batch, *_BATCH_CALLS)
        peak = _peak_memory_mb(lambda: module.predict(batch), device, resident)
    return Cost(
        params=sum(parameter.numel() for parameter in module.parameters()),
        gmacs=gmacs,
        latency_ms=1000 * statistics.median(one),
        latency_p95_ms=1000 * float(np.quantile(one, 0.95)),
        images_per_second=_BATCH / statistics.median(many),
        inference_batch=_BATCH,
        peak_memory_mb=peak,
    )


def _seconds(module: RegressionModule, images: Tensor, least: int, most: int) -> list[float]:
    """Return the seconds of repeated predictions for uint8 images (B, C, H, W)."""
    module.predict(images).cpu()  # warms up
    seconds: list[float] = []
    while len(seconds) < least or (len(seconds) < most and sum(seconds) < _SECONDS):
        clock = time.perf_counter()
        module.predict(images).cpu()  # the copy waits for the GPU
        seconds.append(time.perf_counter() - clock)
    return seconds


def _peak_memory_mb(work: Callable[[], object], device: torch.device, resident: int) -> float:
    """Return the peak memory of some work on a GPU; elsewhere that of the process so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return (torch.cuda.max_memory_allocated(device) - resident) / 2**20
    return peak_memory() / 2**20


def _gmacs(module: RegressionModule, image: Tensor) -> float:
    """Count the multiply-adds for one uint8 image (1, C, H, W), in 1e9."""
    # The counter knows neither fused attention nor, without gradients, torch's fused transformer layers.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module.predict(image)
    return float(counter.get_total_flops()) / 2 / 1e9
