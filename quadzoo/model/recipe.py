"""How a run is trained: every hyper-parameter, with its default."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Augment = Literal["none", "shift", "photo"]
FreezeTo = Literal["stem", "layer1"]

# How the learning rate is tuned. The key of a run holds the request, such as lr:3, and so stands for these
# figures, too: they never change.
_TUNE = re.compile(r"lr:([2-9]|1[0-9]|20)")
_OCTAVES = 2  # the rates lie between lr / 2² and lr · 2²
_TRIAL_SHARE = 4  # a trial takes a quarter of the epochs

# What `epochs` auto comes to. A key holds the request alone, so these figures are settled with the first
# published record of it.
_EPOCHS = 20  # of a set that is large enough
_STEPS = 200  # that a smaller set is trained for at least
_FROZEN_STEPS = 1000  # a head alone is trained in no time
_VALIDATIONS = 20  # at most


# What follows from `freeze`, and is no choice beside it.
OF_FREEZE = {"augment": "none", "frozen_features": "bounded"}


def trial_epochs(epochs: int) -> int:
    """Return how many epochs a trial of a learning rate takes, of those of a run: a quarter, rounded up."""
    return math.ceil(epochs / _TRIAL_SHARE)


class Recipe(BaseModel):
    """All hyper-parameters of a run; `benchmarks/RECIPE.md` measures those of `RECIPES`' first.

    ``epochs`` auto is 20, and more where 20 are few steps: at least 200, with ``freeze`` 1,000. ``onecycle``
    raises the learning rate over the first ``warmup`` share of the steps to ``lr`` and lets it fall along a
    cosine to nearly 0 (Smith & Topin 2018, Super-Convergence); ``step`` halves it every 10 epochs, as the
    tutorial does. ``weight_decay`` is AdamW's (Loshchilov & Hutter 2019) and spares biases and normalisation
    weights. ``gradient_clip`` bounds the norm of the whole gradient; None leaves it. ``average`` is the decay
    of a moving average of the weights that is validated and kept in their place (Tarvainen & Valpola 2017,
    Mean Teachers, section 2); None keeps the weights. ``batch_norm`` says which statistics validation uses:
    the ``running`` ones of training, or those ``reestimated`` before each validation.

    ``unit`` is the scaled unit of the targets: ``range`` maps each target's range to 0 to 1; ``standard``
    maps its mean to 0 and its standard deviation to 1, which weights all targets equally; ``head`` is the one
    that the head's spec asks for. ``ridge`` says what is done with ridge regression on the features of a
    pretrained backbone, where the head can hold it: as a ``candidate`` it is validated before training and
    kept where training gives nothing better; as ``start`` training also begins there (Kumar et al. 2022,
    Fine-Tuning can Distort Pretrained Features, section 3.4). ``freeze`` trains the head alone, on features
    that are computed once, so nothing can be augmented; ``frozen_features`` says whether it gets them raw or
    standardised, by their means over the training images. With ``bounded``, the default of ``freeze``, they
    are standardised, and predictions stay within the range of train and are drawn towards its mean by a
    weight of each target that val chooses. ``freeze_to`` freezes the first layers alone, the
    ``stem`` or also the first stage, ``layer1``: they stay as they are, and in evaluation mode.

    ``tune``, as ``lr:N``, is a request: N learning rates are tried, and the best by val takes the place of
    ``lr``. The request is a bench's to meet; what came of it is in the run's record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    batch_size: int = Field(default=32, ge=1)
    optimizer: Literal["adamw", "adam"] = "adamw"
    lr: float = Field(default=2e-3, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    schedule: Literal["onecycle", "step"] = "onecycle"
    augment: Augment = "shift"
    warmup: float = Field(default=0.2, gt=0, lt=1)
    gradient_clip: float | None = Field(default=1.0, gt=0, allow_inf_nan=False)
    average: float | None = Field(default=None, gt=0, lt=1)
    batch_norm: Literal["running", "reestimated"] = "reestimated"
    unit: Literal["range", "standard", "head"] = "head"
    ridge: Literal["none", "candidate", "start"] = "candidate"
    freeze: bool = False
    frozen_features: Literal["raw", "standardised", "bounded"] = "standardised"
    tune: str | None = None
    freeze_to: FreezeTo | None = None

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The learning rates that ``tune`` has tried, lowest first; none without it.

        The lowest is a quarter of ``lr``, the highest four times ``lr``, and all ratios of neighbours are
        the same. They are rounded to three digits, but for ``lr`` itself, the middle one of an odd number.
        """
        if self.tune is None:
            return ()
        steps = int(self.tune.removeprefix("lr:")) - 1
        octaves = [2 * _OCTAVES * step / steps - _OCTAVES for step in range(steps + 1)]
        return tuple(float(f"{self.lr * 2**octave:.3g}") if octave else self.lr for octave in octaves)

    def trial(self, lr: float, epochs: int) -> Recipe:
        """Return the recipe that tries a learning rate for a quarter of the ``epochs`` of a run, rounded up.

        The schedule is whole: it ends with the trial. Ridge regression plays no part: where it won, all rates
        would tie.
        """
        short = {"epochs": trial_epochs(epochs), "lr": lr, "tune": None, "ridge": "none"}
        return self.model_copy(update=short)

    @field_validator("tune")
    @classmethod
    def _tune_is_known(cls, tune: str | None) -> str | None:
        if tune is not None and not _TUNE.fullmatch(tune):
            raise ValueError("write lr:N, where N, from 2 to 20, is how many learning rates are tried")
        return tune

    @model_validator(mode="before")
    @classmethod
    def _freeze_has_consequences(cls, given: dict[str, Any]) -> dict[str, Any]:
        if not given.get("freeze"):
            return given
        if given.get("augment", "none") != "none":
            raise ValueError(
                f"`augment` {given['augment']}: `freeze` computes features once, from images that are not "
                "augmented; leave out one of the two"
            )
        return {**OF_FREEZE, **given, "augment": OF_FREEZE["augment"]}

    @model_validator(mode="after")
    def _freezes_once(self) -> Self:
        if self.freeze and self.freeze_to:
            raise ValueError(
                f"`freeze_to` {self.freeze_to}: `freeze` freezes the whole backbone; leave out one of the two"
            )
        return self

    @model_validator(mode="after")
    def _tune_has_rates(self) -> Self:
        if self.tune and not 1e-20 < self.lr < 1e20:
            raise ValueError(f"`tune` {self.tune}: `lr` {self.lr:g} is no learning rate to try others around")
        return self

    def epochs_for(self, n_train: int) -> int:
        """Return the number of epochs over ``n_train`` images."""
        if self.epochs != "auto":
            return self.epochs
        steps = _FROZEN_STEPS if self.freeze else _STEPS
        wanted = max(_EPOCHS, math.ceil(steps / max(1, n_train // self.batch_size)))
        every = self.validate_every(n_train, wanted)
        return math.ceil(wanted / every) * every

    def validate_every(self, n_train: int, epochs: int | None = None) -> int:
        """Return the number of epochs from one validation to the next, 1 where ``epochs`` were asked for."""
        if self.epochs != "auto":
            return 1
        return math.ceil((epochs or self.epochs_for(n_train)) / _VALIDATIONS)


RECIPES = {
    "default": Recipe(),
    "first": Recipe(epochs=20, batch_norm="running", unit="range", ridge="none", frozen_features="raw"),
    "tutorial": Recipe(
        epochs=100,
        optimizer="adam",
        lr=1e-3,
        schedule="step",
        augment="none",
        gradient_clip=None,
        batch_norm="running",
        unit="range",
        ridge="none",
        frozen_features="raw",
    ),
}
"""The recipes with a name: the default, that of quadzoo 0.1, and the tutorial's."""
