"""What a run, or a baseline, answers for its test images, in arrays: tables of all runs would take longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class Answered:
    """Predictions for N test images.

    ``texts`` has their groups and kinds by image id, with the columns that `read_predictions` names;
    ``groups``, (N,), are its ``image_group``. ``numbers``, float64 (N, C) with the columns ``names``, has
    truth and prediction of each of ``n_targets`` targets, in original units, and then the spreads of the
    predictions, where there are some. ``error`` is what each image adds to the MSE, float64 (N,).
    """

    texts: pd.DataFrame
    groups: np.ndarray
    names: Sequence[str]
    numbers: np.ndarray
    error: np.ndarray
    n_targets: int

    @property
    def ids(self) -> pd.Index:
        """The names of the images."""
        return self.texts.index

    @property
    def truth(self) -> np.ndarray:
        """The truth, float64 (N, T)."""
        return self.numbers[:, 0 : 2 * self.n_targets : 2]

    @property
    def prediction(self) -> np.ndarray:
        """The predictions, float64 (N, T)."""
        return self.numbers[:, 1 : 2 * self.n_targets : 2]

    @property
    def both(self) -> tuple[np.ndarray, np.ndarray]:
        """Truth and predictions, float64 (N, T) each."""
        return self.truth, self.prediction

    @property
    def spread(self) -> np.ndarray | None:
        """The standard deviations that the model gives its predictions, float64 (N, T); None without."""
        spread = self.numbers[:, 2 * self.n_targets :]
        return spread if spread.shape[1] else None

    def squared_error(self, target: int | None) -> np.ndarray:
        """Return the squared errors of a target in its own unit, float64 (N,); None: ``error``, of all."""
        if target is None:
            return self.error
        return np.asarray((self.prediction[:, target] - self.truth[:, target]) ** 2)

    @cached_property
    def table(self) -> pd.DataFrame:
        """All of it as a table by image id, with the column ``error``."""
        # In one block of columns: sums keep their last digits.
        numbers = np.vstack([self.numbers.T, self.error]).T
        return pd.concat([pd.DataFrame(numbers, self.ids, [*self.names, "error"]), self.texts], axis=1)

    def of(self, ids: pd.Index) -> Answered:
        """Return the answers for the same images in the order of ``ids``."""
        rows = self.ids.get_indexer(ids)
        numbers = self.numbers.T[:, rows].T
        return Answered(
            self.texts.iloc[rows], self.groups[rows], self.names, numbers, self.error[rows], self.n_targets
        )
