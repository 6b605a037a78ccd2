"""From a task and what came of it to its record. Nothing here imports torch."""

from __future__ import annotations

import hashlib
import platform
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import quadzoo
from quadzoo.records.record import (
    Code,
    Cost,
    Environment,
    Epoch,
    Failure,
    Metrics,
    Ranges,
    RunRecord,
)
from quadzoo.targets import TargetInfo
from quadzoo.training.task import Placement, Task

_MESSAGE, _DETAILS = 1000, 20_000  # characters
_LIBRARIES = ("torchvision", "timm", "pytorch-lightning")


def record_of(
    task: Task,
    placement: Placement,
    started: datetime,
    *,
    metrics: Metrics | None = None,
    cost: Cost | None = None,
    best_epoch: int | None = None,
    resumed: Sequence[int] = (),
    replayed: bool = False,
    prediction_mode: str | None = None,
    history: Sequence[Epoch] = (),
    worst: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    error: Failure | None = None,
) -> RunRecord:
    """Return the record of a run that ended now; failed where there is an ``error``.

    Raises ValidationError, a ValueError, for figures that no run can have.
    """
    identity, targets = task.identity, task.targets
    epochs = len(history) if task.recipe.epochs == "auto" and not error else None
    return RunRecord(
        key=task.key,
        status="failed" if error else "ok",
        backbone=task.backbone,
        head=task.head,
        network=None if task.network is None else dict(task.network),
        seed=task.seed,
        weights=identity.weights,
        weights_note=task.weights_note,
        loaded=identity.loaded,
        initial=task.initial,
        provenance=Code(backbone=identity.backbone, head=identity.head),
        data=task.data,
        image=identity.image,
        originals=task.originals,
        split=task.split,
        targets=list(targets.names),
        target_low=list(targets.low),
        target_high=list(targets.high),
        target_integer=list(targets.integer),
        unit=None if task.unit == targets else ranges_of(task.unit),
        metrics=metrics or Metrics(),
        baselines=task.baselines,
        cost=cost or Cost(),
        recipe=task.recipe,
        found=task.found.model_copy(update={"epochs": epochs}),
        precision=task.precision,
        precision_note=task.precision_note,
        best_epoch=best_epoch,
        prediction_mode=prediction_mode,
        history=list(history),
        worst=list(worst),
        flags=task.flags,
        environment=_environment(task, placement, resumed, replayed),
        files=dict(files or {}),
        error=error,
        started=started,
        finished=datetime.now(UTC),
    )


def failure_of(error: BaseException) -> Failure:
    """Return why a run failed, with texts of bounded length that any file can hold."""
    if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
        error = error.__context__  # which Lightning makes an exit of
    try:
        message, details = str(error), "".join(traceback.format_exception(error))
    except Exception as broken:
        message = details = f"the text of the error cannot be made ({type(broken).__name__})"
    return failure(type(error).__name__, message, details)


def failure(kind: str, message: str, details: str) -> Failure:
    """Return a `Failure` with texts of bounded length; of ``details`` the end is kept."""
    kind, message, details = (
        text.encode(errors="backslashreplace").decode() for text in (kind, message, details)
    )
    shown = message if len(message) <= _MESSAGE else f"{message[: _MESSAGE - 1]}…"
    if shown != message:  # its run's log has it whole
        details = details.replace(message, shown)
    return Failure(type=kind, message=shown, traceback=details[-_DETAILS:])


def ranges_of(unit: TargetInfo) -> Ranges:
    """Return a unit as records have it."""
    return Ranges(low=list(unit.low), high=list(unit.high), integer=list(unit.integer))


def _environment(task: Task, placement: Placement, resumed: Sequence[int], replayed: bool) -> Environment:
    return Environment(
        quadzoo=quadzoo.__version__,
        torch=version("torch"),
        python=platform.python_version(),
        device=placement.device.kind,
        device_name=placement.device.name,
        threads=placement.threads,
        compiled=placement.compiled,
        replayed=replayed,
        resumed=list(resumed),
        deterministic=placement.deterministic and placement.device.kind == "cuda",
        gpu=hashlib.sha256(gpu.encode()).hexdigest()[:8] if (gpu := placement.device.gpu) else "",
        machine=placement.machine,
        plugins={code.distribution: code.version for code in (task.identity.backbone, task.identity.head)},
        libraries={name: version(name) for name in _LIBRARIES},
    )
