"""Ask, in processes of their own, what the network and the compiler have to give, before anything trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

from quadzoo.data.geometry import Geometry
from quadzoo.errors import ConfigError, WeightsError
from quadzoo.executors.base import (
    Executor,
    Job,
    Needs,
    NoAnswer,
    Send,
    answer,
    asked,
    side_by_side,
    why_it_ended,
)
from quadzoo.grid.plan import Weights
from quadzoo.training.device import take
from quadzoo.training.task import FROM_FILE, Device

_PATIENCE = 10.0  # seconds from asking for weights to having them, with `weights` auto
_LONG = 1800.0  # with `weights` pretrained, and for a build without weights
_AT_ONCE = 4
_ASKING = "asking"  # a child says so when it begins to look for pretrained weights


def check_compiler(executor: Executor, device: Device) -> None:
    """Check that torch can compile for the device. Raises ConfigError where it has no compiler."""
    needs = Needs(gpus=int(device.kind == "cuda"))
    with asked(executor, f"{__name__}:try_compiler", device, needs) as job:
        answers = list(job.messages(timeout=_LONG)) or [why_it_ended(job)]
        job.wait(_PATIENCE)  # a compiler clears up behind it
    if answers[0]:
        raise ConfigError(
            f"`compile`: torch cannot compile for {device.name}: {answers[0]}; install a C++ compiler, or "
            "leave `compile` out"
        )


def find_weights(
    executor: Executor,
    backbones: Iterable[str],
    wanted: str,
    geometry: Geometry,
    *,
    timeout: float | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Weights]:
    """Decide what each backbone starts from, asking for several at once.

    ``wanted`` is auto, pretrained, none or a file of weights; a build may take ``timeout`` seconds;
    ``advance`` is given the number of further answers. Raises WeightsError when ``pretrained`` is wanted and
    not available, and for a file that does not fit.
    """
    if wanted == "none":
        return {name: Weights("none", "as asked for") for name in backbones}
    advance(0)
    longest = timeout or _LONG
    ask: Callable[[Any], Weights]
    if wanted in ("auto", "pretrained"):
        ask = partial(_ask, executor, longest, min(longest, _PATIENCE) if wanted == "auto" else longest)
        questions: list[Any] = [(name, geometry.channels, geometry.size) for name in backbones]
    else:
        ask, file = partial(_of_file, executor, longest), Path(wanted).absolute()
        questions = [(name, geometry.channels, geometry.size, file) for name in backbones]
    answers: dict[str, Weights] = {}
    for name, weights in zip(backbones, side_by_side(ask, questions, _AT_ONCE), strict=True):
        answers[name] = weights
        advance(1)
    if wanted == "pretrained":
        for name, weights in answers.items():
            if weights.kind != "pretrained":
                raise WeightsError(
                    f"`weights` pretrained: {name} has no pretrained weights available ({weights.note}); "
                    "`weights` auto trains it from scratch"
                )
    return answers


def _of_file(executor: Executor, longest: float, question: tuple[str, int, tuple[int, int], Path]) -> Weights:
    name, _, _, file = question
    try:
        found = answer(executor, f"{__name__}:try_file", question, longest)
    except NoAnswer as error:
        raise WeightsError(f"`weights` {file.name}: loading it into {name} failed: {error}") from error
    if isinstance(found, str):
        raise WeightsError(found)
    return cast(Weights, found)


def _ask(
    executor: Executor, longest: float, patience: float, question: tuple[str, int, tuple[int, int]]
) -> Weights:
    with asked(executor, f"{__name__}:try_weights", question) as job:
        return _answer(question[0], job, longest, patience)


def _answer(backbone: str, job: Job, longest: float, patience: float) -> Weights:
    deadline = time.monotonic() + longest
    asking = False
    while (remaining := deadline - time.monotonic()) > 0:
        messages = list(job.messages(remaining))
        for message in messages:
            if message == _ASKING:
                asking = True
                deadline = time.monotonic() + patience
            else:
                return cast(Weights, message)
        if not messages and job.ended:
            if asking:
                raise WeightsError(
                    f"loading pretrained weights of {backbone} failed: {why_it_ended(job)}; try again, or "
                    "`weights` none trains from scratch"
                )
            return Weights("none", why_it_ended(job))
    if not asking:
        return Weights("none", f"building it without weights timed out ({longest:.0f} s)")
    return Weights("none", f"download timed out ({patience:.0f} s); `weights` pretrained waits longer")


def try_weights(question: tuple[str, int, tuple[int, int]], send: Send) -> None:
    """Child's side:

    build (backbone, in_channels, image_size) without weights, then with; send what was loaded.
    """
    from quadzoo.model.operators import sketched_backbone
    from quadzoo.model.weights import watched_loading
    from quadzoo.registry import catalogue

    name, in_channels, image_size = question
    spec = catalogue.load().backbones[name].spec
    try:
        # First without: imports and the image size are not the network's fault.
        sketched_backbone(spec, in_channels=in_channels, image_size=image_size)
        send(_ASKING)
        with watched_loading() as loading:
            backbone = spec.build(pretrained=True, in_channels=in_channels, image_size=image_size)
        loaded = loading.of(backbone)
    except Exception as error:
        # A plugin that says so has none; anything else is named.
        kind = "" if isinstance(error, ValueError | LookupError) else f"{type(error).__name__}: "
        lines = f"{kind}{error}".splitlines() or [type(error).__name__]
        send(Weights("none", lines[0][:200]))
    else:
        send(Weights("pretrained", str(loaded), loaded))


def try_file(question: tuple[str, int, tuple[int, int], Path], send: Send) -> None:
    """Child's side: build (backbone, in_channels, image_size), load the file into it, send what was loaded.

    What is wrong is sent as a line.
    """
    from quadzoo.model.checkpoint import load_weights, read_checkpoint
    from quadzoo.registry import catalogue

    name, in_channels, image_size, file = question
    spec = catalogue.load().backbones[name].spec
    try:
        state = read_checkpoint(file)
        backbone = spec.build(pretrained=False, in_channels=in_channels, image_size=image_size)
        loaded = load_weights(backbone, state, file.name)
    except WeightsError as error:
        told = str(error)
        send(told if told.startswith("`weights`") else f"`weights`: {name} cannot take {told}")
    except Exception as error:
        lines = f"{type(error).__name__}: {error}".splitlines()
        send(f"`weights` {file.name}: it cannot be loaded into {name}: {lines[0][:150]}")
    else:
        send(Weights(FROM_FILE, str(loaded), loaded))


def try_compiler(device: Device, send: Send) -> None:
    """Child's side: compile a sum; send why that fails, None where it works."""
    take(device)
    import torch

    try:
        torch.compile(lambda numbers: numbers.sin() + 1)(torch.zeros(8, device=device.kind))
    except Exception as error:
        lines = f"{type(error).__name__}: {error}".splitlines()
        send(" ".join(lines[:2]).strip()[:300])
    else:
        send(None)
