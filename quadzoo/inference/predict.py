"""Images through networks: decoded in the background, batch by batch, so that memory does not grow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from quadzoo.data.decoding import Undecodable
from quadzoo.data.parallel import parallel, threads
from quadzoo.data.reading import Advance
from quadzoo.data.texts import listed, quoted
from quadzoo.errors import ConfigError
from quadzoo.inference.calibration import GROUP, Calibration, combined
from quadzoo.inference.images import Image
from quadzoo.inference.intervals import Intervals
from quadzoo.inference.network import Network
from quadzoo.inference.view import Misfit, Oddities, View, decoded
from quadzoo.records.predictions import columns_of
from quadzoo.records.record import RunRecord

ID, ERROR = "id", "error"  # columns beside those of the targets


_SHOWN = 40  # characters
_FAR = 0.25  # of a target's range in training, beyond it


@dataclass(frozen=True)
class Member:
    """A network, and its weight in the mean prediction; the weights of all members are 1 in all."""

    network: Network
    weight: float


@dataclass(frozen=True)
class Predicted:
    """The predictions for some images.

    ``frame`` has a row for each image, in their order: ``id``, the targets in original units as float64, and,
    where some image could not be predicted, ``error``: why, and empty for the others. Such an image has NaN
    for its targets. ``columns`` are those of the targets. ``warnings`` say how images differ from those that
    the model was trained on.
    """

    frame: pd.DataFrame = field(repr=False)
    columns: list[str]
    warnings: list[str]

    @property
    def errors(self) -> list[tuple[Any, str]]:
        """The id of each image that could not be predicted, and why."""
        if ERROR not in self.frame:
            return []
        bad = self.frame[self.frame[ERROR] != ""]
        return list(zip(bad[ID], bad[ERROR], strict=True))


class _Prepared(NamedTuple):
    """An image as each view shows it, (H, W, C) each, or why it cannot be shown."""

    image: Image
    pixels: dict[View, np.ndarray]
    oddities: tuple[str, ...]
    fault: str


class _Block(NamedTuple):
    """Some images with their predictions, float64 (n, T), and why those that are NaN have none.

    ``unbounded`` is what the heads give, of those whose answers are held to the range of training.
    ``spread`` is that of the predictions, float64 (n, T); None where a network gives them none.
    """

    images: list[Image]
    values: np.ndarray
    unbounded: np.ndarray
    spread: np.ndarray | None
    faults: list[str]


def predict(
    members: Sequence[Member],
    images: Sequence[Image],
    *,
    interval: float | None = None,
    groups: Sequence[str] | None = None,
    advance: Advance = lambda _: None,
) -> Predicted:
    """Return the mean prediction of the members, by their weights, for each image.

    A mean of predictions is also the right one for heads that classify: their prediction is the mean of the
    values of their classes, by probability, and so the mean prediction is that of the mean probabilities.

    ``interval`` is the share of images whose target shall lie between <target>_low and <target>_high, above
    0 and below 1; None asks for no interval. Several targets at once lie between <target>_joint_low and
    <target>_joint_high. Intervals are calibrated on the val predictions that the runs have left, and, where
    ``groups`` (N,) are those of the images, on those of the same group: the cells of the runs' group column.
    An image of a group that no val image has gets NaN, and a warning counts such images.
    ``advance`` is given the number of images as they are predicted. Raises ConfigError or DataError for
    intervals that cannot be had.
    """
    if groups is not None and interval is None:
        raise ConfigError("`interval_by` is for intervals; add `interval`, such as 0.9")
    intervals, doubts = (None, []) if interval is None else _calibrated(members, images, interval, groups)
    oddities = Oddities()
    blocks = []
    for block in _blocks(members, images, oddities):
        blocks.append(block)
        advance(len(block.images))
    columns = list(columns_of(members[0].network.trained.record.targets, (ID, ERROR)).values())
    frame = _frame(blocks, columns, intervals, groups)
    unbounded = np.concatenate([np.empty((0, len(columns))), *(block.unbounded for block in blocks)])
    far = _far_off(frame, columns, unbounded, members[0].network.trained.record)
    return Predicted(frame, columns, [*doubts, *oddities.warnings(len(frame)), *far])


def _far_off(
    frame: pd.DataFrame, columns: Sequence[str], unbounded: np.ndarray, record: RunRecord
) -> Iterator[str]:
    """Yield a warning for each target with predictions far from all that the model was trained on.

    Those that are held to its range are the worse: nothing in the table shows that they would be far off.
    """
    ranges = zip(columns, record.targets, record.target_low, record.target_high, strict=True)
    for place, (column, target, low, high) in enumerate(ranges):
        given, margin = unbounded[:, place], _FAR * (high - low)
        (far,) = np.nonzero((given < low - margin) | (given > high + margin))
        if len(far):
            n, are = f"{len(far):,} of {len(frame):,}", "are" if len(far) > 1 else "is"
            first, answer = frame[ID].iloc[far[0]], frame[column].iloc[far[0]]
            ends = (
                "" if answer == given[far[0]] else f", given as {answer:.4g}: the model's answers end there"
            )
            yield (
                f"{n} predictions of {target} {are} far from the values of training, "
                f"{low:.4g} to {high:.4g}, and may be wrong; the first is {given[far[0]]:.4g} for "
                f"{first}{ends}"
            )


def _calibrated(
    members: Sequence[Member], images: Sequence[Image], level: float, groups: Sequence[str] | None
) -> tuple[Intervals, list[str]]:
    """Return intervals around the mean prediction of the members, and warnings of them.

    With ``groups`` they are of the groups that both the images and val images have.

    Raises ConfigError and DataError.
    """
    if not isinstance(level, Real) or not 0 < level < 1:
        shown = f"{level:g}" if isinstance(level, Real) else repr(level)[:_SHOWN]
        raise ConfigError(f"`interval` {shown}: say a share above 0 and below 1, such as 0.9")
    folders = [member.network.trained.folder for member in members]
    source, level = Calibration.of_runs(folders, [member.weight for member in members]), float(level)
    if groups is None:
        return Intervals.of(source, level), source.doubts(level)
    held = {*source.labels.get(GROUP, ())}
    if not held:
        raise ConfigError(
            f"`interval_by`: the val images of {folders[0].name[:_SHOWN]} have no groups: it was benched "
            "without `group_column`, or is an export, which holds none; leave `interval_by` out"
        )
    without = [place for place, one in enumerate(groups) if one not in held]
    if len(without) == len(groups):
        raise ConfigError(
            f"`interval_by`: no val image is of a group of these images, such as {quoted(groups[0])}, so "
            f"there are no intervals; groups of val are {listed(sorted(held))}"
        )
    doubts = []
    if without:
        doubts.append(
            f"{len(without):,} of {len(groups):,} images have no interval, since no val image is of their "
            f"group; the first is {images[without[0]].id}, of group {quoted(groups[without[0]])}"
        )
    return Intervals.of(source.of_groups(GROUP, {*groups}), level, groups=GROUP), doubts


def _blocks(members: Sequence[Member], images: Sequence[Image], oddities: Oddities) -> Iterator[_Block]:
    """Yield the images in their order; in each block as many can be shown as a network is given at once."""
    views = list(dict.fromkeys(member.network.view for member in members))
    size = max(member.network.batch_size for member in members)
    waiting: list[_Prepared] = []
    good = 0
    on_cpu = all(member.network.module.device.type == "cpu" for member in members)
    for prepared in _all_prepared(images, views, size if on_cpu else None):
        oddities.add(prepared.image.id, prepared.oddities)
        waiting.append(prepared)
        good += not prepared.fault
        if good == size or len(waiting) == 2 * size:
            yield _predicted(members, waiting)
            waiting, good = [], 0
    if waiting:
        yield _predicted(members, waiting)


def _all_prepared(
    images: Sequence[Image], views: Sequence[View], at_a_time: int | None
) -> Iterator[_Prepared]:
    """Yield the images, prepared in the background, or so many ``at_a_time`` and nothing in between.

    On the CPU the network needs the cores itself: beside decoding it takes longer than both in turns.
    """

    def prepare(image: Image) -> _Prepared:
        return _prepared(image, views)

    if at_a_time is None:
        yield from parallel(prepare, images)
        return
    with threads() as pool:  # new ones would have to get their memory each time
        for start in range(0, len(images), at_a_time):
            yield from list(parallel(prepare, images[start : start + at_a_time], pool))


def _prepared(image: Image, views: Sequence[View]) -> _Prepared:
    """Read, decode and fit one image; in a thread of its own."""
    pixels: dict[View, np.ndarray] = {}
    found: dict[str, None] = {}
    try:
        if image.source is None:
            raise Misfit(image.fault)
        by_bands = {view.geometry.bands: decoded(image.source, view.geometry.bands) for view in views}
        for view in views:
            pixels[view], oddities = view.show(by_bands[view.geometry.bands])
            found |= dict.fromkeys(oddities)
    except OSError as error:
        return _Prepared(image, {}, (), error.strerror or str(error))
    except (Undecodable, Misfit) as error:
        return _Prepared(image, {}, (), " ".join(str(error).split()))
    return _Prepared(image, pixels, tuple(found), "")


def _predicted(members: Sequence[Member], prepared: Sequence[_Prepared]) -> _Block:
    n_targets = len(members[0].network.trained.record.targets)
    values, faults = np.full((len(prepared), n_targets), np.nan), [one.fault for one in prepared]
    unbounded, spread = values.copy(), None
    good = [place for place, fault in enumerate(faults) if not fault]
    if good:
        stacks = {view: np.stack([prepared[place].pixels[view] for place in good])
                  for view in prepared[good[0]].pixels}  # fmt: skip
        answers = [member.network.predict(stacks[member.network.view]) for member in members]
        spreads = [one.spread for one in answers if one.spread is not None]
        weights = [member.weight for member in members]
        values[good], of_good = combined(
            np.stack([one.values for one in answers]),
            np.stack(spreads) if len(spreads) == len(answers) else None,
            weights,
        )
        unbounded[good], _ = combined(np.stack([one.unbounded for one in answers]), None, weights)
        if of_good is not None:
            spread = np.full_like(values, np.nan)
            spread[good] = of_good
    for place in good:
        if not np.isfinite(values[place]).all():
            values[place], unbounded[place] = np.nan, np.nan
            faults[place] = "its prediction is NaN or infinite"
    return _Block([one.image for one in prepared], values, unbounded, spread, faults)


def _frame(
    blocks: Sequence[_Block],
    columns: Sequence[str],
    intervals: Intervals | None,
    groups: Sequence[str] | None,
) -> pd.DataFrame:
    nothing = np.empty((0, len(columns)))
    values = np.concatenate([nothing, *(block.values for block in blocks)])
    frame = pd.DataFrame(values, columns=[*columns])
    if intervals:
        spread = None
        if intervals.normalised:  # of images without a prediction there is none
            spreads = [
                np.full_like(one.values, np.nan) if one.spread is None else one.spread for one in blocks
            ]
            spread = np.concatenate([nothing, *spreads])
        frame = frame.assign(**_ends(intervals, values, spread, groups))
    frame.insert(0, ID, [image.id for block in blocks for image in block.images])
    faults = [fault for block in blocks for fault in block.faults]
    return frame.assign(**{ERROR: faults}) if any(faults) else frame


def _ends(
    intervals: Intervals, values: np.ndarray, spread: np.ndarray | None, groups: Sequence[str] | None
) -> dict[str, np.ndarray]:
    """Return the ends of intervals by column, float64 (N,); NaN where no val image is of an image's group."""
    if groups is None:
        return intervals.columns(values, spread=spread)
    known = [place for place, one in enumerate(groups) if one in intervals.half_widths]
    ends = intervals.columns(
        values[known],
        spread=None if spread is None else spread[known],
        groups=[groups[place] for place in known],
    )
    found = {name: np.full(len(values), np.nan) for name in ends}
    for name, some in ends.items():
        found[name][known] = some
    return found
