"""Simulated leaderboards whose rows are equally good, for coverage.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.tree import ExtraTreeRegressor

from quadzoo.report.statistics import Folds

_K = 5


@dataclass(frozen=True)
class Case:
    """What is drawn. Spreads are standard deviations of logarithms.

    ``spread`` is that of seeds, repeated over the rows; ``seeds``, too. A ``bad`` share of the runs has
    ``times`` the error. ``pareto`` is the exponent of the images' errors, which are log-normal without; a
    ``huge`` share of a row's images has 300 times the error. Groups have ``size`` images. ``learner`` names
    one that is trained instead.
    """

    name: str
    rows: int = 6
    seeds: tuple[int, ...] = (3,)
    images: int = 200
    spread: tuple[float, ...] = (0.3,)
    hardness: float = 1.0
    pareto: float | None = None
    bad: float = 0.0
    times: float = 5.0
    huge: float = 0.0
    size: int = 1
    folds: bool = False
    learner: str = ""

    def of_row(self, values: tuple[Any, ...], row: int) -> Any:
        """Return a value of a row, where values are repeated over the rows."""
        return values[row % len(values)]


class Board(NamedTuple):
    """Errors (S, N) of each row on val and on test, and those of a baseline (N,) on test.

    ``truth`` is the mean error of every row over images and seeds, ``runs`` (R,) that over images for the
    seeds that were drawn. The baseline's mean is ``truth``, too.
    """

    val: list[np.ndarray]
    test: list[np.ndarray]
    groups: np.ndarray
    folds: Folds | None
    baseline: np.ndarray
    truth: float
    runs: np.ndarray


def board(rng: np.random.Generator, case: Case) -> Board:
    """Draw a leaderboard."""
    if case.learner:
        return _trained(rng, case)
    n = 2 * case.images
    fold = np.arange(n) // case.size % _K if case.folds else np.zeros(n, dtype=int)
    hard = _hard(rng, case, n)
    rows, runs = [], []
    for row in range(case.rows):
        shape = (case.of_row(case.seeds, row), _K if case.folds else 1)
        luck = _log_normal(rng, case.of_row(case.spread, row), shape)
        luck *= np.where(rng.random(shape) < case.bad, case.times, 1) / (1 + case.bad * (case.times - 1))
        if case.folds:
            luck *= _log_normal(rng, 0.1, (1, _K))  # how hard it is to learn from a fold's training images
        own = hard if case.pareto is None else (hard + _pareto(rng, case.pareto, n)) / 2
        own = own * _log_normal(rng, 0.3, n)
        own *= np.where(rng.random(n) < case.huge, 300, 1) / (1 + case.huge * 299)
        rows.append(own * luck[:, fold] * _log_normal(rng, 0.5, (shape[0], n)))
        runs.append(luck.mean())
    half = case.images
    baseline = (hard * _log_normal(rng, 0.5, n))[:half]
    groups = np.arange(half) // case.size
    folds = Folds(fold[:half], n_train=half * (_K - 1) / _K) if case.folds else None
    test, val = [one[:, :half] for one in rows], [one[:, half:] for one in rows]
    return Board(val, test, groups, folds, baseline, 1.0, np.array(runs))


def _hard(rng: np.random.Generator, case: Case, n: int) -> np.ndarray:
    if case.pareto is not None:
        return _pareto(rng, case.pareto, n)
    shared = 0.5 if case.size > 1 else 0.0
    of_group = _log_normal(rng, shared, -(-n // case.size)).repeat(case.size)[:n]
    return of_group * _log_normal(rng, np.sqrt(case.hardness**2 - shared**2), n)


def _log_normal(rng: np.random.Generator, spread: float, shape: Any) -> np.ndarray:
    return np.exp(rng.normal(0, spread, shape) - spread**2 / 2)


def _pareto(rng: np.random.Generator, exponent: float, n: int) -> np.ndarray:
    return (rng.pareto(exponent, n) + 1) * (exponent - 1) / exponent


# Learners of a smooth function of five numbers, with noise. Every row is the same learner with other seeds.
_TRAIN, _TEST, _FRESH = 200, 100, 2000
_MORE = 20  # models for the true mean over seeds
Predict = Callable[[np.ndarray], np.ndarray]


def _tree(x: np.ndarray, y: np.ndarray, seed: int) -> Predict:
    predict: Predict = ExtraTreeRegressor(min_samples_leaf=3, random_state=seed).fit(x, y).predict
    return predict


def _features(x: np.ndarray, y: np.ndarray, seed: int) -> Predict:
    rng = np.random.default_rng(seed)
    weights, shift = rng.normal(0, 0.7, (x.shape[1], 40)), rng.uniform(0, 2 * np.pi, 40)
    model = Ridge(1.0).fit(np.cos(x @ weights + shift), y)
    return lambda new: np.asarray(model.predict(np.cos(new @ weights + shift)))


LEARNERS: dict[str, Callable[[np.ndarray, np.ndarray, int], Predict]] = {"tree": _tree, "features": _features}


def _problem(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(n, 5))
    return x, np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] + rng.normal(0, 0.3, n)


def _trained(rng: np.random.Generator, case: Case) -> Board:
    train = LEARNERS[case.learner]
    n_train = _TRAIN * _K // (_K - 1) if case.folds else _TRAIN
    x, y = _problem(rng, n_train)
    fold = np.arange(n_train) % _K
    splits = [fold != k for k in range(_K)] if case.folds else [fold >= 0]
    test_x, test_y = (x, y) if case.folds else _problem(rng, _TEST)
    val_x, val_y = _problem(rng, _TEST)
    fresh_x, fresh_y = _problem(rng, _FRESH)
    val, test, fresh = [], [], []
    for _ in range(case.rows):
        shape = (case.of_row(case.seeds, 0), len(splits))
        models = [[train(x[of], y[of], _seed(rng)) for of in splits] for _ in range(shape[0])]
        val.append(np.array([_mean_error(seed, val_x, val_y) for seed in models]))
        fresh.append([_mean_error(seed, fresh_x, fresh_y).mean() for seed in models])
        if case.folds:
            errors = np.array([[(model(x) - y) ** 2 for model in seed] for seed in models])
            test.append(errors[:, fold, np.arange(n_train)])
        else:
            test.append(np.array([_mean_error(seed, test_x, test_y) for seed in models]))
    if case.folds:
        truth = _expected(case.learner)
        folds = Folds(fold, n_train=_TRAIN)
    else:
        folds = None
        more = [train(x, y, _seed(rng)) for _ in range(_MORE)]
        truth = float(np.mean([*np.ravel(fresh), *(((m(fresh_x) - fresh_y) ** 2).mean() for m in more)]))
    baseline = test[0][0] * truth / float(np.mean(fresh[0][0]))
    return Board(val, test, np.arange(len(test_y)), folds, baseline, truth, np.mean(fresh, axis=1))


def _mean_error(models: list[Predict], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.mean([(model(x) - y) ** 2 for model in models], axis=0)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


@lru_cache
def _expected(learner: str) -> float:
    """Return the mean error over training sets of the size that folds have, and over seeds."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(1000):
        model = LEARNERS[learner](*_problem(rng, _TRAIN), _seed(rng))
        x, y = _problem(rng, 1000)
        found.append(((model(x) - y) ** 2).mean())
    return float(np.mean(found))
