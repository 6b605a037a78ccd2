"""The way to a Ray cluster: connect, see that its nodes have this software, say in words what is wrong."""

from __future__ import annotations

import logging
import os
import platform
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import ray
from ray.job_config import JobConfig
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import quadzoo
from quadzoo.errors import ConfigError
from quadzoo.system import ENDING_SIGNALS, ENDS_WITH_PARENT
from quadzoo.threads import available_cpus

_STORE = 256 << 20  # bytes of memory for objects, of a Ray that we start: a few pieces of files
_ONCE = {"RAY_gcs_server_port_wait_time_s": "1"}
"""Has Ray try once, for half a minute, to reach what accepts connections and says nothing, not 20 times."""
_LOOK, _LONG = 2.0, 120.0  # seconds
_SHOWN, _LONGEST = 80, 200  # characters
_PRINTING = ray._private.worker.print_to_stdstream


@dataclass(frozen=True)
class Machine:
    """A node that can run jobs; ``name`` is its address, with a port where another node has the same."""

    identity: str
    name: str
    cpus: int
    gpus: int

    @property
    def strategy(self) -> NodeAffinitySchedulingStrategy:
        """What has Ray run a task there and nowhere else."""
        return NodeAffinitySchedulingStrategy(self.identity, soft=False)


def connect(address: str | None) -> None:
    """Connect this process to a cluster, or to a Ray of this machine that is started for it.

    Raises ConfigError where that fails.
    """
    logging.getLogger("ray").addHandler(logging.NullHandler())  # else Ray prints to stderr
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # those of jobs that have told all there is
    # What Ray says of its processes that die would stand before the table, on stdout.
    ray._private.worker.print_to_stdstream = _say_nothing
    job = JobConfig()
    job._py_driver_sys_path = _NoPaths()
    given: dict[str, Any] = {"address": address or "local"}
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    if address is None:
        given |= {"num_cpus": available_cpus(), "object_store_memory": _STORE, "include_dashboard": False}
    else:
        _check_address(address)
        environment = {**_ONCE, **environment}
    apart = _in_a_session_of_their_own() if address is None and ENDS_WITH_PARENT else nullcontext()
    with _same_handlers(), apart, mock.patch.dict(os.environ, environment):
        try:
            ray.init(
                **given,
                job_config=job,
                log_to_driver=False,
                configure_logging=False,
                logging_level=logging.ERROR,
            )
        except Exception as error:  # ConnectionError, RuntimeError, ValueError and others of Ray's
            shown = f"`ray_address` {address[:_SHOWN]}" if address else "`executor` ray"
            raise ConfigError(f"{shown}: {connection_error(str(error))}") from error


def disconnect() -> None:
    """Let go of the cluster; end a Ray that was started for this process."""
    with _same_handlers():
        ray.shutdown()
    ray._private.worker.print_to_stdstream = _PRINTING


def connection_error(text: str) -> str:
    """Return, in one line, why no connection came about, from what Ray says."""
    if "ersion mismatch" in text:
        found = [
            line.split(":", 1)[1].strip() for line in text.splitlines() if line.strip().startswith("Python:")
        ]
        pythons = f" (Python {found[0]} there, {platform.python_version()} here)" if found else ""
        return (
            f"Ray and Python must be the same on all machines, to the last digit of their versions{pythons}"
        )
    # Of a missing token Ray's own message says nothing; that something answers has been seen before.
    if "uthenti" in text or "Failed to connect to Ray cluster" in text:
        return (
            "what answers is no head of Ray, or does not accept this process; give the head's port, and "
            "where it asks for a token, set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the one that it was "
            "started with"
        )
    line = " ".join(text.split())
    if "AF_UNIX" in line:
        return (
            "the folder of Ray's sockets has too long a path; set RAY_TMPDIR to a shorter one, such as /tmp"
        )
    return f"no connection: {line[:_LONGEST]}"


def machines() -> list[Machine]:
    """Return the nodes that are alive and can run jobs."""
    known: Any = ray.nodes  # it has no types
    nodes = [one for one in known() if one["Alive"] and one["Resources"].get("CPU", 0) >= 1]
    addresses = [one["NodeManagerAddress"] for one in nodes]
    return [
        Machine(
            one["NodeID"],
            address if addresses.count(address) == 1 else f"{address}:{one['NodeManagerPort']}",
            int(one["Resources"]["CPU"]),
            int(one["Resources"].get("GPU", 0)),
        )
        for one, address in zip(nodes, addresses, strict=True)
    ]


def own_raylet() -> str:
    """Return HOST:PORT of Ray's own process on this machine."""
    known: Any = ray.nodes  # it has no types
    own = ray.get_runtime_context().get_node_id()
    return next(
        f"{one['NodeManagerAddress']}:{one['NodeManagerPort']}" for one in known() if one["NodeID"] == own
    )


def check_software(nodes: list[Machine]) -> list[Machine]:
    """Check that all nodes have this quadzoo, and return those that are still there.

    Raises ConfigError, which names the first that has another or none.
    """

    def version() -> str | None:  # a function of its own, that a node without quadzoo can unpickle, too
        try:
            import quadzoo
        except ImportError:
            return None
        return quadzoo.__version__

    asked: Any = ray.remote(version)
    answers = [
        (node, asked.options(num_cpus=0, max_retries=0, scheduling_strategy=node.strategy).remote())
        for node in nodes
    ]
    there = []
    for node, answer in answers:
        try:
            found = ray.get(answer, timeout=_LONG)
        except ray.exceptions.RayError as error:
            if node.identity not in {one.identity for one in machines()}:
                continue  # it has left, or is found out to have left long ago
            raise ConfigError(
                f"`executor` ray: node {node.name} does not answer: {in_words(error)}"
            ) from error
        if found != quadzoo.__version__:
            other = f"has quadzoo {found}" if found else "has no quadzoo"
            raise ConfigError(
                f"`executor` ray: node {node.name} {other}, this machine {quadzoo.__version__}; install the "
                "same version on all"
            )
        there.append(node)
    return there


def in_words(error: BaseException) -> str:
    """Return the first line of what Ray says of an error, without colours."""
    if isinstance(error, ray.exceptions.RayTaskError):
        error = error.cause
        return f"{type(error).__name__}: {error}"[:_LONGEST]
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "its node ran out of memory, and Ray ended it"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:_LONGEST] if lines else type(error).__name__


def answers(host_and_port: str) -> bool:
    """Return whether something accepts connections at HOST:PORT."""
    host, _, port = host_and_port.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _LOOK).close()
    except (OSError, ValueError, OverflowError):  # the last for a port that there cannot be
        return False
    return True


def _check_address(address: str) -> None:
    if "://" in address:
        raise ConfigError(
            f"`ray_address` {address[:_SHOWN]}: a bench runs on a machine of the cluster; there give auto or "
            "HOST:PORT"
        )
    named = os.environ.get("RAY_ADDRESS", "")
    if address == "auto" and ":" in named and not answers(named):
        raise ConfigError(
            f"`ray_address` auto: nothing answers at {named[:_SHOWN]}, which RAY_ADDRESS names; set it to "
            "HOST:PORT of a running head, or unset it"
        )
    if address != "auto" and not answers(address):
        raise ConfigError(
            f"`ray_address` {address[:_SHOWN]}: nothing answers there; give HOST:PORT of a running head, or "
            "auto"
        )


def _say_nothing(*_: object, **__: object) -> None:
    pass


class _NoPaths(list[str]):
    """The folders that Ray has its workers search for modules: not this process's current one."""

    def extend(self, _: Any) -> None:
        """Add nothing."""


@contextmanager
def _in_a_session_of_their_own() -> Iterator[None]:
    """Start processes of a Ray of ours so that signals to all processes of a command do not reach them.

    Where Ray's process on this machine ends, Ray ends this one, too, before a table could be written. They
    end with this process in any case.
    """
    start = subprocess.Popen.__init__

    def apart(self: Any, *given: Any, **named: Any) -> None:
        start(self, *given, **named | {"start_new_session": True})

    with mock.patch.object(subprocess.Popen, "__init__", apart):
        yield


@contextmanager
def _same_handlers() -> Iterator[None]:
    """Keep Ray from replacing handlers of signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # else it was not set by Python
                signal.signal(number, handler)
