"""The targets of a run: names, ranges, and the scaled unit of what models learn and of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from quadzoo.errors import DataError
from quadzoo.metrics import means, variances

LEAST_RANGE = 1e-60  # of a target: errors over a smaller one, squared, are beyond all numbers


@dataclass(frozen=True, kw_only=True)
class TargetInfo:
    """The T targets of a run, with their ranges in the training split.

    The scaled unit of target t is (y - low[t]) / (high[t] - low[t]); ``integer[t]`` is whether every
    training value is a whole number.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    integer: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.names)


def target_info(
    names: Sequence[str],
    values: np.ndarray,
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
) -> TargetInfo:
    """Return the T targets with their ranges in the training split.

    ``values`` is float64 (N, T), the training rows alone, in original units, NaN where a target is missing;
    each target is known in one row at least. ``low`` and ``high`` are ranges known beforehand. Raises
    DataError for a target that is the same in every row, or nearly so.
    """
    lowest = tuple(low or np.nanmin(values, axis=0).tolist())
    highest = tuple(high or np.nanmax(values, axis=0).tolist())
    for name, least, most in zip(names, lowest, highest, strict=True):
        if least == most:
            raise DataError(f"target {name!r} is {least:g} in every training row; leave it out of `targets`")
        if most - least < LEAST_RANGE:
            raise DataError(f"target {name!r} is {least:g} to {most:g}; give it in a smaller unit")
    integer = tuple(((values == np.rint(values)) | np.isnan(values)).all(axis=0).tolist())
    return TargetInfo(names=tuple(names), low=lowest, high=highest, integer=integer)


def info_from(given: TargetInfo | Mapping[str, Any] | None) -> TargetInfo | None:
    """Return targets as they were given, or made of what `as_lists` returned; None stays."""
    if given is None or isinstance(given, TargetInfo):
        return given
    return TargetInfo(**{field: tuple(values) for field, values in given.items()})


def as_lists(info: TargetInfo) -> dict[str, list[Any]]:
    """Return the fields of targets as lists, which any checkpoint can hold."""
    return {field: list(values) for field, values in asdict(info).items()}


def standardised(values: np.ndarray, info: TargetInfo) -> TargetInfo:
    """Return the targets in another unit: mean 0 and standard deviation 1 over ``values``.

    ``values`` is float64 (N, T), the training rows in original units, NaN where a target is missing.
    """
    known = ~np.isnan(values)
    low, deviation = means(values, known), np.sqrt(variances(values, known))
    return replace(info, low=tuple(low.tolist()), high=tuple((low + deviation).tolist()))


def scale(values: np.ndarray, info: TargetInfo) -> np.ndarray:
    """Map ``values`` (N, T) from original units to the scaled unit, float64 (N, T): low to 0, high to 1."""
    low, high = np.array(info.low), np.array(info.high)
    return np.asarray((values - low) / (high - low))


def unscale_spread(values: np.ndarray, info: TargetInfo) -> np.ndarray:
    """Map standard deviations (N, T) from the scaled unit back to original units, float64 (N, T)."""
    return np.asarray(values * (np.array(info.high) - np.array(info.low)))


def unscale(values: np.ndarray, info: TargetInfo) -> np.ndarray:
    """Map ``values`` (N, T) from the scaled unit back to original units, float64 (N, T)."""
    low, high = np.array(info.low), np.array(info.high)
    return np.asarray(values * (high - low) + low)


def factors_between(unit: TargetInfo, other: TargetInfo) -> list[float]:
    """Return, for each target, what turns a difference in one scaled unit into one in another."""
    ranges = [[high - low for low, high in zip(info.low, info.high, strict=True)] for info in (unit, other)]
    return [own / its for own, its in zip(*ranges, strict=True)]
