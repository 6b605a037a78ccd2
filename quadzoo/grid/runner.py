"""The loop: check everything, plan, run what is not done, write the leaderboard."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self

from filelock import FileLock, Timeout

from quadzoo.data.cache import ImageSet, in_use, prepare
from quadzoo.data.sources import N_DRAWN, open_source
from quadzoo.data.splits import make_splits
from quadzoo.errors import ConfigError, DataError
from quadzoo.executors.local import Child, Executor, wait_for_any
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.init import check_fit, find_model, fixed_by
from quadzoo.grid.plan import Plan, RunPlan, Weights, fold_data, has_finished, make_plan, record_of
from quadzoo.grid.precision import find_precisions
from quadzoo.grid.probe import check_compiler, find_device, find_weights
from quadzoo.records.record import (
    Failure,
    RunRecord,
    read_record,
    run_folder,
    write_record,
)
from quadzoo.registry import catalogue
from quadzoo.report.files import write_report
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import Results, read_runs, unreadable_records
from quadzoo.report.rows import Leaderboard

_LOG = "run.log"
_LOG_TAIL = 4000


class Observer(Protocol):
    """Whoever wants to know how a bench goes; the command line shows it."""

    def note(self, text: str) -> None:
        """Hear one line worth knowing."""

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        """Return a function that is told how many more of ``total`` things are done."""

    def planned(self, plan: Plan) -> None:
        """Hear what will run."""

    def progressed(self, run: RunPlan, share: float, val_mse: float | None) -> None:
        """Hear the share of a run's training that is done."""

    def ended(self, run: RunPlan, record: RunRecord) -> None:
        """Hear how a run ended."""


@dataclass
class _Running:
    run: RunPlan
    child: Child
    lock: FileLock
    started: datetime
    deadline: float

    @property
    def overdue(self) -> bool:
        return time.monotonic() > self.deadline


def plan_bench(config: BenchConfig, executor: Executor, observer: Observer) -> Plan:
    """Check names, data, split, device and weights, and return the plan; nothing is written to ``out``.

    Raises a QuadzooError for the first thing that does not fit.
    """
    names = catalogue.load()
    for plugin in names.plugins:
        if plugin.failure:
            observer.note(f"warning: {plugin} is left out: {plugin.failure}")
    model = find_model(config.init, names) if config.init else None
    if model:
        config = fixed_by(model, config)
    config = config.model_copy(
        update={
            "backbones": names.backbones.distinct(config.backbones),
            "heads": names.heads.distinct(config.heads),
        }
    )
    _check_out(config.out)
    for one in unreadable_records(config.out):
        observer.note(f"warning: run {one.key} cannot be read: {one.reason}")
    source = open_source(config.request, observer.counting("drawing equations", N_DRAWN))
    decoding = observer.counting("decoding images", 2 * len(source))
    channels = model.record.image["channels"] if model else None
    images = prepare(source, config.image_size, config.resize, decoding, channels=channels)
    splits = make_splits(
        config.split, source.ids, images.pixels, folds=config.folds, group_values=source.group_values
    )
    folds = fold_data(source, images, splits)
    device = find_device(executor, config.device)
    if config.compile:
        check_compiler(executor, device)
    if model:
        check_fit(model, folds)
        weights = {model.record.backbone: model.weights}
    else:
        weights = _weights(config, executor, observer, images)
    precisions = find_precisions(
        executor,
        config.backbones,
        config.precision,
        names,
        images,
        recipe=config.recipe,
        model=model,
        device=device,
        timeout=config.timeout,
        advance=observer.counting("trying precisions", len(config.backbones)),
    )
    return make_plan(config, names, folds, device, weights=weights, precisions=precisions)


def _weights(
    config: BenchConfig, executor: Executor, observer: Observer, images: ImageSet
) -> dict[str, Weights]:
    asked = observer.counting("looking for pretrained weights", len(config.backbones))
    weights = find_weights(
        executor, config.backbones, config.weights, images.geometry, timeout=config.timeout, advance=asked
    )
    if config.recipe.freeze:
        for backbone, start in weights.items():
            if start.kind == "none":
                observer.note(f"warning: --freeze: {backbone} has learnt nothing yet (weights: {start.note})")
    return weights


def _check_out(out: Path) -> None:
    """Raise ConfigError for a folder that cannot be written to."""
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not existing.is_dir():
        raise ConfigError(f"--out {out}: {existing} is a file, not a folder")
    if not os.access(existing, os.W_OK):
        raise ConfigError(f"--out {out}: {existing} is not writable; choose another folder")


def bench(config: BenchConfig, executor: Executor, observer: Observer) -> Leaderboard | None:
    """Run what is not done yet, each run in a process of its own, and write OUT's leaderboard.

    A run that fails leaves a record that says so; the others go on. An interrupt ends the runs under
    way, writes the leaderboard of what is finished, and is raised again.
    """
    plan = plan_bench(config, executor, observer)
    observer.planned(plan)
    data = plan.runs[0].data
    try:
        with in_use(data.images), _Interrupts() as interrupts:
            _run_all(plan, config, executor, observer, interrupts)
    finally:
        board = _report(config.out, data.images.hash, data.split.hash, observer)
    return board


def _report(out: Path, data_hash: str, split_hash: str, observer: Observer) -> Leaderboard | None:
    """Write the leaderboard of the records for one data set and split; None where there are none."""
    results = read_runs([out])
    for one in results.unreadable:
        observer.note(f"warning: run {one.key} left out: {one.reason}")
    chosen = [r for r in results.runs if (r.record.data.hash, r.record.split.hash) == (data_hash, split_hash)]
    if not chosen:
        return None
    boards = leaderboards(chosen, results.unreadable)
    write_report(out, boards, Results(chosen, [], results.unreadable))
    return boards[0]


class _Interrupts:
    """Remembers an interrupt, since Python drops the exception where it falls into a destructor."""

    def __init__(self) -> None:
        self._heard = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _hear(self, *_: object) -> None:
        self._heard = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was one."""
        if self._heard:
            raise KeyboardInterrupt


def _run_all(
    plan: Plan, config: BenchConfig, executor: Executor, observer: Observer, interrupts: _Interrupts
) -> None:
    waiting = deque(plan.to_do)
    running: list[_Running] = []
    elsewhere: set[str] = set()
    try:
        while waiting or running:
            for _ in range(len(waiting)):
                if len(running) == config.jobs:
                    break
                run = waiting.popleft()
                lock = _lock(run)
                if lock is None:
                    if run.key not in elsewhere:
                        observer.note(f"another bench is at {run.title}; waiting for it")
                    elsewhere.add(run.key)
                    waiting.append(run)
                elif not config.force and has_finished(run.out, run.key):
                    observer.note(f"{run.title}: another bench has finished it")
                    lock.release()
                else:
                    running.append(_start(run, lock, executor, config.timeout))
            wait_for_any([one.child for one in running], timeout=1.0)
            interrupts.check()
            for one in list(running):
                _hear(one, observer)
                if one.child.ended:
                    running.remove(one)
                    observer.ended(one.run, _finish(one, config.timeout))
    finally:
        for one in running:
            one.child.kill()
            one.lock.release()


def _hear(one: _Running, observer: Observer) -> None:
    for share, val_mse in one.child.messages(timeout=0):
        observer.progressed(one.run, share, val_mse)
    if one.overdue:
        one.child.kill()


def _lock(run: RunPlan) -> FileLock | None:
    """Take the run for this bench; None while another bench has it."""
    folder = run_folder(run.out, run.key)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def _start(run: RunPlan, lock: FileLock, executor: Executor, timeout: float | None) -> _Running:
    started, deadline = datetime.now(UTC), time.monotonic() + (timeout or math.inf)
    child = executor.start("quadzoo.training.run:run", run, run_folder(run.out, run.key) / _LOG)
    return _Running(run, child, lock, started, deadline)


def _finish(one: _Running, timeout: float | None) -> RunRecord:
    """Return the record of a run whose process has ended; write one where the process could not."""
    try:
        record = read_record(one.run.out, one.run.key)
    except DataError:  # left by an earlier bench, and not replaced
        record = None
    if record is None or record.started < one.started:
        tail = (run_folder(one.run.out, one.run.key) / _LOG).read_text(errors="replace")[-_LOG_TAIL:]
        if one.overdue:
            failure = Failure(type="TimedOut", message=f"no end within {timeout:g} seconds", traceback=tail)
        else:
            failure = Failure(type="ProcessDied", message=one.child.fate(), traceback=tail)
        record = record_of(one.run, one.started, error=failure)
        write_record(one.run.out, record)
    one.lock.release()
    return record
