"""Tuning: which trials are made, which learning rate is taken, and what is said of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from quadzoo import api, storage
from quadzoo.executors.base import Needs
from quadzoo.grid.observer import Silent
from quadzoo.grid.plan import Plan
from quadzoo.grid.tuning import in_words, trials_to_do, with_tuning
from quadzoo.records.tuning import Trial, tuning_key
from quadzoo.training.task import Placement, Task

RATES = (0.0005, 0.002, 0.008)
SILENCE = ["a trial that never ends"]
NAN = "NonFiniteLoss: train_mse is nan"


class Note(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.counts: list[tuple[str, int, list[int]]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        self.counts.append((what, total, []))
        return self.counts[-1][2].append


@dataclass
class Job:
    """A trial that sends its messages at the second look."""

    sent: list[Any]
    on_end: Callable[[], None]
    looks: int = 0
    cancelled: bool = False
    begun: float = field(default_factory=time.monotonic)

    def messages(self, timeout: float | None = None) -> Iterator[Any]:
        self.looks += 1
        if self.looks == 2 and self.sent != SILENCE:
            yield from self.sent

    @property
    def ended(self) -> bool:
        return self.looks >= 2 and self.sent != SILENCE

    def wait(self, timeout: float) -> None: ...

    def cancel(self) -> None:
        self.cancelled = True
        self.on_end()

    def exit_reason(self) -> str:
        return "its process was ended by SIGKILL (out of memory?)"

    def log_tail(self, characters: int = 4000) -> str:
        return "the end of its log"


@dataclass
class Fake:
    """An executor whose trials come to what ``outcome`` says of their task."""

    outcome: Callable[[Task], list[Any]]
    asked: list[tuple[str, int, int, float]] = field(default_factory=list)
    under_way: int = 0
    most: int = 0

    def at_once(self, jobs: int) -> int:
        return jobs

    def submit(
        self, work: str, argument: tuple[Task, Placement], log: Path, needs: Needs, machine: str | None
    ) -> Job:
        assert needs.writes == argument[1].out
        assert work == "quadzoo.training.trial:try_learning_rate"
        task, _ = argument
        assert (task.recipe.epochs, task.recipe.tune, task.found.lr) == (2, None, None)
        self.asked.append((task.head, task.split.fold, task.seed, task.recipe.lr))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        return Job(self.outcome(task), self.ended)

    def ended(self) -> None:
        self.under_way -= 1

    def wait_for_any(self, jobs: Sequence[Any], timeout: float) -> Sequence[Any]:
        return jobs


def scores(*of_rates: float | str | None) -> Callable[[Task], list[Any]]:
    """Return outcomes for RATES: a val MSE, an error, or nothing at all from a process that dies."""

    def outcome(task: Task) -> list[Any]:
        lr = task.recipe.lr
        came = of_rates[RATES.index(lr)]
        if came is None:
            return []
        if isinstance(came, str):
            return [Trial(lr=lr, error=came, diverged=came == NAN)]
        return [(0.4, None), (0.8, 0.5), Trial(lr=lr, val_mse=came)]

    return outcome


@pytest.fixture(scope="module")
def planned(equations: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Plan]:
    """Return plans; nothing of them is ever run."""
    made: dict[str, Plan] = {}

    def plan(out: Path, *, jobs: int = 1, timeout: float | None = None, **parameters: Any) -> Plan:
        if (name := repr(parameters)) not in made:
            made[name] = api.plan(
                **{"backbones": ["tiny_cnn"], "data": str(equations), "epochs": 5, "weights": "none",
                   "precision": "32", "tune": "lr:3", "seeds": [4, 3], **parameters},
                out=tmp_path_factory.mktemp("plan") / "none",
            )  # fmt: skip
        config = made[name].config.model_copy(update={"out": out, "jobs": jobs, "timeout": timeout})
        return replace(made[name], config=config)

    return plan


def tune(plan: Plan, executor: Fake, check: Callable[[], None] = lambda: None) -> tuple[Plan, list[str]]:
    observer = Note()
    tuned = with_tuning(plan, executor, observer, check)
    for what, total, moved in observer.counts:
        assert what == "trying learning rates"
        assert sum(moved) == total > 0
        assert min(moved) > 0
    return tuned, observer.notes


def found(plan: Plan) -> dict[tuple[str, int, int], float | None]:
    return {(task.head, task.split.fold, task.seed): task.found.lr for task in plan.tasks}


def test_the_lowest_val_mse_wins_for_all_seeds(planned: Callable[..., Plan], tmp_path: Path) -> None:
    plan, executor = planned(tmp_path), Fake(scores(0.3, 0.2, NAN))
    assert trials_to_do(plan) == 3
    assert in_words(plan) == (
        "before that 3 trials, each of 2 epochs (about 4 steps), to choose learning rates from 0.0005, "
        "0.002, 0.008"
    )
    tuned, notes = tune(plan, executor)
    assert executor.asked == [("mlp", 0, 3, lr) for lr in RATES]  # on the lowest seed
    assert found(tuned) == {("mlp", 0, 3): 0.002, ("mlp", 0, 4): 0.002}
    assert notes == [
        "tiny_cnn · mlp: learning rate 0.002, the best by val of 0.0005 (val MSE 0.3), 0.002 (val MSE 0.2) "
        "and 0.008 (diverged)"
    ]
    assert not tuned.failures
    for task in tuned.tasks:
        trained = task.trained_recipe
        assert (trained.lr, trained.tune, trained.epochs) == (0.002, None, 5)
        assert (task.recipe.lr, task.recipe.tune) == (0.002, "lr:3")
    assert [task.key for task in tuned.tasks] == [task.key for task in plan.tasks]

    # What is known is not tried again, whatever the seeds.
    again = Fake(scores())
    for seeds in ([4, 3], [0, 7]):
        later = planned(tmp_path, seeds=seeds)
        assert (trials_to_do(later), in_words(later)) == (0, "")
        retuned, said = tune(later, again)
        assert {*found(retuned).values()} == {0.002}
        assert said == notes
    assert again.asked == []


def test_of_equals_the_lowest_rate_is_taken(planned: Callable[..., Plan], tmp_path: Path) -> None:
    tuned, notes = tune(planned(tmp_path), Fake(scores(0.2, 0.2, 0.2)))
    assert {*found(tuned).values()} == {0.0005}
    assert notes[1] == (
        "warning: tiny_cnn · mlp: the best of the learning rates tried is the lowest one, 0.0005: a lower "
        "one may be better"
    )
    _, notes = tune(planned(tmp_path / "other"), Fake(scores(0.2, 0.2, 0.1)))
    assert "the highest one, 0.008: a higher one may be better" in notes[1]


def test_combinations_and_folds_are_tuned_each_by_its_own_val(
    planned: Callable[..., Plan], tmp_path: Path
) -> None:
    best = {("mlp", 0): 0.008, ("mlp", 1): 0.002, ("linear", 0): 0.002, ("linear", 1): 0.0005}

    def outcome(task: Task) -> list[Any]:
        lr = task.recipe.lr
        return [Trial(lr=lr, val_mse=0.1 if best[task.head, task.split.fold] == lr else 0.2)]

    executor = Fake(outcome)
    plan = planned(tmp_path, heads=["mlp", "linear"], folds=2, jobs=2)
    tuned, notes = tune(plan, executor)
    assert sorted(executor.asked) == sorted((*which, 3, lr) for which in best for lr in RATES)
    assert (executor.most, executor.under_way) == (2, 0)
    assert found(tuned) == {(*which, seed): lr for which, lr in best.items() for seed in (3, 4)}
    assert any(note.startswith("tiny_cnn · linear · fold 1: learning rate 0.0005, ") for note in notes)
    assert len(list((tmp_path / "tuning").glob("*.json"))) == 4


def test_an_interrupt_loses_no_finished_trial(planned: Callable[..., Plan], tmp_path: Path) -> None:
    plan, executor, looks = planned(tmp_path), Fake(scores(NAN, 0.2, 0.3)), []

    def interrupt() -> None:
        looks.append(1)
        if len(looks) == 6:  # two for each trial; the third is under way
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with_tuning(plan, executor, Note(), interrupt)
    assert (len(executor.asked), executor.under_way) == (3, 0)
    assert trials_to_do(plan) == 1
    later = Fake(scores(0.1, 0.1, 0.3))
    tuned, _ = tune(planned(tmp_path, seeds=[9]), later)
    assert later.asked == [("mlp", 0, 3, 0.008)]  # on the seed of the others
    assert found(tuned) == {("mlp", 0, 9): 0.002}


def test_where_no_rate_can_be_trained_the_runs_fail_and_say_why(
    planned: Callable[..., Plan], tmp_path: Path
) -> None:
    plan = planned(tmp_path)
    tuned, notes = tune(plan, Fake(scores(NAN, None, NAN)))
    assert {*tuned.failures} == {task.key for task in plan.tasks}
    failure = next(iter(tuned.failures.values()))
    assert failure.type == "NoLearningRate"
    assert failure.message == (
        "no learning rate could be chosen: 0.0005 (diverged), 0.002 (failed) and 0.008 (diverged); the "
        "first of these errors: ProcessDied: its process was ended by SIGKILL (out of memory?); the last "
        "line it printed: the end of its log"
    )
    assert failure.traceback == "the end of its log"
    assert (notes, {*found(tuned).values()}) == ([], {None})
    # A failed run is run again, and so is a trial that broke off; one that diverged would do so again.
    executor = Fake(scores(0.1, 0.2, 0.1))
    tuned, _ = tune(plan, executor)
    assert executor.asked == [("mlp", 0, 3, 0.002)]
    assert ({*found(tuned).values()}, tuned.failures) == ({0.002}, {})


def test_a_choice_made_without_a_trial_that_broke_off_stays(
    planned: Callable[..., Plan], tmp_path: Path
) -> None:
    tuned, notes = tune(planned(tmp_path), Fake(scores(0.3, 0.2, "RuntimeError: out of memory")))
    assert {*found(tuned).values()} == {0.002}
    (path,) = (tmp_path / "tuning").glob("*.json")
    assert notes[1] == (
        "warning: tiny_cnn · mlp: learning rate 0.008 could not be tried (RuntimeError: out of memory); to "
        f"try again, delete {path}"
    )
    executor = Fake(scores())
    assert tune(planned(tmp_path, seeds=[5]), executor)[1] == notes
    assert executor.asked == []


def test_a_trial_takes_no_longer_than_a_run_may(planned: Callable[..., Plan], tmp_path: Path) -> None:
    executor = Fake(lambda _: SILENCE)
    plan = planned(tmp_path, timeout=0.02)
    tuned, _ = tune(plan, executor, check=lambda: time.sleep(0.01))
    assert "TimedOut: not finished within 0.02 seconds" in next(iter(tuned.failures.values())).message
    assert executor.under_way == 0


def test_a_damaged_file_is_named_and_its_rates_tried_again(
    planned: Callable[..., Plan], tmp_path: Path
) -> None:
    plan = planned(tmp_path)
    tune(plan, Fake(scores(0.3, 0.2, 0.3)))
    (path,) = (tmp_path / "tuning").glob("*.json")
    path.write_bytes(path.read_bytes()[:100])
    assert trials_to_do(plan) == 3
    executor = Fake(scores(0.1, 0.2, 0.3))
    tuned, notes = tune(plan, executor)
    assert notes[0].startswith(f"warning: {path}: not the trials of learning rates")
    assert notes[0].endswith("; its learning rates are tried again")
    assert len(executor.asked) == 3
    assert {*found(tuned).values()} == {0.0005}
    # Rates that were not asked for are no answer.
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "trials": [{"lr": 0.5, "val_mse": 0.0}]}))
    assert {*found(tune(plan, Fake(scores(0.3, 0.2, 0.3)))[0]).values()} == {0.002}


def test_another_bench_is_waited_for(planned: Callable[..., Plan], tmp_path: Path) -> None:
    """The other one ends with all trials made."""
    plan = planned(tmp_path)
    tune(plan, Fake(scores(0.3, 0.2, 0.3)))
    (path,) = (tmp_path / "tuning").glob("*.json")
    finished = path.read_bytes()
    path.unlink()
    other = storage.lock(tmp_path / "tuning" / f".{tuning_key(plan.tasks[0].identity)}.lock")
    other.acquire()
    looks: list[int] = []

    def check() -> None:
        looks.append(1)
        if len(looks) == 3:
            path.write_bytes(finished)
            other.release()

    executor = Fake(scores())
    tuned, notes = tune(plan, executor, check)
    assert notes[0] == "tiny_cnn · mlp is being tuned by another bench; waiting for it"
    assert len(notes) == 2
    assert executor.asked == []
    assert {*found(tuned).values()} == {0.002}


def test_without_a_request_nothing_is_tried(planned: Callable[..., Plan], tmp_path: Path) -> None:
    plan, executor = planned(tmp_path, tune=None), Fake(scores())
    assert with_tuning(plan, executor, Note(), lambda: None) is plan
    assert (trials_to_do(plan), in_words(plan)) == (0, "")
    done = replace(planned(tmp_path), done=frozenset(task.key for task in planned(tmp_path).tasks))
    assert with_tuning(done, executor, Note(), lambda: None) is done
    assert executor.asked == []
    assert not (tmp_path / "tuning").exists()


# By the real command line.
