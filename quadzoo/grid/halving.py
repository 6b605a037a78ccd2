"""Successive halving over epochs, by val: `halving`. Rows that are worse early get no full training."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from filelock import FileLock, Timeout

from quadzoo import storage
from quadzoo.data.texts import plural
from quadzoo.errors import ConfigError, DataError
from quadzoo.executors.base import Executor
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.observer import Observer
from quadzoo.grid.plan import Plan, longest_first
from quadzoo.grid.trials import PERCENT, TrialPool
from quadzoo.records.baseline import MEAN
from quadzoo.records.facts import Halved
from quadzoo.records.halving import HALVING, HalvingTrial, read_halving, write_halving
from quadzoo.records.record import Failure
from quadzoo.records.tuning import Trial
from quadzoo.report.text import listed, short
from quadzoo.training.outcome import failure
from quadzoo.training.task import Task

_SHARES = (8, 4, 2)  # of the epochs: an eighth, a quarter, a half
_FEWEST = 3  # combinations that are worth halving
_CAUSE = "Halved"  # the error's type in records of runs that were not made


class Rung(NamedTuple):
    """So many combinations are trained for so many epochs, and so many of them go on."""

    combinations: int
    epochs: int
    keep: int


@dataclass(eq=False)
class _Candidate:
    """A combination: ``task`` is that of its lowest seed, ``runs`` are all; ``log`` is of one that failed."""

    task: Task
    runs: list[Task]
    trials: dict[int, Trial] = field(default_factory=dict)  # by epochs
    log: str = ""

    @property
    def title(self) -> str:
        return f"{self.task.backbone} · {self.task.head}"

    def trial(self, epochs: int) -> Task:
        """Return the task of a short training. Its schedule is whole: it ends with the trial."""
        recipe = self.task.recipe.model_copy(update={"epochs": epochs, "tune": None})
        return replace(self.task, identity=replace(self.task.identity, recipe=recipe))

    def score(self, epochs: int) -> float:
        """Return the val MSE of a short training; infinity where it has none."""
        val_mse = self.trials[epochs].val_mse
        return math.inf if val_mse is None else val_mse


def check_halving(config: BenchConfig) -> None:
    """Check that rows can be halved: by val, once, over epochs. Raises ConfigError where they cannot."""
    if not config.halving:
        return
    if config.folds > 1:
        raise ConfigError(
            "`halving`: with `folds`, val images of one fold are test images of another, and would choose "
            "rows; leave one of the two out"
        )
    if config.force:
        raise ConfigError("`halving`: `force` trains all finished runs again; leave one of the two out")
    if len(config.train_share) > 1:
        raise ConfigError("`halving`: it takes one `train_share`; bench one after the other, or leave it out")
    n = len(config.backbones) * len(config.heads)
    if n < _FEWEST:
        raise ConfigError(f"`halving`: {n} combinations leave nothing to halve; give {_FEWEST} or more")
    if config.recipe.epochs in (0, 1):
        raise ConfigError(f"`halving`: `epochs` {config.recipe.epochs} cannot be halved; give 2 or more")


def rungs(plan: Plan) -> list[Rung]:
    """Return what is trained for how long; nothing without `halving`, or where no run is to do.

    Combinations begin with an eighth of the epochs. The better half goes on to a quarter, and the better half
    of these to a half (Jamieson & Talwalkar 2016, Non-stochastic Best Arm Identification and Hyperparameter
    Optimization, AISTATS, section 3). What is left after that is trained in full.
    """
    if not plan.config.halving or not plan.to_do:
        return []
    epochs, n, found = plan.tasks[0].epochs, len(_candidates(plan)), []
    for short_epochs in dict.fromkeys(math.ceil(epochs / share) for share in _SHARES):
        if n >= _FEWEST and short_epochs < epochs:
            found.append(Rung(n, short_epochs, math.ceil(n / 2)))
            n = found[-1].keep
    return found


def _candidates(plan: Plan) -> list[_Candidate]:
    """Return all combinations, those whose runs are done, too: others are compared with them."""
    by_names: dict[tuple[str, str], list[Task]] = defaultdict(list)
    for task in plan.tasks:
        by_names[task.backbone, task.head].append(task)
    return [_Candidate(min(runs, key=lambda one: one.seed), runs) for runs in by_names.values()]


def _best(candidates: Sequence[_Candidate], epochs: int) -> list[_Candidate]:
    """Return the combinations by val; equal ones stay in the order of the plan."""
    return sorted(candidates, key=lambda one: one.score(epochs))


def _known(
    plan: Plan, candidates: Sequence[_Candidate], epochs: int, note: Callable[[str], None] = lambda _: None
) -> None:
    """Take over the short trainings that are kept. One that broke off, or cannot be read, is made again."""
    for one in candidates:
        try:
            kept = read_halving(plan.config.out, one.trial(epochs).key)
        except DataError as error:
            note(f"warning: {error}; {one.title} is trained for {plural(epochs, 'epoch')} again")
            continue
        if kept is not None and kept.trial.is_final:
            one.trials[epochs] = kept.trial


class Outlook(NamedTuple):
    """What is still to come: tasks of short trainings, each with one of the runs that wait for it.

    ``shares`` says how likely each run is made, by key, and ``trials`` each short training.
    """

    trials: list[tuple[Task, Task, float]]
    shares: dict[str, float]


def outlook(plan: Plan) -> Outlook:
    """Return what a bench will train, as far as the short trainings that are kept decide it.

    Where nothing decides, all are as likely to go on.
    """
    shares = {task.key: 1.0 for task in plan.to_do}
    found: list[tuple[Task, Task, float]] = []
    left, decided, share = _candidates(plan), True, 1.0
    for rung in rungs(plan):
        _known(plan, left, rung.epochs)
        found += [(one.trial(rung.epochs), one.task, share) for one in left if rung.epochs not in one.trials]
        decided = decided and all(rung.epochs in one.trials for one in left)
        if decided:
            left = _best(left, rung.epochs)[: rung.keep]
        else:
            share *= rung.keep / rung.combinations
    likely = {task.key for one in left for task in one.runs}
    return Outlook(found, {key: share * (key in likely) for key in shares})


def in_words(plan: Plan) -> str:
    """Return how a bench will halve; nothing where it will not."""
    steps = rungs(plan)
    if not steps:
        return ""
    told = [f"{one.combinations} for {plural(one.epochs, 'epoch')}" for one in steps]
    first = plan.tasks[0]  # an incomplete batch is left out
    an_epoch = plural(max(1, first.split.n_train // first.recipe.batch_size), "step")
    n, missing = sum(one.combinations for one in steps), sum(share for *_, share in outlook(plan).trials)
    kept = f" ({n - round(missing)} of these {n} are kept from before)" if round(missing) < n else ""
    return (
        f"halving: by val MSE on the lowest seed, of {steps[0].combinations} combinations are trained "
        f"{listed(told)}{kept}, an epoch being {an_epoch}; the best {steps[-1].keep} then from the start for "
        f"all {first.epochs} epochs and seeds; the others are listed as incomplete"
    )


def with_halving(plan: Plan, executor: Executor, observer: Observer, check: Callable[[], None]) -> Plan:
    """Return the plan with what is left to train: of the other runs its ``failures`` say where they stopped.

    One whose short training failed was not stopped: it failed. Short trainings are kept in OUT/halving, and
    none is made twice. ``check`` is called from time to time and may raise.
    """
    steps = rungs(plan)
    if not steps:
        return plan
    stopped = _Halver(plan, executor, observer, check).run(steps)
    found: dict[str, Halved] = {}
    failures: dict[str, Failure] = {}
    for one, halved in stopped:
        for key in {task.key for task in one.runs} - plan.done:
            if one.trials[halved.epochs].error is not None:
                failures[key] = _failure(one, halved.epochs)
            else:
                found[key] = halved
                failures[key] = failure(_CAUSE, f"not trained in full: {halved.text}", "")
    tasks = [
        replace(task, found=task.found.model_copy(update={"halved": found.get(task.key)}))
        if task.key not in plan.done
        else task
        for task in plan.tasks
    ]
    return replace(plan, tasks=tasks, failures={**plan.failures, **failures})


def _failure(one: _Candidate, epochs: int) -> Failure:
    kind, _, message = str(one.trials[epochs].error).partition(": ")
    return failure(kind, f"in a short training of halving, {plural(epochs, 'epoch')}: {message}", one.log)


@dataclass(frozen=True)
class _Halver:
    """Trains rung by rung, as many combinations at a time as the bench's runs."""

    plan: Plan
    executor: Executor
    observer: Observer
    check: Callable[[], None]

    def run(self, steps: Sequence[Rung]) -> list[tuple[_Candidate, Halved]]:
        """Return the combinations that were stopped, and where."""
        left, stopped = _candidates(self.plan), []
        lock = self._locked()
        try:
            for rung in steps:
                self._train(left, rung.epochs)
                ordered = _best(left, rung.epochs)
                left = ordered[: rung.keep]
                for place, one in enumerate(ordered[rung.keep :], rung.keep + 1):
                    stopped.append((one, _halved(one, place, rung)))
                if doubt := _doubt(ordered, rung):
                    self.observer.note(doubt)
                told = [f"{one.title} ({short(one.trials[rung.epochs].val_mse) or 'failed'})" for one in left]
                self.observer.note(
                    f"halving after {plural(rung.epochs, 'epoch')}: {listed(told)} go on, by val MSE"
                )
        finally:
            lock.release()
        return stopped

    def _locked(self) -> FileLock:
        """Return the lock of OUT/halving, taken; wait for another bench that has it."""
        lock = storage.lock(self.plan.config.out / HALVING / ".lock", blocking=False)
        told = False
        while True:
            try:
                lock.acquire()
            except Timeout:
                if not told:
                    self.observer.note("another bench is halving here; waiting for it")
                told = True
                time.sleep(1)
                self.check()
            else:
                return lock

    def _train(self, left: Sequence[_Candidate], epochs: int) -> None:
        """Make the short trainings that are not kept, the longest first."""
        _known(self.plan, left, epochs, self.observer.note)
        missing = {one.task.key: one for one in left if epochs not in one.trials}
        if not missing:
            return
        advance = self.observer.counting(f"halving, {epochs} epochs", PERCENT * len(missing))
        pool = TrialPool(self.plan, self.executor, self.observer.note)
        waiting = longest_first([one.task for one in missing.values()], self.plan.costs)
        try:
            while any(epochs not in one.trials for one in missing.values()):
                while waiting and pool.room > 0:
                    one = missing[waiting.pop(0).key]
                    pool.start(one.trial(epochs), partial(self._ended, one, epochs), advance)
                pool.wait()
                self.check()
                pool.receive()
        finally:
            pool.close()

    def _ended(self, one: _Candidate, epochs: int, trial: Trial, log: str) -> None:
        one.trials[epochs], one.log = trial, log
        task = one.trial(epochs)
        record = HalvingTrial(
            key=task.key,
            backbone=task.backbone,
            head=task.head,
            precision=task.precision,
            seed=task.seed,
            epochs=epochs,
            trial=trial,
        )
        write_halving(self.plan.config.out, record)
        if trial.error is not None:
            self.observer.note(
                f"warning: {one.title}: training for {plural(epochs, 'epoch')} failed: {trial.error}"
            )


def _doubt(ordered: Sequence[_Candidate], rung: Rung) -> str:
    """Return the warning that most were no better than the mean of train; nothing where most were."""
    mean = ordered[0].task.baselines[MEAN].val_mse
    scores = [score for one in ordered if (score := one.trials[rung.epochs].val_mse) is not None]
    worse = sum(mean is not None and score >= mean for score in scores)
    if 2 * worse <= len(scores):
        return ""
    return (
        f"warning: halving: after {plural(rung.epochs, 'epoch')} {worse} of {len(scores)} combinations read "
        "no better than the mean of train: their order says little; more `epochs` would tell them apart"
    )


def _halved(one: _Candidate, place: int, rung: Rung) -> Halved:
    return Halved(
        trial=one.trial(rung.epochs).key,
        epochs=rung.epochs,
        val_mse=one.trials[rung.epochs].val_mse,
        place=place,
        of=rung.combinations,
        kept=rung.keep,
    )
