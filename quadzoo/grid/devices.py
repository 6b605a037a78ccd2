"""Find the devices that runs train on: `device`, in processes of their own, since this one touches no GPU."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from quadzoo.errors import ConfigError, QuadzooError
from quadzoo.executors.base import NO_NEEDS, Executor, Needs, NoAnswer, Send, answer, side_by_side
from quadzoo.records.record import DeviceKind
from quadzoo.system import cpu_name
from quadzoo.training.device import take, visible_variable
from quadzoo.training.task import Device

_LONG = 1800.0  # seconds for importing torch, which a slow disk may take
_PATIENCE = 120.0  # seconds for a GPU to start and compute a convolution


@dataclass(frozen=True)
class Machine:
    """What torch sees: the CPU; how CUDA_VISIBLE_DEVICES names each GPU, in torch's order.

    ``no_gpu`` and ``no_mps`` say why there is none; ``no_mps`` is None where there is one.
    """

    cpu: Device
    gpus: tuple[str, ...]
    no_gpu: str
    no_mps: str | None


@dataclass(frozen=True)
class Tried:
    """A device that was tried: ``unusable`` says why no network can be trained on it."""

    device: Device
    unusable: str | None


def find_device(executor: Executor, wanted: str) -> Device:
    """Return the first of `find_devices`."""
    return find_devices(executor, wanted)[0]


def find_devices(
    executor: Executor, wanted: str, note: Callable[[str], None] = lambda _: None
) -> tuple[Device, ...]:
    """Return the devices that runs use: GPUs, each with its free memory, or the CPU, or Apple's GPU.

    ``wanted`` is auto, cpu, mps, cuda for all GPUs, or cuda:0,1 for some, numbered as torch does within
    CUDA_VISIBLE_DEVICES. ``note`` is given a line for each GPU that torch sees and cannot use, and is left
    out. Raises ConfigError where a device that was named cannot be used.
    """
    if executor.machines():
        return (_of_a_node(executor, wanted, note),)
    machine = cast(Machine, _ask(executor, "tell_machine", None))
    if wanted == "cpu":
        return (machine.cpu,)
    if wanted == "mps":
        return (_mps(executor, machine),)
    if not machine.gpus:
        if wanted == "auto":
            return (machine.cpu,)
        raise ConfigError(f"`device` {wanted}: {machine.no_gpu}; `device` cpu works everywhere")
    numbers = _numbers(wanted, len(machine.gpus))
    gpus = [machine.gpus[number] for number in numbers]
    tried = list(side_by_side(partial(_tried, executor), gpus, len(gpus)))
    good = [one.device for one in tried if not one.unusable]
    bad = [
        f"GPU {number} ({one.device.name}) cannot be used: {one.unusable}"
        for number, one in zip(numbers, tried, strict=True)
        if one.unusable
    ]
    if bad and (wanted.startswith("cuda:") or (wanted == "cuda" and not good)):
        raise ConfigError(f"`device` {wanted}: {bad[0]}; `device` cpu works everywhere")
    for line in bad:
        note(f"warning: {line}; {'it is left out' if good else 'runs use the CPU'}")
    native = all(device.bf16 for device in good)  # the precision is one for all of them
    return tuple(replace(device, bf16=native) for device in good) or (machine.cpu,)


def _numbers(wanted: str, there: int) -> Sequence[int]:
    _, _, named = wanted.partition(":")
    numbers = [int(number) for number in named.split(",")] if named else range(there)
    for number in numbers:
        if number >= there:
            seen = "one GPU, number 0" if there == 1 else f"{there} GPUs, 0 to {there - 1}"
            raise ConfigError(f"`device` {wanted}: torch sees {seen}")
    return numbers


def _mps(executor: Executor, machine: Machine) -> Device:
    reason = machine.no_mps
    device = _mps_of(machine.cpu)
    if reason is None:
        reason = _try(executor, device).unusable
    if reason is not None:
        raise ConfigError(f"`device` mps: {reason}; `device` cpu works everywhere")
    return device


def _tried(executor: Executor, gpu: str) -> Tried:
    return _try(executor, Device("cuda", gpu, bf16=False, gpu=gpu))


def _try(executor: Executor, device: Device) -> Tried:
    try:
        return cast(Tried, answer(executor, f"{__name__}:try_device", device, _PATIENCE))
    except NoAnswer as error:  # a driver may end the process
        return Tried(device, str(error))


def _of_a_node(executor: Executor, wanted: str, note: Callable[[str], None]) -> Device:
    """Return the device that runs have on the nodes of a cluster, which gives each run its GPU."""
    tried = cast(Tried, _ask(executor, "try_node", wanted, Needs(gpus=int(wanted != "cpu"))))
    if tried.unusable and wanted == "cuda":
        raise ConfigError(f"`device` cuda: on the nodes {tried.unusable}; `device` cpu works everywhere")
    if tried.unusable:
        note(f"warning: on the nodes {tried.unusable}; runs use the CPU")
    return tried.device


def _ask(executor: Executor, question: str, argument: object, needs: Needs = NO_NEEDS) -> object:
    try:
        return answer(executor, f"{__name__}:{question}", argument, _LONG, needs)
    except NoAnswer as error:
        limited = any(text in str(error) for text in ("failed to map segment", "Cannot allocate memory"))
        hint = "; this process may take too little memory: raise what `ulimit -v` shows" if limited else ""
        raise QuadzooError(f"querying devices failed: {error}{hint}") from error


def tell_machine(_: None, send: Send) -> None:
    """Child's side: send the `Machine`."""
    send(Machine(_cpu(), *_gpus(), _why_no_mps()))


def device_here(kind: DeviceKind) -> Device:
    """Return the device of a kind that this process sees, of several GPUs the first.

    It is for a process that computes on it: CUDA is touched. Raises RuntimeError where there is none.
    """
    if kind == "cuda":
        return replace(_described(Device("cuda", "", bf16=False)), memory=None)
    cpu = _cpu()
    if kind == "cpu":
        return cpu
    if reason := _why_no_mps():
        raise RuntimeError(reason)
    return _mps_of(cpu)


def _cpu() -> Device:
    import torch

    # Where a CPU only emulates bf16 it is slower than float32; an older torch does not say, so no.
    units: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return Device("cpu", cpu_name(), bool(units.get("avx512_bf16") or units.get("amx_bf16")))


def _mps_of(cpu: Device) -> Device:
    return Device("mps", f"{cpu.name} GPU", bf16=False)


def _gpus() -> tuple[tuple[str, ...], str]:
    """Return how CUDA_VISIBLE_DEVICES names each GPU that torch sees; why there is none."""
    import torch

    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        return (), f"torch finds no usable GPU: {torch.__version__} is built without CUDA"
    count = torch.cuda.device_count()
    listed = os.environ.get(visible_variable())
    if listed is None:
        names = [str(number) for number in range(count)]
    else:  # CUDA ignores all from the first that it does not know
        names = [name.strip() for name in listed.split(",")][:count]
    where = "" if listed is None else f" within {visible_variable()}={listed[:40]!r}"
    return tuple(names), f"torch finds no usable GPU{where}"


def _why_no_mps() -> str | None:
    import torch

    if not torch.backends.mps.is_built():
        return f"torch {torch.__version__} is built without MPS, the GPU of Macs"
    return None if torch.backends.mps.is_available() else "torch finds no MPS device, the GPU of Macs"


def try_device(device: Device, send: Send) -> None:
    """Child's side: send what a device is called, and whether a convolution works there, as a `Tried`.

    Of a GPU the answer has the UUID, which names it whatever else is visible, and its free memory in bytes.
    """
    take(device)
    import torch

    from quadzoo.model.device import one_reason, why_unusable

    try:
        if device.kind == "cuda":
            device = _described(device)
    except Exception as error:
        send(Tried(device, one_reason(error)))
    else:
        send(Tried(device, why_unusable(torch.device(device.kind))))


def try_node(wanted: str, send: Send) -> None:
    """A node's side: send the device that runs have there, without a name of its own, as a `Tried`."""
    gpus, why = _gpus()
    if wanted == "cpu" or not gpus:
        send(Tried(_cpu(), why if wanted == "cuda" else None))
        return
    told: list[Tried] = []
    try_device(Device("cuda", gpus[0], bf16=False, gpu=gpus[0]), told.append)
    (tried,) = told
    device = _cpu() if tried.unusable else replace(tried.device, gpu=None, memory=None)
    send(Tried(device, tried.unusable))


def _described(device: Device) -> Device:
    import torch

    facts = torch.cuda.get_device_properties(0)
    named = device.gpu
    if not torch.version.hip and not (named or "").startswith(("GPU-", "MIG-")):
        # A part of a GPU has a UUID of its own, and its name says that it is one.
        named = f"{'MIG' if ' MIG ' in facts.name else 'GPU'}-{facts.uuid}"
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    free, _ = torch.cuda.mem_get_info()
    return replace(device, name=facts.name, bf16=native, gpu=named, memory=free)
