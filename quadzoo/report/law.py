"""The law that the errors of a row follow over shares of the training images, as leaderboard.json has it."""

from __future__ import annotations

from pydantic import BaseModel


class Level(BaseModel):
    """The test MSE that a power law gives for a number of training images, with its 95 % interval."""

    n_train: float
    test_mse: float
    low: float
    high: float


class Withheld(Level):
    """The largest share of a curve, predicted from the others: ``test_mse`` is that, ``seen`` what it was."""

    seen: float


class Law(BaseModel):
    """A power law of the test MSE, n_train to the power of -``exponent``.

    ``factor`` is what twice the training images multiply the test MSE by, with its 95 % interval; ``line``
    goes from the smallest share to twice the images of the largest.
    """

    exponent: float
    factor: float
    factor_low: float
    factor_high: float
    line: list[Level]
    withheld: Withheld | None
