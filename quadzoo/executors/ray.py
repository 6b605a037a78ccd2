"""Jobs on the nodes of a Ray cluster, or of a Ray of this machine.

This process is Ray's driver. It alone writes the results folder. `quadzoo.executors.ray_node` is the other
side.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from quadzoo.errors import ClusterLost, ConfigError
from quadzoo.executors.base import NO_NEEDS, Needs
from quadzoo.executors.parcels import given, pack
from quadzoo.executors.ray_connection import (
    Machine,
    answers,
    check_software,
    connect,
    disconnect,
    in_words,
    machines,
    own_raylet,
)
from quadzoo.executors.ray_job import SLICE, RayJob
from quadzoo.executors.ray_node import FileServer, Order, watch
from quadzoo.executors.ray_witness import Witness
from quadzoo.registry import additions
from quadzoo.registry.additions import Additions
from quadzoo.scratch import scratch_folder
from quadzoo.storage import cache_folder

ARRIVE = "quadzoo.grid.arrival:settled"
"""What is given each job's argument on its node, and returns the one to work with."""

_AHEAD = 4  # reports that a job may be ahead of the driver
_LOOKS = 4  # at the head that fail, one after the other, until it is lost
_FRESH = 0.1  # seconds
_KNOWN_FOR = 5.0  # seconds


class RayExecutor:
    """Starts jobs on the nodes of a cluster, or of a Ray of this machine, which is started for it.

    ``jobs`` are those of a node at once, None for one a GPU, or one: each gets its share of the CPUs of the
    smallest node, and of its GPUs. A job whose node or worker is lost starts again, at most ``retries``
    times. ``note`` is told what is worth knowing. Raises ConfigError where there is no such cluster, or its
    nodes have other software.
    """

    cpus: int | None
    jobs: int | None

    def __init__(
        self,
        address: str | None,
        *,
        jobs: int | None,
        retries: int,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._retries, self._note = retries, note
        self._connects = not ray.is_initialized()  # a notebook may have done so
        self._is_own = address is None and self._connects
        self._server: Any = None
        self._offered: dict[str, Path] = {}
        self._task: Any = ray.remote(watch)
        self._stack = ExitStack()
        self.lost = False
        self.waited_in_vain = -math.inf
        if self._connects:
            connect(address)
        try:
            self._machines = check_software(machines())
            if not self._machines:
                raise ConfigError(f"`ray_address` {address}: no node of this cluster has a CPU for jobs")
        except BaseException:
            self.close()
            raise
        self.cpus = min(one.cpus for one in self._machines)
        self._gpus = min((one.gpus for one in self._machines if one.gpus), default=0)
        self.jobs = jobs or max(1, int(self._gpus))
        self._share = max(1, self.cpus // self.jobs)  # of the CPUs of a node, for each job
        if self.jobs > self.cpus:
            at_once = f"{self.cpus} at the same time on a node with as many, not {self.jobs}"
            note(f"each run takes a CPU at least: {at_once}")
        self._head = ray.get_runtime_context().gcs_address
        self._raylet = own_raylet()
        self._looked = self._counted = time.monotonic()
        # Nodes that find it in their cache folder share the folder with this machine.
        self._mark = self._stack.enter_context(scratch_folder(cache_folder()))
        cpus, gpus = sum(one.cpus for one in self._machines), sum(one.gpus for one in self._machines)
        nodes = f"{len(self._machines)} node{'s' * (len(self._machines) > 1)}"
        note(f"Ray at {self._head}: {nodes} for runs, {cpus} CPUs, {gpus} GPUs")
        # Last: whoever cannot make this executor says why, and nothing was lost.
        self._stack.callback(Witness().close)

    def close(self) -> None:
        """Let go of the cluster; end a Ray that was started for this executor."""
        self._stack.close()
        if self._connects and not self.lost:
            disconnect()

    def machines(self) -> Sequence[str]:
        """Return the names of the nodes that can run jobs, as they were a few seconds ago at most."""
        return [one.name for one in self._nodes()]

    def at_once(self, jobs: int) -> int:
        """Return how many jobs to run at the same time: ``jobs`` on each node, or what its CPUs allow."""
        return sum(min(jobs, one.cpus // self._share) for one in self._nodes()) or 1

    def submit(
        self, work: str, argument: Any, log: Path, needs: Needs = NO_NEEDS, machine: str | None = None
    ) -> RayJob:
        """Call ``work(argument, send)`` on a node; see `quadzoo.executors.base.Executor`.

        Raises ClusterLost where the cluster does not answer, ConfigError where ``machine`` has left it.
        """
        self.check_head()
        parcel, place = pack(argument, needs.writes), None
        self._offer(parcel.files)
        if needs.checkpoint and needs.writes:
            place = needs.checkpoint.relative_to(needs.writes).as_posix()
        order = Order(
            work=work,
            content=parcel.content,
            arrive=ARRIVE,
            added=_without_folders(additions.current()),
            uses_gpu=bool(needs.gpus and self._gpus),
            checkpoint=place,
            begins_with=None,
            shared=self._mark.name,
        )
        log.parent.mkdir(parents=True, exist_ok=True)
        strategy = self._named(machine).strategy if machine else "SPREAD"

        def start() -> Any:
            return self._started(order, needs, strategy)

        return RayJob(self, start, needs, log, retries=self._retries, note=self._note)

    def wait_for_any(self, jobs: Sequence[RayJob], timeout: float) -> Sequence[RayJob]:
        """Return the jobs that have sent a message or have ended; none after ``timeout`` seconds."""
        if news := [job for job in jobs if job.has_news]:
            return news
        self.check_head()
        if not jobs:
            time.sleep(timeout)
            return ()
        reports = [job.reports for job in jobs]
        if ray.wait(reports, timeout=min(timeout, SLICE))[0]:
            ready = set(map(id, ray.wait(reports, num_returns=len(jobs), timeout=0)[0]))
            return [job for job in jobs if id(job.reports) in ready]
        return ()

    def check_head(self, *, afresh: bool = False) -> None:
        """See whether the head, and Ray's own process here, are there. Raises ClusterLost after a while.

        Called before anything is asked of Ray: it ends this process at once, without a word, where Ray's own
        process on this machine is gone, and a minute after the head is. What was seen a moment ago counts,
        but for ``afresh``.
        """
        if self.lost:
            raise ClusterLost(self._farewell())
        if not afresh and time.monotonic() - self._looked < _FRESH:
            return
        for look in range(_LOOKS):
            if answers(self._head) and answers(self._raylet):
                self._looked = time.monotonic()
                return
            if look < _LOOKS - 1:
                time.sleep(SLICE)
        self.lost = True
        raise ClusterLost(self._farewell())

    def _farewell(self) -> str:
        return (
            f"the Ray cluster at {self._head} does not answer any more; finished runs are kept, and the same "
            "command with a new cluster continues from here"
        )

    def _nodes(self) -> list[Machine]:
        self.check_head()
        if time.monotonic() - self._counted > _KNOWN_FOR:
            self._machines, self._counted = machines(), time.monotonic()
        return self._machines

    def _named(self, name: str) -> Machine:
        for one in self._machines:
            if one.name == name:
                return one
        raise ConfigError(f"`executor` ray: node {name} has left the cluster; start again")

    def _started(self, order: Order, needs: Needs, strategy: Any) -> Any:
        """Start a job, from its checkpoint if there is one, and return the generator of its reports."""
        if needs.checkpoint and needs.checkpoint.is_file() and not needs.checkpoint.is_symlink():
            begins_with = given(needs.checkpoint)
            self._offer({begins_with.identity: needs.checkpoint})
            order = replace(order, begins_with=begins_with)
        assert self.jobs is not None
        return self._task.options(
            num_cpus=min(needs.cpus, self._share),
            num_gpus=min(1.0, self._gpus / self.jobs) if order.uses_gpu else 0,
            num_returns="streaming",
            max_retries=0,  # Ray would repeat for ever what needs too much memory
            scheduling_strategy=strategy,
            _generator_backpressure_num_objects=_AHEAD,
        ).remote(order, self._server)

    def _offer(self, files: Mapping[str, Path]) -> None:
        """Have an actor on this machine give files to the nodes that do not have them."""
        cache = cache_folder().absolute()
        if self._is_own and all(path.is_relative_to(cache) for path in files.values()):
            return  # they have this cache folder
        if self._server is None:
            here = Machine(ray.get_runtime_context().get_node_id(), "", 0, 0)
            server: Any = ray.remote(FileServer)
            self._server = server.options(num_cpus=0, scheduling_strategy=here.strategy).remote()
        new = {identity: path for identity, path in files.items() if self._offered.get(identity) != path}
        if not new:
            return
        taken = self._server.offer.remote(new)
        while not ray.wait([taken], timeout=SLICE)[0]:  # else a node may be faster to ask for them
            self.check_head()
        try:
            ray.get(taken)
        except ray.exceptions.RayError as error:
            self._server, self._offered = None, {}
            raise ClusterLost(f"{self._farewell()} ({in_words(error)})") from error
        self._offered |= new


def _without_folders(added: Additions) -> Additions:
    """Return additions with the names of plugin files in the place of their paths."""
    return replace(added, files=tuple(replace(one, path=Path(one.path).name) for one in added.files))
