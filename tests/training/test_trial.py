"""A trial sees train and val, and says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from quadzoo import api
from quadzoo.data.datamodule import DataModule
from quadzoo.data.fold import Fold
from quadzoo.grid.plan import Plan
from quadzoo.records.tuning import Trial
from quadzoo.training import run
from quadzoo.training.checkpoint import Checkpoints
from quadzoo.training.task import CHECKPOINT, TRIALS, Placement, Task
from quadzoo.training.trial import try_learning_rate

from ..conftest import Result
from ..runs import records

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")


@pytest.fixture(scope="module")
def plan(equations: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Nothing is ever written to its results folder."""
    return api.plan(
        backbones=["tiny_cnn"], data=str(equations), epochs=2, weights="none", precision="32", tune="lr:3",
        threads=1, out=tmp_path_factory.mktemp("out") / "none",
    )  # fmt: skip


def work_of(plan: Plan, lr: float, **recipe: Any) -> tuple[Task, Placement]:
    (task,) = plan.tasks
    tried = task.recipe.trial(lr, 2).model_copy(update=recipe)
    return replace(task, identity=replace(task.identity, recipe=tried)), plan.placement(task)


def tried(work: tuple[Task, Placement]) -> Trial:
    messages: list[Any] = []
    try_learning_rate(work, messages.append)
    *progress, trial = messages
    assert all(0 <= share <= 1 for share, _ in progress)
    assert isinstance(trial, Trial)
    assert trial.lr == work[0].recipe.lr
    return trial


def test_its_score_is_that_of_a_run_by_its_recipe(
    plan: Plan, equations: Path, quadzoo: Callable[..., Result], tmp_path: Path
) -> None:
    trial = tried(work_of(plan, 0.002))
    done = quadzoo(
        "bench", "--backbones", "tiny_cnn", "--data", equations, "--epochs", 1, "--weights", "none",
        "--precision", "32", "--threads", 1, "--out", tmp_path,
    )  # fmt: skip
    assert done.status == 0, done.err
    (record,) = records(tmp_path)
    assert trial == Trial(lr=0.002, val_mse=record["metrics"]["val_mse"])


def test_test_is_never_touched(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With labels of test that are no numbers, and without a loader for it, the score is the same."""

    def touched(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the test images were asked for")

    task, placement = work_of(plan, 0.002)
    expected = tried((task, placement))
    fold = Fold.load(placement.fold)
    fold.targets[fold.split.test] = np.nan
    fold.save(tmp_path / "fold.npz")
    monkeypatch.setattr(DataModule, "test_dataloader", touched)
    monkeypatch.setattr(run, "tested", touched)
    assert tried((task, replace(placement, fold=tmp_path / "fold.npz"))) == expected
    assert expected.val_mse is not None
    assert not placement.out.exists()


def test_a_training_that_diverges_is_an_answer(plan: Plan) -> None:
    trial = tried(work_of(plan, 1e30))
    assert (trial.val_mse, trial.diverged) == (None, True)
    assert (trial.error or "").startswith("NonFiniteLoss: ")


def test_an_error_too_large_for_a_record_is_one_too(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quadzoo.training.trial.scores_of", lambda *_: {"mse": 1e31})
    assert tried(work_of(plan, 0.002)) == Trial(lr=0.002, error="val MSE is 1e+31", diverged=True)


def test_a_crash_is_none(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> NoReturn:
        raise RuntimeError("no such layer\nat all " + "x" * 400)

    monkeypatch.setattr(run, "build_module", broken)
    trial = tried(work_of(plan, 0.002))
    assert (trial.val_mse, trial.diverged) == (None, False)
    error = trial.error or ""
    assert error.startswith("RuntimeError: no such layer at all x")
    assert len(error) == 300
    assert "Traceback" in capfd.readouterr().err  # in the log of the trial


def test_a_parent_that_is_gone_ends_it(plan: Plan) -> None:
    def gone(_: object) -> NoReturn:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        try_learning_rate(work_of(plan, 0.002), gone)


def test_a_long_one_goes_on_from_its_checkpoint(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `halving` a trial may take half as long as a run."""
    task, placement = work_of(plan, 0.002, epochs=3)
    placement = replace(placement, out=tmp_path, checkpoint_minutes=0)
    whole = tried((task, replace(placement, out=tmp_path / "whole")))
    written = Checkpoints.on_train_epoch_end

    def then_end(self: Checkpoints, trainer: Any, module: Any) -> None:
        written(self, trainer, module)
        raise BrokenPipeError

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "on_train_epoch_end", then_end)
        with pytest.raises(BrokenPipeError):
            try_learning_rate((task, placement), lambda message: None)
    kept = tmp_path / TRIALS / task.key / CHECKPOINT
    assert kept.exists()
    epochs: list[int] = []

    def counted(self: Checkpoints, trainer: Any, module: Any) -> None:
        epochs.append(trainer.current_epoch)

    monkeypatch.setattr(Checkpoints, "on_train_epoch_end", counted)
    assert tried((task, placement)) == whole
    assert epochs == [1, 2]


def test_one_that_fails_by_itself_leaves_no_checkpoint(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, placement = work_of(plan, 0.002)
    placement = replace(placement, out=tmp_path, checkpoint_minutes=0)
    kept = tmp_path / TRIALS / task.key / CHECKPOINT
    for error, stays in ((OSError(28, "No space left on device"), True), (ValueError("a head's"), False)):

        def fails(*_: object, error: Exception = error, **__: object) -> NoReturn:
            raise error

        monkeypatch.setattr("quadzoo.training.trial.validated", fails)
        assert tried((task, placement)).error == f"{type(error).__name__}: {error}"
        assert kept.exists() == stays
