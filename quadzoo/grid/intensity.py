"""Whether a backbone runs in bf16 on a CPU: by what it computes, and whether that is right. Never by time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from quadzoo.grid.agreement import faults
from quadzoo.grid.plan import PrecisionChoice

if TYPE_CHECKING:
    from quadzoo.executors.base import Send
    from quadzoo.grid.precision import Trial

ON_CPU = f"{__name__}:try_on_cpu"
"""The trial on a CPU, for a child."""
TRIED = 8
"""Images that both precisions are tried on."""

# Multiply-adds for each number that they give. bf16 makes multiplying faster, and moving numbers hardly.
# Times as fast in bf16, by benchmarks/intensity.py on a CPU with AMX: resnet18 (730) 1.6, densenet121 (411)
# 1.5, resnet50 (368) 1.5, convnext_tiny (332) 1.5, regnetx_032 (279) 1.4; vit_tiny (232) 0.9, convnext_atto
# (144) 1.1, tiny_cnn (130) 1.3, mobilenetv4_conv_small (120) 1.1, efficientnet_b0 (57) 1.0. swin_tiny (222)
# gained 1.9 times and stays in float32: no limit is right for all.
_DENSE = 250
# A trial computes each of its images twice, and may cost a tenth of the training that it decides about.
_LEAST_TRAINED = 10 * 2 * TRIED


def is_worth_a_trial(images: int) -> bool:
    """Return whether a trial costs at most 10 % of a training on ``images`` images, all epochs together."""
    return images >= _LEAST_TRAINED


def judge_on_cpu(measured: Mapping[str, Any] | str, *, dry: bool) -> tuple[PrecisionChoice, bool]:
    """Return the choice on a CPU that multiplies bf16 natively, and whether it holds for any training.

    ``measured`` has the backbone's ``intensity``, whether its modules are ``well_known`` and, where it was
    tried, how far bf16 is off; or it says why nothing could be tried. A backbone that was not tried is taken
    to be right for a ``dry`` plan, which says so, and else stays in float32.
    """
    if isinstance(measured, str):
        return PrecisionChoice("32", f"bf16 could not be tried: {measured}"), False
    count = f"{measured['intensity']:,.0f} multiply-adds an output"
    if measured["intensity"] < _DENSE:
        return PrecisionChoice("32", f"{count}: memory bounds it, and bf16 gains little"), True
    dense = f"{count}: arithmetic bounds it, and bf16 gains"
    if "features" in measured:
        wrong = faults(measured)
        return (PrecisionChoice("32", wrong) if wrong else PrecisionChoice("bf16", dense)), True
    if measured["well_known"]:
        return PrecisionChoice("bf16", f"{dense}; layers known to agree in bf16, not tried"), True
    if dry:
        return PrecisionChoice("bf16", f"{dense}; to be tried on {TRIED} images before training"), False
    return PrecisionChoice("32", f"{count}; training is too short to try bf16"), False


def try_on_cpu(question: tuple[Trial, bool], send: Send) -> None:
    """Child's side: count what the backbone computes; where ``question`` allows it, try both precisions.

    Sends ``intensity`` and ``well_known``, and how far bf16 is off for a dense backbone that is not known.
    """
    from quadzoo.model.operators import operators_of
    from quadzoo.registry import catalogue

    trial, may_try = question
    spec = catalogue.load().backbones[trial.backbone].spec
    counted = operators_of(spec, in_channels=trial.channels, image_size=trial.size)
    found: dict[str, Any] = {"intensity": counted.intensity, "well_known": counted.well_known}
    if may_try and counted.intensity >= _DENSE and not counted.well_known:
        from quadzoo.grid.precision_steps import Steps, errors_of

        steps = Steps(trial)
        steps.module.eval()
        found |= errors_of(steps.take(True), steps.take(False))
    send(found)
