"""A trial of a learning rate: a short training that is scored on val alone. It has a process of its own."""

from __future__ import annotations

import signal
import traceback

from pydantic import ValidationError
from pytorch_lightning.utilities.exceptions import SIGTERMException

from quadzoo.errors import NonFiniteLoss, NonFinitePrediction
from quadzoo.executors.base import Send
from quadzoo.metrics import scores_of
from quadzoo.model.callbacks import Predictions
from quadzoo.records.tuning import Trial
from quadzoo.system import end_by
from quadzoo.training.checkpoint import Checkpoints, is_of_surroundings
from quadzoo.training.device import take
from quadzoo.training.outcome import failure_of
from quadzoo.training.run import check_finite, make_trainer, trained, validated
from quadzoo.training.task import TRIALS, Placement, Task

_LONGEST_ERROR = 300  # characters


def try_learning_rate(work: tuple[Task, Placement], send: Send) -> None:
    """Child's side: train by the task's recipe, and send the `Trial`; whatever goes wrong is one, too.

    Until then ``send`` is given the share of the training that is done and the last val MSE, from time to
    time. No test image is predicted, and no file is written but checkpoints, which whoever asked deletes.
    """
    task, placement = work
    take(placement.device)
    lr = task.recipe.lr
    folder = placement.out / TRIALS / task.key
    checkpoints = Checkpoints(folder, task, placement.checkpoint_minutes, send)
    try:
        trial = _scored(lr, _val_mse(task, placement, send, checkpoints))
    except BrokenPipeError:
        raise  # the parent is gone
    except SIGTERMException:  # what Lightning makes of the signal
        end_by(signal.SIGTERM)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        diverged = isinstance(error, NonFiniteLoss | NonFinitePrediction)
        if not is_of_surroundings(error):
            checkpoints.discard()
        trial = Trial(lr=lr, error=_in_words(error), diverged=diverged)
    send(trial)


def _val_mse(task: Task, placement: Placement, send: Send, checkpoints: Checkpoints) -> float:
    """Train, and return the val MSE of the best weights: the score that a run's record would have."""
    fit, predictions = trained(task, placement, send, checkpoints), Predictions()
    trainer = make_trainer(task, placement, [predictions])
    val, *_ = validated(task, fit.fold, fit.module, fit.datamodule, trainer=trainer, predictions=predictions)
    check_finite("val", val, task)
    return scores_of(val, fit.fold.targets[fit.fold.split.val], task.targets)["mse"]


def _scored(lr: float, val_mse: float) -> Trial:
    try:
        return Trial(lr=lr, val_mse=val_mse)
    except ValidationError:  # finite predictions whose squares are not, or are too large for a record
        return Trial(lr=lr, error=f"val MSE is {val_mse:g}", diverged=True)


def _in_words(error: BaseException) -> str:
    why = failure_of(error)
    text = " ".join(f"{why.type}: {why.message}".split())
    return text if len(text) <= _LONGEST_ERROR else f"{text[: _LONGEST_ERROR - 1]}…"
