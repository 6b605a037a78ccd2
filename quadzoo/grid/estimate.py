"""How long a bench will take: from the times of finished runs, else from a few training steps.

Where nothing is to be trained yet, some images are passed forward: a step takes about three times that.

A time is never part of what identifies a run, and a measurement that fails stops no bench.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from quadzoo.data.splits import Split
from quadzoo.errors import DataError
from quadzoo.executors.base import Executor, NoAnswer, Send, answer
from quadzoo.grid.halving import outlook
from quadzoo.grid.observer import Observer
from quadzoo.grid.plan import Estimate, Plan
from quadzoo.grid.tuning import trials
from quadzoo.model.recipe import Recipe
from quadzoo.records.facts import SplitFacts
from quadzoo.records.record import Found, RunRecord, keys_in, read_record
from quadzoo.report.text import duration, listed
from quadzoo.scratch import scratch_folder
from quadzoo.threads import available_cpus, threads_of_a_run
from quadzoo.training.device import take
from quadzoo.training.task import Placement, Task

_LONG = 60.0  # seconds for the steps of a backbone
# Steps, the first of which are slow: on a GPU cuDNN tries algorithms there, and a step is recorded.
_WARM_UP = {"cpu": 1, "cuda": 5, "mps": 2}
_STEPS, _SECONDS = 3, 0.3  # to be timed after it, at least
_PASSES = 2  # the same, for a plan that trains nothing and should be there at once
_SLOW = 5.0  # seconds: of such steps one more than the first is enough,
_LAST = 20.0  # and of such the first
_FORWARD = 1 / 3  # of the time of a training step: forward, and backward to weights and to features
# What a run does beside training and start: about 150 images to measure latency and throughput, files.
_MEASURED_IMAGES = 150
_CALIBRATED = 512  # images, at most, for batch norm before each validation
_AROUND = 1.5  # seconds
_FORWARDED = 8  # images, for a plan that trains nothing
# Training images, all runs together: to time a step of them costs more than it tells. On a GPU each backbone
# has a process of its own, which takes 10 s to begin; so many images are trained on in minutes.
_FEW = {"cpu": 1000, "mps": 1000, "cuda": 500_000}


@dataclass(frozen=True)
class Timing:
    """Seconds of a training step with ``images`` images, of ``images`` images forward, and of a run's start.

    With `freeze` a step is one of the head, on features.
    """

    step: float
    forward: float
    start: float
    images: int


def is_worth_timing(plan: Plan) -> bool:
    """Return whether the runs are long enough for an estimate that nobody asked for."""
    images = sum(task.epochs * task.split.n_train for task in plan.to_do)
    return images > _FEW[plan.device.kind]


def with_estimate(plan: Plan, executor: Executor, observer: Observer, *, dry: bool = False) -> Plan:
    """Return the plan with an estimate of how long its runs will take; where none is to do, none is timed.

    For a ``dry`` one no training step is taken.
    """
    if not plan.to_do:
        return replace(plan, estimate=Estimate(0.0, "nothing to do"))
    known, tried, halved = _known_runs(plan), trials(plan), outlook(plan)
    # Of a backbone's heads the first that trains by steps is timed; those in closed form take none.
    first = sorted(reversed(plan.to_do), key=lambda task: not task.closed_form)
    unknown = {task.backbone: task for task in first if not known.get(_row(task))}
    timings: dict[str, Timing] = {}
    untimed: dict[str, str] = {}  # and why
    what = "timing passes of a few images" if dry else "timing training steps"
    advance = observer.counting(what, len(unknown))
    for backbone, task in unknown.items():
        advance(0)
        try:
            timings[backbone] = _timed(plan, task, executor, dry)
        except (NoAnswer, DataError, OSError) as error:
            untimed[backbone] = f"{backbone} could not be timed: {error}"
        advance(1)
    to_do = [task for task in plan.to_do if known.get(_row(task)) or task.backbone not in untimed]
    if not to_do:
        return replace(plan, estimate=Estimate(None, "; ".join(untimed.values()), tuple(untimed)))

    def seconds_of(task: Task, run: Task) -> float:
        runs = known.get(_row(run))
        return _as_before(task, runs) if runs else _seconds(task, timings[task.backbone])

    costs = {task.key: seconds_of(task, task) for task in to_do}
    # Where runs or trials may not be made, each counts with its share.
    by_backbone: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for task in to_do:
        by_backbone[task.backbone].append((costs[task.key], halved.shares[task.key]))
    of_halving = [(seconds_of(trial, run), share) for trial, run, share in halved.trials if run.key in costs]
    of_trials = [(seconds_of(trial, run), halved.shares[run.key]) for trial, run in tried if run.key in costs]
    shared = sum(_features(plan, backbone, timing) for backbone, timing in timings.items())
    total = shared  # and all trials come before all runs
    for stage in (of_halving, of_trials, [one for runs in by_backbone.values() for one in runs]):
        longest = max((seconds for seconds, share in stage if share), default=0.0)
        total += max(_sum(stage) / _at_once(plan, executor), longest)
    parts = [_part("short training", "of halving", of_halving)] if of_halving else []
    parts += [_part("run", f"of {backbone}", runs) for backbone, runs in by_backbone.items() if _sum(runs)]
    if of_trials:
        parts.append(_part("trial", "", of_trials))
    text = f"about {duration(total)}: {listed(parts)}" + ", compilation not counted" * plan.config.compile
    if not parts:
        total, text = 0.0, "nothing left to train: what is to do was stopped by `halving`"
    estimate = Estimate(total, "; not counted: ".join([text, *untimed.values()]), tuple(untimed))
    return replace(plan, estimate=estimate, costs=costs)


def _at_once(plan: Plan, executor: Executor) -> int:
    """Return how many runs there are at the same time; of more than this machine has CPUs each is slower."""
    runs = executor.at_once(len(plan.slots))
    return runs if executor.machines() or plan.device.kind != "cpu" else min(runs, available_cpus())


def _sum(stage: Sequence[tuple[float, float]]) -> float:
    return sum(seconds * share for seconds, share in stage)


def _part(what: str, of: str, stage: Sequence[tuple[float, float]]) -> str:
    """Return "3 runs of resnet18 (5 min)" from seconds and the share with which each counts."""
    n, number = len(stage), sum(share for _, share in stage)
    count = f"{n}" if number == n else f"about {max(1, round(number))} of {n}"
    words = f"{count} {what}{'s' * (n > 1)} {of}".rstrip()
    return f"{words} ({duration(_sum(stage))})"


class _Known(NamedTuple):
    """A finished run: its images times epochs, and seconds of training and of all else."""

    work: float
    fit: float
    rest: float


def _row(task: Task) -> tuple[str, str]:
    return task.curve, task.precision


def _known_runs(plan: Plan) -> dict[tuple[str, str], list[_Known]]:
    """Return the finished runs in the results folder, made under the same conditions, by `_row`."""
    found: dict[tuple[str, str], list[_Known]] = defaultdict(list)
    wanted = {_row(task): task.closed_form for task in plan.to_do}
    threads = threads_of_a_run(len(plan.slots), plan.config.threads)
    for record in _records(plan):
        where, fit = record.environment, record.cost.fit_seconds
        conditions = where.device, where.device_name, where.threads
        row = record.curve, record.precision
        if row not in wanted or record.status != "ok" or fit is None:
            continue
        if conditions == (plan.device.kind, plan.device.name, threads):
            rest = (record.finished - record.started).total_seconds() - fit
            work = 0.0 if wanted[row] else _work(record.recipe, record.split)
            found[row].append(_Known(work, fit, max(0.0, rest)))
    return found


def _records(plan: Plan) -> Iterator[RunRecord]:
    for key in keys_in(plan.config.out):
        try:
            record = read_record(plan.config.out, key)
        except DataError:  # named elsewhere
            continue
        if record:
            yield record


def _work_of(task: Task) -> float:
    return 0.0 if task.closed_form else _work(task.recipe, task.split)


def _work(recipe: Recipe, split: SplitFacts) -> float:
    """Return how many images a run trains on in all its epochs, validation included as a share of them."""
    epochs = recipe.epochs_for(split.n_train)
    batch = min(recipe.batch_size, split.n_train)
    steps = split.n_train // batch if batch else 0
    seen = split.n_val
    if recipe.batch_norm == "reestimated" and not recipe.freeze:
        seen += min(split.n_train, _CALIBRATED)
    validations = epochs / recipe.validate_every(split.n_train, epochs)
    return epochs * steps * batch + _FORWARD * validations * seen


def _as_before(task: Task, runs: list[_Known]) -> float:
    """Return the seconds of a run, from those of finished ones, which may have had other images."""
    rest = statistics.median(run.rest for run in runs)
    work = sum(run.work for run in runs)
    fit = sum(run.fit for run in runs)
    return rest + (fit * _work_of(task) / work if work else fit / len(runs))


def _seconds(task: Task, timing: Timing) -> float:
    """Return the seconds of a run, from those of a few steps."""
    split = task.split
    evaluated = split.n_val + split.n_test + _MEASURED_IMAGES
    fit = timing.step / timing.images * _work_of(task)
    return timing.start + fit + evaluated * timing.forward / timing.images + _AROUND


def _features(plan: Plan, backbone: str, timing: Timing) -> float:
    """Return the seconds of the features that runs of a backbone share, and those for ridge regression."""
    tasks = [task for task in plan.tasks if task.backbone == backbone]
    by_ridge = tasks[0].identity.loaded is not None and not all(task.closed_form for task in tasks)
    passes = tasks[0].recipe.freeze + by_ridge
    return passes * tasks[0].data.n * timing.forward / timing.images


def _timed(plan: Plan, task: Task, executor: Executor, dry: bool) -> Timing:
    """Time a task's steps, or with ``dry`` passes, in a process of its own. Raises NoAnswer."""
    clock, longest = time.perf_counter(), min(_LONG, plan.config.timeout or _LONG)
    placement = replace(plan.placement(task), compiled="no")
    if task.found.lr is None:  # of a rate that is still to be chosen, any takes as long
        task = replace(task, found=Found(lr=task.recipe.lr))
    work = f"{__name__}:time_steps"
    told: dict[str, Any] = answer(executor, work, (task, placement, dry), longest, placement.needs)
    start = time.perf_counter() - clock - told["measuring"]
    return Timing(told["step"], told["forward"], max(0.0, start), told["images"])


def time_steps(work: tuple[Task, Placement, bool], send: Send) -> None:
    """Child's side: take the first training steps of a run, and send how long one takes.

    They are those of the run itself: its Trainer, images, augmentation and optimizer. With the third part of
    ``work`` true nothing is trained: a step is taken to be three times as long as passing its inputs forward.
    The parent ends this process when it has the answer.
    """
    import pytorch_lightning as pl
    import torch

    from quadzoo.data.datamodule import ArrayFile, DataModule
    from quadzoo.data.fold import Fold
    from quadzoo.model.device import wait_for
    from quadzoo.targets import scale
    from quadzoo.training.run import build_module, make_trainer

    task, placement, dry = work
    take(placement.device)
    recipe = task.recipe
    torch.set_num_threads(placement.threads)
    pl.seed_everything(task.seed, workers=True, verbose=False)
    module, fold = build_module(task, placement), Fold.load(placement.fold)
    batch = min(recipe.batch_size, len(fold.split.train))
    begun, warm_up = time.perf_counter(), _WARM_UP[placement.device.kind]

    def clock() -> float:
        wait_for(torch.device(placement.device.kind))
        return time.perf_counter()

    def tell(step: float, forward: float) -> None:
        send({"step": step, "forward": forward, "images": batch, "measuring": time.perf_counter() - begun})

    class Stopwatch(pl.Callback):
        """Times each step with the reading of its images, and tells when that is enough."""

        def __init__(self, forward: float | None) -> None:
            self._forward = forward
            self._times: list[float] = []
            self._last = 0.0

        def on_train_epoch_start(self, *_: Any) -> None:
            self._last = clock()

        def on_train_batch_end(self, *_: Any) -> None:
            now = clock()
            self._times.append(now - self._last)
            self._last = now
            if _are_enough(self._times, warm_up):
                self.tell()

        def tell(self) -> None:
            step = min(self._times[warm_up:] or self._times[-1:])  # other programs only make it longer
            tell(step, _FORWARD * step if self._forward is None else self._forward)

    def fit(inputs: Path, targets: np.ndarray, split: Split, forward: float | None) -> None:
        watch = Stopwatch(forward)
        data = DataModule(inputs, scale(targets, task.unit), split, recipe.batch_size, task.seed)
        if placement.device.kind == "cuda":
            module.replay_training()
        make_trainer(task, placement, [watch]).fit(module, datamodule=data)
        watch.tell()  # of a training too short to be enough

    trains = task.epochs and any(parameter.requires_grad for parameter in module.parameters())
    if trains and not recipe.freeze and not dry:
        fit(placement.images, fold.targets, fold.split, None)
        return
    trainer = make_trainer(task, placement, [])
    module.to(trainer.strategy.root_device).eval()
    batch = min(batch, _FORWARDED) if dry else batch
    rows = fold.split.train[:batch]
    images = ArrayFile(placement.images)[torch.from_numpy(rows)].permute(0, 3, 1, 2).to(module.device)
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        forward = _repeated(lambda: module.features(images), clock, warm_up, dry)
        if dry and trains and not recipe.freeze:
            tell(forward / _FORWARD, forward)
            return
        features = module.features(images).float()
        if dry and trains:  # of a frozen backbone the head alone is trained
            tell(_repeated(lambda: module.raw(features), clock, warm_up, dry) / _FORWARD, forward)
            return
    if not trains:
        tell(0.0, forward)
        return
    with scratch_folder() as folder:  # the head's steps, on the features of one batch
        np.save(path := folder / "features.npy", features.permute(0, 2, 3, 1).cpu().numpy())
        everyone = np.arange(batch)
        alone = replace(fold.split, train=everyone, val=everyone[:1], test=everyone[:1])
        fit(path, fold.targets[rows], alone, forward)


def _repeated(call: Callable[[], object], clock: Callable[[], float], warm_up: int, dry: bool) -> float:
    """Return the median seconds of repeated calls, without those that warm up."""
    times: list[float] = []
    while not (_are_enough(times, warm_up) or (dry and len(times) >= warm_up + _PASSES)):
        begin = clock()
        call()
        times.append(clock() - begin)
    return statistics.median(times[warm_up:] or times[-1:])


def _are_enough(times: list[float], warm_up: int) -> bool:
    """Say whether steps have been timed long enough; of steps that take seconds fewer will do.

    One alone, on a CPU that is busy with something else, may take a hundred times as long as the next.
    """
    timed = times[warm_up:]
    long = bool(timed) and sum(timed) > _SLOW
    return (len(timed) >= _STEPS and sum(timed) >= _SECONDS) or long or (warm_up == 1 and sum(times) > _LAST)
