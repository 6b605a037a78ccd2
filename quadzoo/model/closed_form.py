"""Ridge regression in closed form: what linear heads start from, and what networks are compared with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_ALPHAS = np.logspace(-2, 6, 17)
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


def fit_ridge(features: np.ndarray, targets: np.ndarray) -> Ridge:
    """Fit ridge regression to features, float32 or float64 (N, F), and targets, float32 or float64 (N, T).

    Features are standardised; the penalty of each target is that of 17 from 1e-2 to 1e6 with the least
    leave-one-out error (Golub, Heath & Wahba 1979, Technometrics 21, p. 215).
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features.astype(np.float64))
    several = targets.shape[1] > 1
    model = RidgeCV(alphas=_ALPHAS, alpha_per_target=several)
    model.fit(scaler.transform(features.astype(np.float64)), targets.astype(np.float64))
    return Ridge(
        mean=scaler.mean_,
        scale=scaler.scale_,
        weight=np.atleast_2d(model.coef_),
        bias=np.atleast_1d(model.intercept_),
        alphas=np.broadcast_to(np.atleast_1d(model.alpha_), targets.shape[1:]),
    )
