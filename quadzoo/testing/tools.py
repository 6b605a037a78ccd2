"""Checks that the rules for backbones and those for heads share."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode  # what torch.compile follows shapes and devices with
from torch.func import functional_call

from quadzoo.registry import additions

_START_SECONDS = 60.0  # for a new process to import what it needs, and to build

Answer = TypeVar("Answer")


class Broken(Exception):
    """A broken rule: what was expected and what came."""

    def __init__(self, expected: str, got: object) -> None:
        super().__init__(f"expected {expected}, got {got}")


def check_finite(values: Tensor, where: str) -> None:
    """Raise Broken for NaN and infinity."""
    if not values.isfinite().all():
        raise Broken(f"finite numbers with {where}", "NaN or infinity")


def difference(one: Tensor, other: Tensor) -> str:
    """Say how large the largest difference of two tensors of one shape is."""
    return f"a difference of {float((one - other).abs().max()):.3g}"


def check_gradients(module: nn.Module) -> None:
    """Raise Broken, naming the first parameter that requires a gradient and has none, or no finite one."""
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.isfinite().all()):
            got = "none" if parameter.grad is None else "NaN or infinity"
            raise Broken(f"a finite gradient for {name}", got)


def check_saved_weights(build: Callable[[], nn.Module], inputs: Tensor) -> None:
    """Raise Broken where weights saved from one build and loaded into another give other output."""
    first = build().eval()
    # Cloned, since safetensors refuses tensors that share memory.
    state = {name: value.contiguous().clone() for name, value in first.state_dict().items()}
    content = safetensors.torch.save(state)
    torch.manual_seed(1)
    second = build().eval()
    second.load_state_dict(safetensors.torch.load(content))
    with torch.no_grad():
        if not torch.equal(first(inputs), second(inputs)):
            got = difference(first(inputs), second(inputs))
            raise Broken("equal output after saving and loading the weights", got)


def check_device(module: nn.Module, *inputs: Tensor) -> None:
    """Raise Broken where a module, moved to a GPU with its inputs, would compute with tensors elsewhere.

    No GPU is needed: fake tensors carry shapes and devices, and nothing is computed. What fake tensors
    cannot follow, such as code that reads a value, counts as right.
    """

    def moved(tensor: Tensor) -> Tensor:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")

    with FakeTensorMode(allow_non_fake_inputs=True):
        state = {name: moved(value) for name, value in (*module.named_parameters(), *module.named_buffers())}
        try:
            functional_call(module, state, tuple(map(moved, inputs)))
        except Exception as error:
            if "device" in str(error).lower():
                raise Broken("all tensors on the device of the inputs, cuda", error) from error


def check_global_state(build: Callable[[], nn.Module]) -> None:
    """Raise Broken where building changes the state of the whole process."""

    def state() -> dict[str, object]:
        return {
            "Python's random": hash(random.getstate()),
            "NumPy's random": hash(pickle.dumps(np.random.get_state())),
            "the default dtype": torch.get_default_dtype(),
            "the number of threads": torch.get_num_threads(),
            "grad mode": torch.is_grad_enabled(),
            "the working folder": os.getcwd(),
        }

    ends = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = state()
        build()
        changed = [name for name, value in state().items() if value != before[name]]
        if changed:
            raise Broken("build to leave global state unchanged", f"a change of {' and '.join(changed)}")
        ends.append(torch.get_rng_state())
    if torch.equal(*ends):
        raise Broken("torch's generator to continue from the run's seed", "the same state after two seeds")


def in_fresh_process(work: Callable[[Any], Answer], subject: Any, seconds: float = _START_SECONDS) -> Answer:
    """Return ``work(subject)``, computed in a newly started process.

    Raises Broken where the two cannot be pickled, the process crashes or takes longer, or ``work`` raises.
    """
    try:
        task = pickle.dumps((work, subject))
    except Exception as error:
        raise Broken("a build function at the top of a module, where pickle finds it", error) from error
    command = [sys.executable, "-c", "from quadzoo.testing.tools import answer; answer()"]
    question = pickle.dumps((sys.path, additions.current(), task))
    try:
        done = subprocess.run(command, input=question, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Broken(f"an answer from a fresh process within {seconds:.0f} seconds", "none") from None
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Broken("a fresh process not to crash", f"exit status {done.returncode} {''.join(last)}".strip())
    worked, result = pickle.loads(done.stdout)
    if not worked:
        raise Broken("build to work in a fresh process", result)
    return result  # type: ignore[no-any-return]


def _exit_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def answer() -> None:
    """Read a task from stdin, run it and write the result to stdout: what the fresh process does."""
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a build prints
    sys.path[:], added, task = pickle.load(sys.stdin.buffer)
    try:
        for file in added.files:
            file.module()  # where pickle looks for what the file defines
        work, subject = pickle.loads(task)
        result = True, work(subject)
    except Exception as error:
        result = False, f"{type(error).__name__}: {error}"
    with stdout:
        pickle.dump(result, stdout)
