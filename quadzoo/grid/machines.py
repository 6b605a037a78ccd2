"""Whether the machines that runs go to have the same plugins as this one. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

from quadzoo.errors import ConfigError, NameNotFound
from quadzoo.executors.base import Executor, NoAnswer, Send, answer, side_by_side
from quadzoo.grid.config import BenchConfig
from quadzoo.registry import catalogue
from quadzoo.registry.catalogue import Catalogue

_LONG = 600.0  # seconds
_AT_ONCE = 8
_LONGEST = 300  # characters

Code = Mapping[tuple[str, str], Mapping[str, str] | None]
"""What stands for the code of ("backbones" or "heads", name); None where there is none of that name."""


def on_machines(config: BenchConfig, executor: Executor) -> BenchConfig:
    """Return the config with the threads that runs have on the smallest of several machines, and their jobs.

    So all runs of a table have as many threads.
    """
    if executor.cpus is None:
        return config
    return config.model_copy(
        update={"threads": config.threads or executor.cpus, "jobs": executor.jobs or config.jobs}
    )


def check_machines(executor: Executor, config: BenchConfig, names: Catalogue) -> None:
    """Check that all machines have the code that runs need. Raises ConfigError, which names the first."""
    machines = executor.machines()
    if not machines:
        return
    wanted = [*(("backbones", one) for one in config.backbones), *(("heads", one) for one in config.heads)]
    here = _code(names, wanted)
    ask = partial(_asked, executor, wanted)
    for machine, there in zip(machines, side_by_side(ask, machines, _AT_ONCE), strict=True):
        if there is not None:
            _compare(machine, here, there)


def _asked(executor: Executor, wanted: list[tuple[str, str]], machine: str) -> Code | None:
    """Return what stands for the code on a machine; None for one that has left."""
    try:
        return cast(Code, answer(executor, f"{__name__}:tell_code", wanted, _LONG, machine=machine))
    except NoAnswer as error:
        if machine not in executor.machines():
            return None
        raise ConfigError(f"`executor` ray: node {machine} does not answer: {error}"[:_LONGEST]) from error


def _compare(machine: str, here: Code, there: Code) -> None:
    for (kind, name), code in here.items():
        found = there[kind, name]
        if code is None or found == code:
            continue
        ours = f"{code['distribution']} {code['version']}"
        if found is None:
            raise ConfigError(f"`{kind}` {name}: node {machine} does not have it; install {ours} there")
        theirs = f"{found['distribution']} {found['version']}"
        what = (
            f"has {theirs}, this machine {ours}" if theirs != ours else f"has {ours} with other source files"
        )
        raise ConfigError(f"`{kind}` {name}: node {machine} {what}; install the same on all")


def tell_code(wanted: list[tuple[str, str]], send: Send) -> None:
    """Child's side: send what stands for the code of backbones and heads on this machine."""
    send(_code(catalogue.load(), wanted))


def _code(names: Catalogue, wanted: list[tuple[str, str]]) -> Code:
    found: dict[tuple[str, str], Mapping[str, str] | None] = {}
    for kind, name in wanted:
        try:
            found[kind, name] = dict(
                (names.backbones if kind == "backbones" else names.heads)[name].provenance
            )
        except NameNotFound:
            found[kind, name] = None
    return found
