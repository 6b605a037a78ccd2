"""Child's side of the choice of a precision: steps of a backbone on the first batch, in either."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from quadzoo.data.datamodule import ArrayFile
from quadzoo.executors.base import Send
from quadzoo.grid.agreement import MEMORY
from quadzoo.grid.precision import Trial
from quadzoo.model.build import build_backbone, join
from quadzoo.model.kernels import use_kernels_for, use_tf32
from quadzoo.model.recipe import Recipe
from quadzoo.registry import catalogue
from quadzoo.training.device import take

_LONGEST = 200  # characters of an error


class Steps:
    """A backbone, and the batch that its steps are taken on.

    Precisions are compared in evaluation mode: without dropout, with statistics that do not amplify what
    differs.
    """

    def __init__(self, trial: Trial) -> None:
        torch.manual_seed(0)
        kind = trial.device.kind
        use_tf32(kind == "cuda")
        use_kernels_for(trial.pixels)
        spec = catalogue.load().backbones[trial.backbone].spec
        backbone = build_backbone(spec, pretrained=False, in_channels=trial.channels, image_size=trial.size)
        self._device = kind
        self.module = join(spec, backbone, nn.Identity(), Recipe(), trial.channels).to(kind)
        self._batch = first_images(trial.images, trial.batch_size).to(kind)

    def take(self, bf16: bool) -> tuple[Tensor, Tensor]:
        """Return features, float32 (B, F, h, w), and the gradient of all weights, float32 (P,)."""
        self.module.zero_grad()
        with torch.autocast(self._device, torch.bfloat16, enabled=bf16):
            features = self.module.features(self._batch).float()
        torch.autograd.backward(features.square().mean())
        gradient = [p.grad.flatten() for p in self.module.parameters() if p.grad is not None]
        return features.detach(), torch.cat(gradient)


def first_images(file: Path, n: int) -> Tensor:
    """Return the first images of a file, uint8 or float32 (n, C, H, W); where there are fewer they repeat."""
    images = ArrayFile(file)
    return images[torch.arange(n) % images.shape[0]].permute(0, 3, 1, 2)


def errors_of(half: tuple[Tensor, Tensor], full: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Return how far features and gradient are off in bf16, as shares of the norms of float32's.

    Each pair holds features, float32 (B, F, h, w), and gradient, float32 (P,).
    """
    return {
        what: float((one - other).norm() / other.norm())
        for what, one, other in zip(("features", "gradient"), half, full, strict=True)
    }


def try_on_gpu(trial: Trial, send: Send) -> None:
    """Take a step in each precision; send how far bf16 is off, and for each why it failed, or None."""
    take(trial.device)
    steps = Steps(trial)
    steps.module.eval()
    taken: dict[str, tuple[Tensor, Tensor]] = {}
    failures: dict[str, str | None] = {}
    for name in ("32", "bf16"):  # float32 first: after some errors of a kernel a process can do no more
        failures[name] = None
        try:
            features, gradient = steps.take(name == "bf16")
            taken[name] = features.cpu(), gradient.cpu()
        except torch.OutOfMemoryError:
            failures[name] = MEMORY
        except RuntimeError as error:
            failures[name] = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
        _free(steps)
    send({**failures, **(errors_of(taken["bf16"], taken["32"]) if len(taken) == len(failures) else {})})


def _free(steps: Steps) -> None:
    """Give the other precision all memory."""
    steps.module.zero_grad()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
