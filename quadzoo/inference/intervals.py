"""Calibrated intervals around predictions: split conformal on val. docs/metrics.md says what they promise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from quadzoo.data.texts import quoted
from quadzoo.errors import ConfigError, DataError
from quadzoo.inference.calibration import Calibration, exact_level, fewest

_ALL = ""  # the group of every image where there are no groups


@dataclass(frozen=True)
class Intervals:
    """Intervals that contain the truth of a new image with probability ``level``, val being drawn anew, too.

    ``targets`` are T names. ``half_widths`` are, for each group (`""` where images have none), those of each
    target singly, float64 (T,); ``joint_half_widths`` those of the box that contains all targets at once,
    where there are several. They are in original units, or, where ``normalised``, multiples of the model's
    own spread.
    """

    level: float
    targets: tuple[str, ...]
    normalised: bool
    half_widths: Mapping[str, np.ndarray]
    joint_half_widths: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls,
        source: Path | Sequence[Path] | Calibration,
        level: float,
        *,
        groups: str | Mapping[str, str] | None = None,
    ) -> Intervals:
        """Calibrate intervals on the val predictions of a run's folder, or of several, whose mean predicts.

        Where the model gives its predictions a spread, widths are proportional to it (Lei et al. 2018,
        Distribution-free predictive inference for regression, section 5.2). With ``groups``, a column of
        predictions.csv or the group of each image by id, each group is calibrated by itself (Vovk, Gammerman
        & Shafer 2005, Algorithmic Learning in a Random World, chapter 4). There are joint intervals of
        several targets, where enough val images have all of them.

        Raises ConfigError for a level outside of 0 to 1, for runs that cannot be combined, and for groups
        that are not known; DataError for files that cannot be read, and where there are fewer val images
        than the level needs.
        """
        if not 0 < level < 1:
            raise ConfigError(f"interval {level:g} must be between 0 and 1, such as 0.9")
        if isinstance(source, Path):
            source = Calibration.of_run(source)
        elif not isinstance(source, Calibration):
            source = Calibration.of_runs(source)
        residuals = np.abs(source.truth - source.prediction)
        if source.spread is not None:
            with np.errstate(over="ignore"):  # of a spread that is next to nothing
                residuals = residuals / source.spread
        # A spread is a size of errors itself, with the unit of a target taken out.
        sizes = source.ranges if source.spread is None else np.ones(len(source.targets))
        by_group = {_ALL: residuals}
        if groups is not None:
            of_image = np.array(source.grouped_by(groups), dtype=object)
            by_group = {name: residuals[of_image == name] for name in sorted({*of_image})}
        single = {name: _single(own, level, source.targets, name) for name, own in by_group.items()}
        joint = {name: _joint(own, sizes, level) for name, own in by_group.items()}
        known = {name: widths for name, widths in joint.items() if widths is not None}
        return cls(
            level,
            source.targets,
            source.spread is not None,
            single,
            known if len(known) == len(joint) else {},
        )

    def around(
        self,
        prediction: np.ndarray,
        *,
        spread: np.ndarray | None = None,
        groups: Sequence[str] | None = None,
        joint: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of the intervals around predictions: low and high, float64 (N, T) each.

        ``prediction`` is float64 (N, T) in original units, not rounded, made in the way that the val
        predictions were. ``spread`` (N, T) is needed where intervals are ``normalised``, ``groups`` (N,)
        where val images were grouped. With ``joint`` one box contains all targets at once; of one target that
        is its interval. Raises ConfigError where spread or groups are missing, and for a group that no val
        image has.
        """
        widths = self.half_widths
        if joint and len(self.targets) > 1:
            widths = self.joint_half_widths
            if not widths:
                raise ConfigError(
                    f"no joint intervals of level {self.level:g}: fewer than {fewest(self.level)} val images "
                    "have all targets; take those of each target singly"
                )
        half = self._of_images(widths, len(prediction), groups)
        if self.normalised:
            if spread is None:
                raise ConfigError("these intervals are multiples of the model's own spread; give `spread`")
            half = half * spread
        return prediction - half, prediction + half

    def columns(
        self,
        prediction: np.ndarray,
        *,
        spread: np.ndarray | None = None,
        groups: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the ends of all intervals as columns of a table, float64 (N,), by name.

        ``<target>_low`` and ``<target>_high`` are of each target singly. Where there are joint intervals,
        ``<target>_joint_low`` and ``<target>_joint_high`` follow. A column that would be named like a target
        has " (interval)" behind its name. Arguments are those of `around`.
        """
        ends: dict[str, np.ndarray] = {}
        for joint in (False, True)[: 1 + bool(self.joint_half_widths)]:
            low, high = self.around(prediction, spread=spread, groups=groups, joint=joint)
            ends |= {f"{'joint_' * joint}low": low, f"{'joint_' * joint}high": high}
        found: dict[str, np.ndarray] = {}
        for place, target in enumerate(self.targets):
            for end, values in ends.items():
                name = f"{target}_{end}"
                while name in found or name in self.targets:
                    name += " (interval)"
                found[name] = values[:, place]
        return found

    def _of_images(
        self, widths: Mapping[str, np.ndarray], n: int, groups: Sequence[str] | None
    ) -> np.ndarray:
        if [*widths] == [_ALL]:
            return np.broadcast_to(widths[_ALL], (n, len(self.targets)))
        if groups is None:
            raise ConfigError(
                "these intervals were calibrated group by group; give the `groups` of the images"
            )
        if unknown := [name for name in groups if name not in widths]:
            raise ConfigError(
                f"no val image is of group {unknown[0]!r}, so it has no interval; groups: {[*widths]}"
            )
        return np.stack([widths[name] for name in groups])


def _single(residuals: np.ndarray, level: float, targets: Sequence[str], group: str) -> np.ndarray:
    """Return the half-width for each target (T,) from absolute residuals (n, T); NaN is not known.

    Raises DataError for a target of which there are too few.
    """
    widths = []
    for target, own in zip(targets, residuals.T, strict=True):
        known = own[np.isfinite(own)]
        if len(known) < fewest(level):
            of_group = f" of group {quoted(group)}" * bool(group)
            of_target = f" with a value of {target!r}" * (len(known) < len(own))
            raise DataError(
                f"interval {level:g} needs at least {fewest(level)} val images{of_group}{of_target}, there "
                f"are {len(known)}; choose a lower `interval`, or train with more val images"
            )
        widths.append(_quantile(known, level))
    return np.array(widths)


def _joint(residuals: np.ndarray, sizes: np.ndarray, level: float) -> np.ndarray | None:
    """Return the half-widths (T,) of a box that contains all targets, from absolute residuals (n, T).

    The score of an image is its largest residual in units of each target's mean absolute residual. With
    the mean over val alone, val images would be measured by their own errors, and a new image by those of
    others, which covers too few (of 10 targets and 9 val images 73 % instead of 90 %). So the mean is over
    val, the new image, and one more of size ``sizes`` (T,), which keeps it from 0. A residual x of the new
    image is then inside where

        x / (S + x) ≤ q,    S = sizes + sum of val residuals,    q = quantile of the largest residual / S

    for each target, which is x ≤ S q / (1 - q). With x in their mean, too, the scores of val images would
    only be smaller, so that the box covers no less than ``level``. This is the transductive standardisation
    of Fan & Sesia 2025 (Interpretable Multivariate Conformal Prediction, arXiv:2512.15383), by means of
    absolute values. None for one target, and where too few images have all.
    """
    complete = residuals[np.isfinite(residuals).all(axis=1)]
    if residuals.shape[1] == 1 or len(complete) < fewest(level):
        return None
    total = sizes + complete.sum(axis=0)
    quantile = _quantile((complete / total).max(axis=1), level)
    return np.asarray(total * quantile / (1 - quantile))


def _quantile(scores: np.ndarray, level: float) -> float:
    """Return the value that a new score does not exceed with probability ``level``, from n, float64 (n,).

    It is the ⌈(n + 1) level⌉-th smallest (Lei et al. 2018, section 2.2).
    """
    n = len(scores)
    rank = math.ceil(exact_level(level) * (n + 1))
    # crepes rounds (1 - confidence) (n + 1) down. This is halfway between two ranks, so that it does not
    # matter that there is no 0.9 in binary: with n = 9 and 0.9 itself the interval would be infinite.
    confidence = 1 - (n + 1.5 - rank) / (n + 1)
    around_zero = _imported().ConformalRegressor().fit(scores).predict_int(np.zeros(1), confidence=confidence)
    return float(around_zero[0, 1])


@cache
def _imported() -> Any:
    with warnings.catch_warnings():  # importing crepes changes which warnings of the process are shown
        import crepes
    return crepes
