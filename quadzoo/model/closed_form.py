"""Ridge regression in closed form: what linear heads start from, and what networks are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_ALPHAS = np.logspace(-2, 6, 17)
_FEWEST_ROWS = 2
_LEAST = 0.01  # of the median deviation
_MOST_FITTED = 5000  # images: of more, so many are drawn, since the time grows with their square


class Ridge(NamedTuple):
    """A fit to F features and T targets: a prediction is ``(x - mean) / scale @ weight.T + bias``.

    All float64: ``mean`` and ``scale`` (F,), ``weight`` (T, F), ``bias`` (T,), the penalties ``alphas`` (T,).
    """

    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    alphas: np.ndarray

    @property
    def unscaled(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight, float64 (T, F), and bias, float64 (T,), for features as they are."""
        weight = self.weight / self.scale
        return weight, self.bias - weight @ self.mean

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Map features, float (N, F), to predictions, float64 (N, T)."""
        return np.asarray((features - self.mean) / self.scale @ self.weight.T + self.bias)


def drawn(rows: np.ndarray) -> np.ndarray:
    """Return those of int64 rows (N,) to fit to, sorted: all, or 5,000 that are always the same."""
    if len(rows) <= _MOST_FITTED:
        return np.asarray(np.sort(rows))
    return np.sort(np.random.default_rng(0).choice(rows, _MOST_FITTED, replace=False))


def with_floor(std: np.ndarray) -> np.ndarray:
    """Return the deviations of features, float32 or float64 (F,), of those near 0 a hundredth of the median.

    A feature that hardly varies in training would be a thousand deviations off in another image.
    """
    varying = std[std > 0]
    return np.maximum(std, _LEAST * np.median(varying)) if len(varying) else np.ones_like(std)


def fit_ridge(features: np.ndarray, targets: np.ndarray, *, floor: bool = False) -> Ridge:
    """Fit ridge regression to features, float32 or float64 (N, F), and targets, float32 or float64 (N, T).

    Features are standardised, with ``floor`` by the deviations that `with_floor` gives. The penalty of each
    target is that of 17 from 1e-2 to 1e6 with the least leave-one-out error (Golub, Heath & Wahba 1979,
    Technometrics 21, p. 215). Of targets that are NaN in some rows each is fitted to the rows that have it;
    in fewer than two, the mean is all that can be said.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features.astype(np.float64))
    if floor:
        scaler.scale_ = with_floor(np.sqrt(scaler.var_))
    x, y = scaler.transform(features.astype(np.float64)), targets.astype(np.float64)
    weight, bias, alphas = np.zeros((y.shape[1], x.shape[1])), np.zeros(y.shape[1]), np.ones(y.shape[1])
    for rows, some in _known_together(y):
        own = y[rows][:, some]
        if len(own) < _FEWEST_ROWS:
            bias[some] = own.sum(axis=0)
            continue
        model = RidgeCV(alphas=_ALPHAS, alpha_per_target=own.shape[1] > 1)
        model.fit(x[rows], own)
        weight[some], bias[some], alphas[some] = model.coef_, model.intercept_, model.alpha_
    return Ridge(scaler.mean_, scaler.scale_, weight, bias, alphas)


_At = slice | np.ndarray


def _known_together(targets: np.ndarray) -> Iterator[tuple[_At, _At]]:
    """Yield rows, and the targets that are known in these and no others; ``targets`` are float64 (N, T)."""
    known = ~np.isnan(targets)
    if known.all():
        yield slice(None), slice(None)
        return
    patterns, pattern_of = np.unique(known, axis=1, return_inverse=True)
    for number, rows in enumerate(patterns.T):
        yield np.flatnonzero(rows), np.flatnonzero(pattern_of.reshape(-1) == number)
