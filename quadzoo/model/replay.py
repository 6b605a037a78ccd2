"""Training steps that a GPU replays as one CUDA graph, in place of Python launching their kernels one by one.

Small networks and small batches leave a GPU waiting: resnet50 with 32 images of 100 x 100 pixels needs 5 ms
on an H200, and 29 ms to be launched (benchmarks/SPEED.md). A graph has the same kernels, and draws the same
random numbers.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from quadzoo.model.device import one_reason

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Maps inputs and targets (B, T) to the loss, a scalar to differentiate, and predictions (B, T), detached."""

EAGER_STEPS = 3
"""So many steps come before: cuDNN tries algorithms, compilers compile, and what steps change is watched."""

_CHECKS = 2  # of replays
_TOLERANCE = 0.1  # of a norm; kernels add in any order, and something else is off by all of it
_WAITS = "synchronizing CUDA operation"  # what torch warns of


class Replay:
    """Forward, backward and clipping of a training step, recorded once and replayed from then on.

    The optimizer's own step is not in it: its numbers, such as the learning rate, change every time. What a
    step computes in Python would be replayed as it was; so steps that draw random numbers on the CPU, that
    change numbers of ``watched`` modules in Python, or that wait for the GPU are not replayed. Twice, when
    it was recorded and after the first validation, a replay is compared with the same step as always.
    ``why_not`` says what was wrong; then all steps are taken as always. ``peak_bytes`` is the most memory
    that was allocated while the step was recorded, which a replay takes again.
    """

    def __init__(
        self,
        step: Step,
        clip: Callable[[], None],
        watched: Mapping[str, nn.Module],
        parameters: Iterable[nn.Parameter],
    ) -> None:
        self.why_not = ""
        self.peak_bytes = 0
        self.replayed = False  # the last step: then gradients are in place, and clipped
        self._step, self._clip, self._watched = step, clip, watched
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._steps = self._checks = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs = self._target = self._loss = self._prediction = torch.empty(0)
        self._gradients: list[Tensor | None] = []

    def take(self, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor] | None:
        """Replay the step; return loss, a float32 scalar, and predictions, float32 (B, T); else None.

        Then it is to be taken as always. ``inputs`` are uint8 or float32 (B, C, H, W), ``target`` float32
        (B, T). What is returned is overwritten by the next step.
        """
        self.replayed = False
        if self.why_not or self._steps < EAGER_STEPS:
            return None
        if self._graph is None and not self._record(inputs, target):
            return None
        if inputs.shape != self._inputs.shape or target.shape != self._target.shape:
            return None
        assert self._graph
        self._inputs.copy_(inputs)
        self._target.copy_(target)
        # Gradients are cleared before a validation, and others take their place in a step as always.
        if self._put_gradients() and self._checks < _CHECKS:
            self._checks += 1
            if not self._agrees():
                self._give_up("replayed it computes something else")
                return None
        else:
            self._graph.replay()
        self.replayed = True
        return self._loss, self._prediction

    @contextmanager
    def watching(self, device: torch.device) -> Iterator[None]:
        """Watch a step that is taken as always, on a device, for what a replay would not do."""
        self._steps += 1
        if self._steps != EAGER_STEPS:
            yield
            return
        randomness, state = _random_state(device), _state(self._watched, device)
        with _waits_counted(device) as waits:
            yield
        if waits:
            self.why_not = "it waits for the GPU"
        elif _random_state(device) != randomness:
            self.why_not = "it draws random numbers on the CPU"
        elif changed := _difference(state, _state(self._watched, device)):
            self.why_not = f"in Python it changes {changed}"

    def _record(self, inputs: Tensor, target: Tensor) -> bool:
        """Record the step, and say whether that worked."""
        self._inputs, self._target = inputs.clone(), target.clone()
        self._clear_gradients()
        # Lightning's autocast keeps no weights in half precision, which a recording would not compute anew.
        try:
            self._graph = self._recorded(inputs.device)
        except Exception as error:
            self._give_up(f"it cannot be recorded as a CUDA graph: {one_reason(error.__context__ or error)}")
            return False
        self._gradients = [parameter.grad for parameter in self._parameters]
        self._clear_gradients()
        return True

    def _recorded(self, device: torch.device) -> torch.cuda.CUDAGraph:
        if device.type != "cuda":
            raise RuntimeError(f"there are none on {device.type}")
        graph, pool, generator = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle(), _generator(device)
        random_state = generator.get_state()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            # A thread that reads images ahead may go on with it.
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                self._loss, self._prediction = self._differentiated()
        except Exception:
            _forget(pool, generator, random_state, device)
            raise
        self.peak_bytes = torch.cuda.max_memory_allocated(device)
        return graph

    def _differentiated(self) -> tuple[Tensor, Tensor]:
        """Take the step as always, on the tensors that a replay reads; return loss and predictions."""
        loss, prediction = self._step(self._inputs, self._target)
        with torch.autocast(self._inputs.device.type, enabled=False):
            torch.autograd.backward(loss)
        self._clip()
        return loss.detach(), prediction

    def _agrees(self) -> bool:
        """Replay the step, and say whether it gives what the same step as always gives, rounding apart."""
        assert self._graph
        device = self._inputs.device
        buffers = [buffer for module in self._watched.values() for buffer in module.buffers()]
        before, random_state = [buffer.clone() for buffer in buffers], _generator(device).get_state()
        self._clear_gradients()
        try:
            expected = self._differentiated()
        except torch.OutOfMemoryError:  # which a replay has set aside
            expected = None
        found = [parameter.grad for parameter in self._parameters]
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
        _generator(device).set_state(random_state)
        self._put_gradients()
        self._graph.replay()
        if expected is None:
            return True
        if [one is None for one in self._gradients] != [one is None for one in found]:
            return False
        pairs = [
            (self._loss, expected[0]), (self._prediction, expected[1]),
            (_joined(self._gradients), _joined(found)),
        ]  # fmt: skip
        return all(_close(one, other) for one, other in pairs)

    def _put_gradients(self) -> bool:
        """Have parameters have the gradients that a replay writes; say whether any had another."""
        changed = False
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            if parameter.grad is not gradient:
                parameter.grad, changed = gradient, True
        return changed

    def _clear_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def _give_up(self, why: str) -> None:
        self.why_not, self._graph, self._gradients = why, None, []
        self._inputs = self._target = self._loss = self._prediction = torch.empty(0)
        self._clear_gradients()


class Replaying(pl.LightningModule):
    """A LightningModule whose training steps a GPU replays where it has a `Replay`."""

    replay: Replay | None = None

    def take_step(self, step: Step, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Replay a training step, or compute it; return its loss, a float32 scalar, and predictions.

        These are float32 (B, T), ``inputs`` are uint8 or float32 (B, C, H, W), ``target`` float32 (B, T).
        """
        if self.replay is None:
            return step(inputs, target)
        if done := self.replay.take(inputs, target):
            return done
        with self.replay.watching(inputs.device):
            return step(inputs, target)

    @property
    def is_replayed(self) -> bool:
        """Whether the last training step was; then its gradients are in place, and clipped."""
        return self.replay is not None and self.replay.replayed

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Differentiate the loss over (B, T), a float32 scalar, unless that was replayed with the step."""
        if not self.is_replayed:
            super().backward(loss, *args, **kwargs)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Clear the gradients, unless the step was replayed, which has written them anew."""
        if not self.is_replayed:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)


def _generator(device: torch.device) -> torch.Generator:
    """Return the generator of a device's random numbers."""
    return (
        torch.default_generator if device.type == "cpu" else torch.cuda.default_generators[device.index or 0]
    )


def _joined(gradients: Iterable[Tensor | None]) -> Tensor:
    return torch.cat([one.flatten() for one in gradients if one is not None])


def _close(one: Tensor, other: Tensor) -> bool:
    norm = other.float().norm()
    return not bool(norm.isfinite()) or bool((one - other).float().norm() <= _TOLERANCE * norm)


@contextmanager
def _waits_counted(device: torch.device) -> Iterator[list[str]]:
    """Collect what torch says of operations that wait for a GPU; other warnings are given again."""
    waits: list[str] = []
    if device.type != "cuda" or not torch.cuda.is_available():
        yield waits
        return
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield waits
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for one in caught:
        if _WAITS in str(one.message):
            waits.append(str(one.message))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _forget(pool: tuple[int, int], generator: torch.Generator, state: Tensor, device: torch.device) -> None:
    """Undo the beginning of a recording that failed: torch leaves generator and allocator in the middle."""
    with suppress(Exception):
        torch._C._cuda_endAllocateToPool(device.index or 0, pool)
        torch._C._cuda_releasePool(device.index or 0, pool)
    anew = torch.Generator(device)
    anew.set_state(state)
    generator.graphsafe_set_state(anew)


def _random_state(device: torch.device) -> tuple[object, ...]:
    """Return the state of all generators of random numbers but the device's own."""
    of_numpy = np.random.get_state(legacy=False)["state"]
    of_torch = torch.get_rng_state().numpy().tobytes() if device.type != "cpu" else b""
    return random.getstate(), of_numpy["key"].tobytes(), of_numpy["pos"], of_torch


def _state(watched: Mapping[str, nn.Module], device: torch.device) -> dict[str, Any]:
    """Return what modules keep in Python: numbers, tensors, how long lists are; by name."""
    found: dict[str, Any] = {}
    for root, top in watched.items():
        for path, module in top.named_modules(prefix=root):
            own = vars(module)
            for name, value in {**own, **own["_parameters"], **own["_buffers"]}.items():
                if isinstance(value, Tensor):
                    # Kernels that change it on the device are replayed; another one in its place is not.
                    version = value._version if value.device.type != device.type else None
                    found[f"{path}.{name}"] = value, version
                elif isinstance(value, int | float | str | None):
                    found[f"{path}.{name}"] = value, None
                elif isinstance(value, list | dict | set):
                    found[f"{path}.{name}"] = len(value), None
    return found


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return the name of what has changed, nothing where nothing has."""
    for name in {**before, **after}:
        if name not in before or name not in after:
            return name
        (one, version), (other, later) = before[name], after[name]
        tensors = isinstance(one, Tensor) or isinstance(other, Tensor)
        if not (one is other or (not tensors and one == other)) or version != later:
            return name
    return ""
