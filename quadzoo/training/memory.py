"""What is said where a GPU has too little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from quadzoo.errors import OutOfMemory
from quadzoo.training.task import Placement, Task

_LONGEST = 110  # characters of torch's own words


@contextmanager
def explained(task: Task, placement: Placement, resident_bytes: Callable[[], int] = int) -> Iterator[None]:
    """Say of an error for want of memory on the GPU what fills it: batches, runs side by side, images.

    ``resident_bytes`` says how many bytes of images are kept there. Raises OutOfMemory.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        shared, resident = placement.device_shared_by, resident_bytes()
        holds = [f"batches of {task.recipe.batch_size}"]
        if shared > 1:
            holds.append(f"{shared} runs at a time")
        if resident:
            holds.append(f"{resident:,} bytes of images kept there")
        told = " ".join(str(error).split())
        told = told if len(told) <= _LONGEST else f"{told[: _LONGEST - 1]}…"
        advice = "lower `batch_size` or `jobs`" if shared > 1 else "lower `batch_size`"
        raise OutOfMemory(f"{advice}: the GPU ran out of memory with {', '.join(holds)} ({told})") from error
