"""How a run is trained: every hyper-parameter, with its default."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Augment = Literal["none", "shift", "photo"]


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
