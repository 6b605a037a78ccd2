"""Which executor: decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal

from quadzoo.errors import ConfigError
from quadzoo.executors.base import Executor

ExecutorName = Literal["local", "ray"]


@contextmanager
def executor_of(
    name: str = "local",
    address: str | None = None,
    *,
    jobs: int | None = 1,
    retries: int = 1,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[Executor]:
    """Yield the executor of that name; at the end it lets go of the machines that it has.

    ``address`` is that of a Ray cluster, None for a Ray of this machine; ``jobs`` are those of a machine at
    once, None for one a GPU, or one; ``retries`` how often a job starts again whose machine is lost; ``note``
    is told what is worth knowing. Raises ConfigError where Ray is not installed, or its cluster cannot be
    used.
    """
    if name != "ray":
        if address is not None:
            raise ConfigError(f"`ray_address` {address[:60]}: it is for Ray alone; add `executor` ray")
        from quadzoo.executors.local import LocalExecutor

        yield LocalExecutor()
        return
    # A folder of that name in the current one has no origin.
    if (spec := find_spec("ray")) is None or spec.origin is None:
        raise ConfigError("`executor` ray: Ray is not installed; pip install 'quadzoo[ray]'")
    from quadzoo.executors.ray import RayExecutor

    executor = RayExecutor(address, jobs=jobs, retries=retries, note=note)
    try:
        yield executor
    finally:
        executor.close()
