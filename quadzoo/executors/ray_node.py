"""What happens on a node of a Ray cluster: a job's files come, its process runs, what it wrote goes back.

A Ray worker watches the process of one job at a time, which it starts as a bench without Ray does. So a job
has the same surroundings everywhere, its memory comes back, and its crash is told from that of a node.
"""

from __future__ import annotations

import os
import pkgutil
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from quadzoo import storage
from quadzoo.executors.base import Send
from quadzoo.executors.local import LocalExecutor
from quadzoo.executors.parcels import PIECE, Cached, Folder, Given, Reference, Written, place_in, unpack
from quadzoo.registry import additions
from quadzoo.registry.additions import Additions
from quadzoo.scratch import scratch_folder
from quadzoo.storage import cache_errors, cache_folder, file_identity

_PAUSE = 0.2  # seconds between two reports
_KEPT_BACK = "record.json"  # comes last: it vouches for the other files
_LOG = 1 << 20  # bytes of a log in one report
_LOGS = 16  # reports of a log, one after the other, until something else is told
_LOG_BYTES = 32 << 20  # of a log on the node


@dataclass(frozen=True)
class Order:
    """A job as it travels.

    ``arrive`` names a function that is given the argument on the node, and returns the one for ``work``.
    ``checkpoint`` is a file that the job writes from time to time, ``begins_with`` what it is to find there.
    ``shared`` is a file in the driver's cache folder: where it is here, too, the two folders are one.
    """

    work: str
    content: bytes = field(repr=False)
    arrive: str | None
    added: Additions
    uses_gpu: bool
    checkpoint: str | None
    begins_with: Given | None
    shared: str


@dataclass(frozen=True)
class Piece:
    """A part of a file that goes to the driver, to its results folder or its cache."""

    place: str
    content: bytes = field(repr=False)
    is_last: bool
    to_cache: bool = False


@dataclass(frozen=True)
class Returned:
    """A message that is the path of a file in the cache."""

    place: str


@dataclass(frozen=True)
class Report:
    """What a job tells the driver; the last one has an ``exit_reason``, and whether a checkpoint is left."""

    messages: tuple[Any, ...] = ()
    log: bytes = field(default=b"", repr=False)
    piece: Piece | None = None
    exit_reason: str | None = None
    keeps: bool = False


@cache
def _executor() -> LocalExecutor:
    # Ray sets it to the CPUs of a task. How many threads a run has is decided by the bench alone.
    os.environ.pop("OMP_NUM_THREADS", None)
    return LocalExecutor()


def watch(order: Order, server: Any) -> Iterator[Report]:
    """Run a job in a process of its own, and yield what it tells, prints and writes until it ends.

    ``server`` is the actor that hands out the driver's files. Raises DataError where the node's cache folder
    cannot be written, and OSError where the disk is full.
    """
    with ExitStack() as stack:
        scratch = stack.enter_context(_folder_of_a_job())
        out, log = scratch / "out", scratch / "log"
        out.mkdir()
        files = _Files(scratch, server, stack)
        argument = unpack(order.content, files.path_of)
        checkpoint = place_in(out, order.checkpoint) if order.checkpoint else None
        if checkpoint and order.begins_with:
            files.fetch(order.begins_with, checkpoint)
        additions.install(order.added)
        # Of a task without a GPU Ray hides none.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") if order.uses_gpu else ""
        environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        work = (order.work, order.arrive, argument, environment)
        yield Report()  # it begins
        job = _executor().submit(f"{__name__}:work_here", work, log)
        stack.callback(job.cancel)
        sent = _Sent(order.shared, checkpoint, out)
        while not job.ended:
            _executor().wait_for_any([job], timeout=1.0)
            time.sleep(_PAUSE)
            yield from sent.reports(list(job.messages(timeout=0)), log)
        yield from sent.reports(list(job.messages(timeout=0)), log)
        reason = job.exit_reason()
        job.cancel()  # processes that it has left behind
        yield from sent.rest(log)
        keeps = checkpoint is not None and checkpoint.is_file()
        yield Report(exit_reason=reason, keeps=keeps)


def work_here(order: tuple[str, str | None, Any, Mapping[str, str]], send: Send) -> None:
    """Child's side: do the work, with what the node has found out about itself."""
    work, arrive, argument, environment = order
    os.environ.update(environment)  # before anything touches a GPU
    if arrive:
        argument = pkgutil.resolve_name(arrive)(argument)
    pkgutil.resolve_name(work)(argument, send)


class FileServer:
    """An actor beside the driver that reads the files of its jobs; others it does not give out."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}

    def offer(self, files: Mapping[str, Path]) -> None:
        """Give out these files from now on."""
        self._files.update(files)

    def piece(self, identity: str, position: int) -> bytes:
        """Return a piece of a file. Raises KeyError for one that was not offered, OSError as reading does."""
        with self._files[identity].open("rb") as file:
            file.seek(position)
            return file.read(PIECE)


class _Files:
    """Gives a job its paths on this node; what is not here is fetched, once for all jobs of the node."""

    def __init__(self, scratch: Path, server: Any, stack: ExitStack) -> None:
        self._scratch, self._server, self._stack = scratch, server, stack

    def path_of(self, reference: Reference) -> Path:
        """Return the path that stands for a reference here."""
        match reference:
            case Written(place):
                return place_in(self._scratch / "out", place)
            case Cached(place, size):
                path = place_in(cache_folder(), place)
                self._stack.enter_context(storage.using(path))  # it is not cleared meanwhile
                with cache_errors(), storage.lock(path.with_suffix(".lock")):
                    if not (path.is_file() and path.stat().st_size == size):
                        self._write(reference, path)
                return path
            case Given():
                return self._given(reference, self._scratch / secrets.token_hex(8))
            case Folder(files):
                folder = self._scratch / secrets.token_hex(8)
                for one in files:
                    self._given(one, folder)
                return folder

    def fetch(self, given: Given, path: Path) -> None:
        """Write a file of the driver's, under another name."""
        self._write(given, path)

    def _given(self, given: Given, folder: Path) -> Path:
        path = place_in(folder, given.name)
        self._write(given, path)
        return path

    def _write(self, file: Cached | Given, path: Path) -> None:
        import ray

        with storage.written_whole(path) as target:
            if not file.size:
                return
            coming = self._server.piece.remote(file.identity, 0)
            for position in range(0, file.size, PIECE):
                piece = ray.get(coming)
                if position + PIECE < file.size:
                    coming = self._server.piece.remote(file.identity, position + PIECE)
                target.write(piece)


class _Sent:
    """What has gone to the driver, and what has not yet."""

    def __init__(self, shared: str, checkpoint: Path | None, out: Path) -> None:
        self._shared, self._checkpoint, self._out = shared, checkpoint, out
        self._log_position = 0
        self._checkpoint_sent = file_identity(checkpoint) if checkpoint else None

    def reports(self, messages: list[Any], log: Path) -> Iterator[Report]:
        """Yield what is new."""
        for message in messages:
            if isinstance(message, Path):
                yield from self._cached(message)
        told = tuple(Returned(_cache_place(one)) if isinstance(one, Path) else one for one in messages)
        printed = self._printed(log)
        if told or printed:
            yield Report(told, printed)
        for _ in range(_LOGS):
            if not (printed := self._printed(log)):
                break
            yield Report(log=printed)
        if self._checkpoint and (now := file_identity(self._checkpoint)) != self._checkpoint_sent:
            self._checkpoint_sent = now
            if now is not None:
                with suppress(FileNotFoundError):  # its run has ended this moment
                    yield from _pieces(self._checkpoint, self._checkpoint.relative_to(self._out).as_posix())

    def rest(self, log: Path) -> Iterator[Report]:
        """Yield the end of the log and all files of a job that is over, its record last.

        What a killed writer has left is none of them.
        """
        while printed := self._printed(log):
            yield Report(log=printed)
        storage.sweep_below(self._out)
        files = [path for path in self._out.rglob("*") if path.is_file() and not path.is_symlink()]
        for path in sorted(files, key=lambda path: path.name == _KEPT_BACK):
            if path != self._checkpoint and path.suffix != ".lock":
                yield from _pieces(path, path.relative_to(self._out).as_posix())

    def _printed(self, log: Path) -> bytes:
        """Return what the job has printed since the last call, at most a report's share of it.

        Of what it prints faster than it can be told, the middle is left out.
        """
        if not log.exists():
            return b""
        with log.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size <= _LOG_BYTES:
                file.seek(self._log_position)
                printed = file.read(_LOG)
                self._log_position += len(printed)
                return printed
            start = max(self._log_position, size - _LOG)
            file.seek(start)
            printed = file.read(_LOG)
            file.truncate(0)  # the job appends to it
        left_out, self._log_position = start - self._log_position, 0
        return (f"\n… {left_out:,} bytes are left out here …\n".encode() if left_out else b"") + printed

    def _cached(self, path: Path) -> Iterator[Report]:
        """Yield a file of this node's cache, unless the driver's is the same folder."""
        if not place_in(cache_folder(), self._shared).exists():
            for report in _pieces(path, _cache_place(path)):
                assert report.piece is not None
                yield replace(report, piece=replace(report.piece, to_cache=True))


def _cache_place(path: Path) -> str:
    return path.absolute().relative_to(cache_folder().absolute()).as_posix()


def _pieces(path: Path, place: str) -> Iterator[Report]:
    """Yield a file as it is now: a checkpoint may be replaced while it is read."""
    with path.open("rb") as file:
        content = file.read(PIECE)
        while True:
            following = file.read(PIECE)
            yield Report(piece=Piece(place, content, is_last=not following))
            if not following:
                return
            content = following


@contextmanager
def _folder_of_a_job() -> Iterator[Path]:
    """Yield a new folder for one job; what jobs of killed workers have left is deleted."""
    base = cache_folder() / "jobs"
    with cache_errors():
        base.mkdir(exist_ok=True)
    with scratch_folder(base) as folder:
        yield folder
