"""What intervals are made from: the val predictions of a run, or of the mean of several."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from quadzoo.errors import ConfigError, DataError
from quadzoo.records.predictions import of_targets, read_predictions, spread_of
from quadzoo.records.record import PREDICTIONS, RECORD, RunRecord, sha256_of
from quadzoo.records.trained import CONFIG, read_record_in, record_file

GROUP = "group_value"  # column of predictions.csv that holds the cells of a run's group column
_LABELS = ("image_group", "image_kind", GROUP)  # that images can be grouped by


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Truth and predictions for n images that no weight was fitted to, float64 (n, T) in original units.

    ``ranges`` (T,) are those of the targets, known before these images were looked at. A truth may be NaN:
    not known. ``spread`` are the standard deviations that the model gives its own predictions, float64
    (n, T), positive. ``labels`` are n texts that images can be grouped by, by name.
    """

    targets: tuple[str, ...]
    ranges: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    spread: np.ndarray | None = None
    ids: Sequence[str] = ()
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of_run(cls, folder: Path) -> Calibration:
        """Return the val predictions of a run, whose folder holds record.json and predictions.csv.

        Raises DataError where one of them cannot be read, or does not hold all val images.
        """
        return _of_table(folder, *_read(folder))

    @classmethod
    def of_runs(cls, folders: Sequence[Path], weights: Sequence[float] | None = None) -> Calibration:
        """Return the mean val predictions of several runs, each with its weight (equal ones by default).

        Raises ConfigError for runs of other data, targets or another split: what is val for one may have been
        trained on by another. Raises DataError as `of_run` does.
        """
        read = [_read(folder) for folder in folders]
        (first, _), *others = read
        for folder, (record, _) in zip(folders[1:], others, strict=True):
            if different := _difference(first, record):
                raise ConfigError(
                    f"{folder.name} has other {different} than {folders[0].name}: what is val for one may "
                    "be in train of another; intervals of several runs need one data set and "
                    "one split without `folds`; name one run"
                )
        members = [_of_table(folder, *one) for folder, one in zip(folders, read, strict=True)]
        return mean_of(members, weights)

    def doubts(self, level: float) -> list[str]:
        """Return the warning that intervals of a level rest on few groups of images.

        Images of one group are alike, so that so many groups are needed as images without groups would be.
        """
        n, groups = len(self.truth), len({*self.labels.get("image_group", range(len(self.truth)))})
        if groups >= fewest(level):
            return []
        return [
            f"intervals rest on {n} val images of {groups} group{'s' * (groups > 1)}: for images of other "
            f"groups they may contain the target less often than {level:g}; it takes {fewest(level)} groups"
        ]

    def of_groups(self, label: str, names: Collection[str]) -> Calibration:
        """Return the images that have one of ``names`` for a label."""
        rows = np.array([place for place, one in enumerate(self.labels[label]) if one in names], dtype=int)
        return replace(
            self,
            truth=self.truth[rows],
            prediction=self.prediction[rows],
            spread=None if self.spread is None else self.spread[rows],
            ids=[self.ids[row] for row in rows] if self.ids else (),
            labels={name: [cells[row] for row in rows] for name, cells in self.labels.items()},
        )

    def grouped_by(self, by: str | Mapping[str, str]) -> list[str]:
        """Return the group of each image: by a label, or by image id.

        Raises ConfigError for a label that is not there, and for an image without group.
        """
        if isinstance(by, str):
            if by not in self.labels:
                known = " or ".join(self.labels) or "none"
                raise ConfigError(f"no column {by!r} in {PREDICTIONS} to group intervals by; it has {known}")
            return list(self.labels[by])
        missing = [one for one in self.ids if one not in by]
        if missing or len(self.ids) != len(self.truth):
            raise ConfigError(f"no group for {len(missing)} val images, such as {missing[:1]}; give them one")
        return [by[one] for one in self.ids]


@cache
def fewest(level: float) -> int:
    """Return the number of val images from which on intervals of a level can be had: 9 for 0.9."""
    exact = exact_level(level)
    return math.ceil(exact / (1 - exact))


@cache
def exact_level(level: float) -> Fraction:
    """Return a level as it is written."""
    # As it is written: in binary 0.55 × 100 is more than 55, and the next larger residual would be taken.
    return Fraction(str(float(level)))


def mean_of(members: Sequence[Calibration], weights: Sequence[float] | None = None) -> Calibration:
    """Return the mean predictions of calibrations of the same images.

    Where the images are in another order they are found by id. Raises DataError for other images.
    """
    first = members[0]
    aligned = [first, *(_in_order(one, first) for one in members[1:])]
    spreads = [one.spread for one in aligned if one.spread is not None]
    prediction, spread = combined(
        np.stack([one.prediction for one in aligned]),
        np.stack(spreads) if len(spreads) == len(aligned) else None,
        weights,
    )
    return replace(first, prediction=prediction, spread=spread)


def combined(
    predictions: np.ndarray, spreads: np.ndarray | None, weights: Sequence[float] | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the weighted mean of R predictions, float64 (R, N, T), and its spread; both are (N, T).

    The spread is the standard deviation of the mixture of the members' distributions (Lakshminarayanan,
    Pritzel & Blundell 2017, Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles,
    section 2.4); None without ``spreads``. New images are to be combined as the val images were.
    """
    mean = np.average(predictions, axis=0, weights=weights)
    if spreads is None:
        return mean, None
    variance = np.average(spreads**2 + (predictions - mean) ** 2, axis=0, weights=weights)
    return mean, np.sqrt(variance)


def _read(folder: Path) -> tuple[RunRecord, pd.DataFrame]:
    record = read_record_in(folder)
    if record.status != "ok":
        raise DataError(f"{folder}: the run failed, so it has no val predictions; choose one that finished")
    if not (folder / PREDICTIONS).exists():
        raise DataError(
            f"{folder / PREDICTIONS}: not there; intervals are calibrated on the val predictions in it. "
            "Give the folder of a run"
        )
    _check_unchanged(folder, record)
    table = read_predictions(folder / PREDICTIONS, record.targets)
    return record, table[table["split"] == "val"]


def _check_unchanged(folder: Path, record: RunRecord) -> None:
    exported = record_file(folder) == folder / CONFIG
    if PREDICTIONS not in record.files and not exported:
        return
    try:
        changed = sha256_of(folder / PREDICTIONS) != record.files.get(PREDICTIONS)
    except OSError as error:
        raise DataError(f"{folder / PREDICTIONS}: cannot be read ({error.strerror})") from error
    if changed:
        name = CONFIG if exported else RECORD
        again = "export the run again" if exported else "do the run again, or ask for no interval"
        raise DataError(
            f"{folder / PREDICTIONS}: not the file that {name} names; it was changed or cut off; {again}"
        )


def _of_table(folder: Path, record: RunRecord, table: pd.DataFrame) -> Calibration:
    path = folder / PREDICTIONS
    if len(table) != record.split.n_val or table["id"].duplicated().any():
        raise DataError(f"{path}: {table['id'].nunique()} val images, the record says {record.split.n_val}")
    truth, prediction = of_targets(table, record.targets)
    if not np.isfinite(prediction).all():
        raise DataError(f"{path}: a prediction for a val image is not a finite number")
    return Calibration(
        targets=tuple(record.targets),
        ranges=np.array(record.target_high) - np.array(record.target_low),
        truth=truth,
        prediction=prediction,
        spread=spread_of(table, record.targets),
        ids=table["id"].tolist(),
        labels={name: table[name].tolist() for name in _LABELS if name in table},
    )


def _difference(one: RunRecord, other: RunRecord) -> str:
    """Return in what two runs differ that must be the same; nothing where they may be combined."""
    for name, this, that in (
        ("data", one.data.hash, other.data.hash),
        ("targets", one.targets, other.targets),
        ("val images", (one.split.hash, one.split.fold), (other.split.hash, other.split.fold)),
    ):
        if this != that:
            return name
    return ""


def _in_order(one: Calibration, first: Calibration) -> Calibration:
    """Return a calibration with its images in the order of another."""
    if list(one.ids) == list(first.ids):
        return one
    place = {identity: row for row, identity in enumerate(one.ids)}
    if place.keys() != {*first.ids}:
        raise DataError(
            "the val images of the runs differ: an export, which has numbers for ids, goes with no run; else "
            "`quadzoo verify` names what is wrong"
        )
    rows = np.array([place[identity] for identity in first.ids])
    spread = None if one.spread is None else one.spread[rows]
    return replace(one, ids=first.ids, prediction=one.prediction[rows], spread=spread)
