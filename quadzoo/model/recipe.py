"""How a run is trained: every hyper-parameter, with its default."""

from __future__ import annotations

import math
import re
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Augment = Literal["none", "shift", "photo"]
# How the learning rate is tuned. The key of a run holds the request, such as lr:3, and so stands for these
# figures, too: they never change.
_TUNE = re.compile(r"lr:([2-9]|1[0-9]|20)")
_OCTAVES = 3  # the rates lie between lr / 2³ and lr · 2³
_TRIAL_SHARE = 4  # a trial takes a quarter of the epochs


class Recipe(BaseModel):
    """All hyper-parameters of a run; `benchmarks/RECIPE.md` says what the defaults were measured against.

    ``onecycle`` raises the learning rate over the first ``warmup`` share of the steps to ``lr`` and lets it
    fall along a cosine to nearly 0 (Smith & Topin 2018, Super-Convergence); ``step`` halves it every 10
    epochs, as the tutorial does. ``weight_decay`` is AdamW's (Loshchilov & Hutter 2019) and spares biases
    and normalisation weights. ``gradient_clip`` bounds the norm of the whole gradient; None leaves it.
    ``average`` is the decay of a moving average of the weights that is validated and kept in their place
    (Tarvainen & Valpola 2017, Mean Teachers, section 2); None keeps the weights. ``unit`` is the scaled unit
    of the targets: ``range`` maps each target's range to 0 to 1; ``standard`` maps its mean to 0 and its
    standard deviation to 1, which weights all targets equally, but does not suit a head that needs 0 to 1.
    ``freeze`` trains the head alone, on features that are computed once, so nothing can be augmented.
    ``tune``, as ``lr:N``, is a request: N learning rates are tried, and the best by val takes the place of
    ``lr``. The request is a bench's to meet; what came of it is in the run's record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=20, ge=0)
    batch_size: int = Field(default=32, ge=1)
    optimizer: Literal["adamw", "adam"] = "adamw"
    lr: float = Field(default=2e-3, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(default=0.05, ge=0)
    schedule: Literal["onecycle", "step"] = "onecycle"
    augment: Augment = "shift"
    warmup: float = Field(default=0.2, gt=0, lt=1)
    gradient_clip: float | None = Field(default=1.0, gt=0)
    average: float | None = Field(default=None, gt=0, lt=1)
    unit: Literal["range", "standard"] = "range"
    freeze: bool = False
    tune: str | None = None

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The learning rates that ``tune`` has tried, lowest first; none without it.

        The lowest is an eighth of ``lr``, the highest eight times ``lr``, and all ratios of neighbours are
        the same. They are rounded to three digits, but for ``lr`` itself, the middle one of an odd number.
        """
        if self.tune is None:
            return ()
        steps = int(self.tune.removeprefix("lr:")) - 1
        octaves = [2 * _OCTAVES * step / steps - _OCTAVES for step in range(steps + 1)]
        return tuple(float(f"{self.lr * 2**octave:.3g}") if octave else self.lr for octave in octaves)

    def trial(self, lr: float, epochs: int) -> Recipe:
        """Return the recipe that tries a learning rate for a quarter of the ``epochs`` of a run, rounded up.

        The schedule is whole: it ends with the trial.
        """
        return self.model_copy(update={"epochs": math.ceil(epochs / _TRIAL_SHARE), "lr": lr, "tune": None})

    @field_validator("tune")
    @classmethod
    def _tune_is_known(cls, tune: str | None) -> str | None:
        if tune is not None and not _TUNE.fullmatch(tune):
            raise ValueError("write lr:N, where N, from 2 to 20, is how many learning rates are tried")
        return tune

    @model_validator(mode="before")
    @classmethod
    def _freeze_excludes_augment(cls, given: dict[str, Any]) -> dict[str, Any]:
        if not given.get("freeze"):
            return given
        if given.get("augment", "none") != "none":
            raise ValueError(
                f"`augment` {given['augment']}: `freeze` computes features once, from images that are not "
                "augmented; leave out one of the two"
            )
        return {**given, "augment": "none"}

    @model_validator(mode="after")
    def _tune_has_rates(self) -> Self:
        if self.tune and not 1e-20 < self.lr < 1e20:
            raise ValueError(f"`tune` {self.tune}: `lr` {self.lr:g} is no learning rate to try others around")
        return self
