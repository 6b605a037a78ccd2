"""The targets of a run: names, ranges, and the scaled unit that models learn and scores are told in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from quadzoo.data.sources import Source
from quadzoo.errors import DataError
from quadzoo.registry.specs import TargetInfo


def target_info(source: Source, train: np.ndarray) -> TargetInfo:
    """Return the targets as the training pictures (positions ``train``) show them.

    The ranges are the source's own where it has some. Raises DataError for a constant target.
    """
    values = source.targets[train]
    low = source.low or tuple(values.min(axis=0).tolist())
    high = source.high or tuple(values.max(axis=0).tolist())
    for name, lowest, highest in zip(source.target_names, low, high, strict=True):
        if lowest == highest:
            raise DataError(
                f"{source.table}: target {name!r} is {lowest:g} in every training row; "
                "leave it out of --targets"
            )
    integer = tuple((values == np.rint(values)).all(axis=0).tolist())
    return TargetInfo(names=source.target_names, low=low, high=high, integer=integer)


def standardised(values: np.ndarray, info: TargetInfo) -> TargetInfo:
    """Return the targets in another unit: of the training values (N, T) the mean is 0, the deviation 1."""
    low, deviation = values.mean(axis=0), values.std(axis=0)
    return replace(info, low=tuple(low.tolist()), high=tuple((low + deviation).tolist()))


def scale(values: np.ndarray, info: TargetInfo) -> np.ndarray:
    """Map original units (N, T) to the scaled unit: low to 0, high to 1."""
    low, high = np.array(info.low), np.array(info.high)
    return np.asarray((values - low) / (high - low))


def unscale(values: np.ndarray, info: TargetInfo) -> np.ndarray:
    """Map the scaled unit (N, T) back to original units."""
    low, high = np.array(info.low), np.array(info.high)
    return np.asarray(values * (high - low) + low)
