"""Is bf16 right? What a trial of both precisions says, and what follows from it on a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quadzoo.grid.plan import PrecisionChoice

ON_GPU = "quadzoo.grid.precision_steps:try_on_gpu"
"""The trial on a GPU, for a child."""
MEMORY = "out of memory"
"""What a trial says of a precision that the GPU's memory does not suffice for."""

# Of the norm of float32's; a wrong result is off by about all of it.
_TOLERANCE = {"features": 0.05, "gradient": 0.05}


def faults(measured: Mapping[str, Any]) -> str:
    """Return in words how far features and gradient are off in bf16, nothing where float32's are the same."""
    off = {what: measured[what] for what, most in _TOLERANCE.items() if not measured[what] <= most}
    if not off:
        return ""
    shares = " and ".join(f"{what} {share:.0%}" for what, share in off.items())
    return f"on the first batch bf16 is off by {shares}"


def judge_on_gpu(measured: Mapping[str, Any] | str) -> tuple[PrecisionChoice, bool]:
    """Return the choice on a GPU that multiplies bf16 natively, and whether it is certain.

    There bf16 is taken where it is right: how much faster it is depends on the batch, on other runs and on
    whether kernels are compiled, and it never is much slower. ``measured`` has, besides how far bf16 is off,
    why a precision failed; or it says why nothing could be tried. Want of memory is the moment's.
    """
    if isinstance(measured, str):
        return PrecisionChoice("32", f"bf16 could not be tried: {measured}"), False
    certain = MEMORY not in (measured["32"], measured["bf16"])
    match measured["32"], measured["bf16"]:
        case None, None:
            wrong = faults(measured)
            agrees = PrecisionChoice("bf16", "on the first batch bf16 agrees with float32")
            return PrecisionChoice("32", wrong) if wrong else agrees, True
        case None, failure:
            return PrecisionChoice("32", f"bf16 fails on the first batch: {failure}"), certain
        case failure, None:
            return PrecisionChoice("bf16", f"float32 fails on the first batch: {failure}"), certain
        case failures if MEMORY in failures:
            return PrecisionChoice("bf16", "both precisions run out of memory; bf16 takes less"), False
        case failure, _:
            return PrecisionChoice("32", f"both precisions fail on the first batch: {failure}"), False
