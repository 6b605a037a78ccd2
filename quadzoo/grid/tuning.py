"""Find a learning rate for each combination, by val, before its first run: `tune` lr:N."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from filelock import FileLock, Timeout

from quadzoo import storage
from quadzoo.errors import DataError
from quadzoo.executors.base import Executor
from quadzoo.grid.observer import Observer
from quadzoo.grid.plan import Plan
from quadzoo.grid.trials import PERCENT, TrialPool
from quadzoo.model.recipe import Recipe, trial_epochs
from quadzoo.records.record import Failure, Found
from quadzoo.records.tuning import Trial, TuningRecord, read_tuning, tuning_key, tuning_path, write_tuning
from quadzoo.report.captions import at_the_edge
from quadzoo.report.text import listed, short
from quadzoo.training.outcome import failure
from quadzoo.training.task import Task


@dataclass(eq=False)
class _Search:
    """The search for the learning rate of a combination on one fold.

    ``tasks`` are the runs that wait for it, ``trials`` what is known, by learning rate, ``left`` what the bar
    has still to move, in hundredths of a trial. ``log`` is the end of what the last failed trial printed.
    """

    key: str
    tasks: list[Task]
    seed: int
    trials: dict[float, Trial] = field(default_factory=dict)
    left: int = 0
    lock: FileLock | None = None
    log: str = ""

    @property
    def rates(self) -> tuple[float, ...]:
        return self.tasks[0].recipe.learning_rates

    @property
    def missing(self) -> list[float]:
        return [lr for lr in self.rates if lr not in self.trials]

    @property
    def title(self) -> str:
        task = self.tasks[0]
        return f"{task.backbone} · {task.head}{task.part}"

    @property
    def record(self) -> TuningRecord:
        task = self.tasks[0]
        return TuningRecord(
            key=self.key,
            backbone=task.backbone,
            head=task.head,
            fold=task.split.fold,
            precision=task.precision,
            seed=self.seed,
            epochs=trial_epochs(task.epochs),
            trials=[self.trials[lr] for lr in self.rates if lr in self.trials],
        )

    def task_of(self, lr: float) -> Task:
        """Return the task of a trial."""
        first = self.tasks[0]
        identity = replace(first.identity, seed=self.seed, recipe=_trial_recipe(first, lr))
        return replace(first, identity=identity)

    def read(self, plan: Plan) -> None:
        """Take over what is kept in the results folder. Raises DataError for a file that is no such.

        A trial that broke off, as for want of memory, is made again, but not once a learning rate has been
        chosen without it: all seeds of a row are trained with one.
        """
        kept = read_tuning(plan.config.out, self.key)
        if kept is None:
            return
        known = {one.lr: one for one in kept.trials if one.lr in self.rates}
        is_chosen = len(known) == len(self.rates) and kept.best in known
        self.seed = kept.seed
        self.trials = {lr: one for lr, one in known.items() if is_chosen or one.is_final}


def searches(plan: Plan) -> list[_Search]:
    """Return the searches that the runs to do wait for, with the trials that are kept.

    Runs that cannot be made, or that `halving` has stopped, wait for none.
    """
    found: dict[str, list[Task]] = defaultdict(list)
    for task in plan.to_do:
        if task.recipe.tune and task.key not in plan.failures:
            found[tuning_key(task.identity)].append(task)
    made = []
    for key, tasks in found.items():
        search = _Search(key, tasks, seed=min(plan.config.seeds))
        with suppress(DataError):  # it is said when the search begins
            search.read(plan)
        search.left = PERCENT * len(search.missing)
        made.append(search)
    return made


def trials_to_do(plan: Plan) -> int:
    """Return how many trials a bench will make before its first run."""
    return len(trials(plan))


def trials(plan: Plan) -> list[tuple[Task, Task]]:
    """Return the task of each trial that a bench will make before its first run, and one of those runs."""
    return [(search.task_of(lr), search.tasks[0]) for search in searches(plan) for lr in search.missing]


def in_words(plan: Plan) -> str:
    """Return how many trials a bench will make before its first run; nothing where it will make none."""
    tasks = [trial for trial, _ in trials(plan)]
    if not tasks:
        return ""
    # Said, because few steps hardly tell one learning rate from another. An incomplete batch is left out.
    epochs = [task.epochs for task in tasks]
    steps = [task.epochs * max(1, task.split.n_train // task.recipe.batch_size) for task in tasks]
    recipe = plan.to_do[0].recipe
    rates = ", ".join(f"{lr:g}" for lr in recipe.learning_rates)
    without = "" if recipe.lr in recipe.learning_rates else f"; an odd number tries {recipe.lr:g}, too"
    return (
        f"before that {len(tasks)} trial{'s' * (len(tasks) > 1)}, each of {_span(epochs, 'epoch')} "
        f"(about {_span(steps, 'step')}), to choose learning rates from {rates}{without}"
    )


def _span(numbers: Sequence[int], what: str) -> str:
    """Return "5 epochs", or "5 to 20 epochs" where shares of the training images differ."""
    least, most = min(numbers), max(numbers)
    return f"{least if least == most else f'{least} to {most}'} {what}{'s' * (most > 1)}"


def with_tuning(plan: Plan, executor: Executor, observer: Observer, check: Callable[[], None]) -> Plan:
    """Return the plan with the learning rate that was found for each task that is to run.

    For each combination, fold and precision, learning rates are tried on the lowest seed, by short runs that
    are scored on val alone. That with the lowest val MSE is taken, of equals the lowest. A training that
    diverges is a bad learning rate; where none has a score, the plan's ``failures`` say why. Trials are kept
    in OUT/tuning, and none is made twice. ``check`` is called from time to time and may raise.
    """
    found = searches(plan)
    if not found:
        return plan
    tuner = _Tuner(plan, executor, observer, found)
    tuner.run(check)
    tasks = [replace(task, found=tuner.found.get(task.key, task.found)) for task in plan.tasks]
    return replace(plan, tasks=tasks, failures={**plan.failures, **tuner.failures})


class _Tuner:
    """Runs trials side by side, as many as the bench's runs."""

    def __init__(self, plan: Plan, executor: Executor, observer: Observer, found: Iterable[_Search]) -> None:
        self.plan, self.observer = plan, observer
        self.found: dict[str, Found] = {}
        self.failures: dict[str, Failure] = {}
        # The longest first, as runs are started.
        self._waiting = deque(sorted(found, key=lambda one: -plan.costs.get(one.tasks[0].key, math.inf)))
        self._pool = TrialPool(plan, executor, observer.note)
        self._to_try: deque[Callable[[], None]] = deque()
        self._open: list[_Search] = []
        self._elsewhere: set[str] = set()
        total = sum(one.left for one in self._waiting)
        self._advance = observer.counting("trying learning rates", total) if total else lambda _: None

    def run(self, check: Callable[[], None]) -> None:
        """Finish all searches; whatever ends this early ends the trials under way."""
        try:
            while self._waiting or self._open:
                self._start_some()
                if not self._waiting and not self._open:
                    break
                self._pool.wait()
                check()
                self._pool.receive()
        finally:
            self._pool.close()
            for search in self._open:
                self._close(search)

    def _start_some(self) -> None:
        """Start as many trials as there is room for."""
        for _ in range(len(self._waiting)):
            if len(self._to_try) >= self._pool.room:
                break
            self._begin(self._waiting.popleft())
        while self._to_try and self._pool.room > 0:
            self._to_try.popleft()()

    def _begin(self, search: _Search) -> None:
        """Begin a search, unless another bench has it."""
        out = self.plan.config.out
        lock = storage.lock(out / "tuning" / f".{search.key}.lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            if search.key not in self._elsewhere:
                self.observer.note(f"{search.title} is being tuned by another bench; waiting for it")
            self._elsewhere.add(search.key)
            self._waiting.append(search)
            return
        search.lock = lock
        self._open.append(search)
        try:
            search.read(self.plan)
        except DataError as error:
            self.observer.note(f"warning: {error}; its learning rates are tried again")
        self._to_try.extend(partial(self._start, search, lr) for lr in search.missing)
        if not search.missing:
            self._conclude(search)

    def _start(self, search: _Search, lr: float) -> None:
        ended, moved = partial(self._ended, search), partial(self._move, search)
        self._pool.start(search.task_of(lr), ended, moved)

    def _ended(self, search: _Search, trial: Trial, log: str) -> None:
        search.log = log or search.log
        search.trials[trial.lr] = trial
        write_tuning(self.plan.config.out, search.record)
        if not search.missing:
            self._conclude(search)

    def _conclude(self, search: _Search) -> None:
        """Say what was found, for all tasks that wait for it."""
        record = search.record
        note = self.observer.note
        results = listed([_result(one) for one in record.trials])
        broken = [one for one in record.trials if not one.is_final]
        if record.best is None:
            why = (broken or record.trials)[0].error
            text = f"no learning rate could be chosen: {results}; the first of these errors: {why}"
            failed = failure("NoLearningRate", text, search.log)
            self.failures |= dict.fromkeys([task.key for task in search.tasks], failed)
        else:
            self.found |= dict.fromkeys([task.key for task in search.tasks], Found(lr=record.best))
            note(f"{search.title}: learning rate {record.best:g}, the best by val of {results}")
            if edge := at_the_edge([record.best], search.rates):
                note(f"warning: {search.title}: {edge}")
            if broken:
                path = tuning_path(self.plan.config.out, search.key)
                rates = listed([f"{one.lr:g}" for one in broken])
                note(
                    f"warning: {search.title}: learning rate {rates} could not be tried ({broken[0].error}); "
                    f"to try again, delete {path}"
                )
        self._move(search, search.left)
        self._close(search)

    def _move(self, search: _Search, percent: int) -> None:
        """Move the bar by hundredths of a trial, at most by those that were planned."""
        percent = min(percent, search.left)
        search.left -= percent
        if percent:
            self._advance(percent)

    def _close(self, search: _Search) -> None:
        if search in self._open:
            self._open.remove(search)
        if search.lock is not None:
            search.lock.release()


def _trial_recipe(task: Task, lr: float) -> Recipe:
    return task.recipe.trial(lr, task.epochs)


def _result(trial: Trial) -> str:
    """Return a learning rate and what came of it."""
    if trial.val_mse is not None:
        return f"{trial.lr:g} (val MSE {short(trial.val_mse)})"
    return f"{trial.lr:g} ({'diverged' if trial.diverged else 'failed'})"
