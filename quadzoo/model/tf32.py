"""How float32 matrices are multiplied."""

from __future__ import annotations

import torch


def use_tf32(on_gpu: bool) -> None:
    """Multiply float32 in TF32 where a GPU does: convolutions do so anyway."""
    torch.set_float32_matmul_precision("high" if on_gpu else "highest")
