"""Which kernels compute: those that are ready at once, or those that are faster and take long to begin.

On a GPU the number of pixels that are trained on decides. A stop-watch would decide otherwise each time, and
with the kernels the last digits change. Importing this imports no torch.
"""

from __future__ import annotations

from contextvars import ContextVar

# Pixels of training images, epochs together, from which a long start pays. By benchmarks/gpu.sh on an H200:
# cuDNN prepares the depthwise convolutions of efficientnet_b0 in 9 to 17 s, once for each process, and is
# then faster by 8.7 s per 1e9 pixels; to try its algorithms takes 11 s more, which gains 2 s per 1e9.
_WORTH_PREPARING = 1.5e9
_WORTH_TRYING = 6e9

_depthwise_of_torch = ContextVar("depthwise_of_torch", default=False)


def is_few(pixels: float) -> bool:
    """Return whether so many pixels of training images are too few for kernels that take long to begin."""
    return pixels < _WORTH_PREPARING


def use_tf32(on_gpu: bool) -> None:
    """Multiply float32 in TF32 where a GPU does: convolutions do so anyway."""
    import torch

    torch.set_float32_matmul_precision("high" if on_gpu else "highest")


def use_kernels_for(pixels: float) -> None:
    """Have this process compute depthwise convolutions as fits that many pixels of training images.

    With few of them a GPU takes torch's own kernels; with many, and unless this is called, cuDNN's.
    """
    _depthwise_of_torch.set(is_few(pixels))


def depthwise_of_torch() -> bool:
    """Return whether a GPU computes depthwise convolutions with torch's own kernels."""
    return _depthwise_of_torch.get()


def is_worth_trying(pixels: float) -> bool:
    """Return whether cuDNN should try its algorithms for each shape, with that many pixels of training."""
    return pixels >= _WORTH_TRYING
