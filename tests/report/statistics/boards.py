"""Simulated leaderboards."""

from __future__ import annotations

import numpy as np

N = 200


def board(rng: np.random.Generator, seeds: int, spread: tuple[float, ...], bad: float = 0.0) -> np.ndarray:
    """Draw errors (R, S, 2 N) of equally good rows, one for each spread of its seeds; their mean is 1.

    How hard an image is, how lucky a seed, a row on an image, and noise: all log-normal. A ``bad`` share of
    the runs has five times the error. The first N images are for test, the others for val.
    """
    shape = (len(spread), seeds)
    of_seeds = rng.normal(0, 1, shape) * np.array(spread)[:, None] - np.array(spread)[:, None] ** 2 / 2
    lucky = np.where(rng.random(shape) < bad, 5, 1) / (1 + 4 * bad)
    of_images = rng.normal(0, 1, 2 * N) - 0.5
    others = rng.normal(0, 0.3, (len(spread), 1, 2 * N)) + rng.normal(0, 0.5, (*shape, 2 * N)) - 0.17
    errors: np.ndarray = lucky[..., None] * np.exp(of_seeds[..., None] + of_images + others)
    return errors
