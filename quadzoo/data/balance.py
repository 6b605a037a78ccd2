"""Divide groups of rows by the number of their rows, where a division at random is too uneven."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TOLERANCE = 0.05  # of all rows, by which a side may be off without a word
_SEED = 42
_TRIALS = 64
_FEW_ROWS = 1000  # from here on chance spreads the targets well enough over the sides
_LEVEL = 1e-9


def deviation(sizes: Sequence[int], shares: Sequence[float]) -> float:
    """Return how far, as a share of all rows, the side that is farthest off is from its share."""
    total = sum(sizes)
    return max(abs(size / total - share) for size, share in zip(sizes, shares, strict=True))


def balanced(groups: np.ndarray, shares: Sequence[float], targets: np.ndarray | None) -> list[np.ndarray]:
    """Divide rows so that each side gets its share of them, as near as groups allow.

    ``groups`` is int64 (n,), and groups stay together; ``shares`` are S numbers that sum to 1; ``targets`` is
    float64 (n, T) or None. Returns S arrays of positions, int64, ascending. No side is empty where there are
    groups enough. The largest group goes first, each to the side that lacks most rows, as in Graham 1969
    (Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17, 416-429). Groups of one size are
    drawn in 64 orders; of equally even divisions the one is taken whose sides are most alike in the targets'
    range, where rows are few.
    """
    _, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    ranks = _ranks(targets) if targets is not None and len(groups) < _FEW_ROWS else None
    generator = np.random.default_rng(_SEED)
    best, least = np.zeros(len(sizes), np.int64), (np.inf, np.inf)
    for _ in range(_TRIALS if ranks is not None else 1):
        drawn = generator.permutation(len(sizes))
        order = drawn[np.argsort(-sizes[drawn], kind="stable")]
        sides = _assigned(order, sizes, shares)
        rows = np.bincount(sides, sizes, len(shares))
        uneven = float(np.abs(rows / len(groups) - shares).sum())
        spread = 0.0 if ranks is None else _spread(ranks, sides[members], len(shares))
        if uneven < least[0] - _LEVEL or (uneven < least[0] + _LEVEL and spread < least[1]):
            best, least = sides, (uneven, spread)
    return [np.flatnonzero(best[members] == side) for side in range(len(shares))]


def _assigned(order: np.ndarray, sizes: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return the side of each group, int64 (G,)."""
    lacking = np.array(shares) * sizes.sum()
    taken = np.zeros(len(shares), np.int64)
    sides = np.zeros(len(sizes), np.int64)
    for place, group in enumerate(order):
        empty = np.flatnonzero(taken == 0)
        open_to = empty if len(order) - place <= len(empty) else np.arange(len(shares))
        side = open_to[np.argmax(lacking[open_to])]
        sides[group] = side
        lacking[side] -= sizes[group]
        taken[side] += 1
    return sides


def _ranks(targets: np.ndarray) -> np.ndarray:
    """Return each value's place in its column's range, float64 (n, T), 0 to 1; a missing one's is NaN."""
    ranks = np.argsort(np.argsort(targets, axis=0, kind="stable"), axis=0) / max(1, len(targets) - 1)
    ranks[np.isnan(targets)] = np.nan
    return np.asarray(ranks)


def _spread(ranks: np.ndarray, sides: np.ndarray, n: int) -> float:
    """Return how much the sides differ in the mean and the spread of the targets' ranks."""
    total = 0.0
    for side in range(n):
        some = ranks[sides == side]
        for column, whole in zip(some.T, ranks.T, strict=True):
            known, every = column[~np.isnan(column)], whole[~np.isnan(whole)]
            if len(known) and len(every):
                total += abs(known.mean() - every.mean()) + abs(known.std() - every.std())
    return total
