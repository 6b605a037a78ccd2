"""Would more images help? Rows on several shares of the training images, and the law they follow."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from quadzoo.report.column import Column
from quadzoo.report.columns import COLUMNS
from quadzoo.report.errors import Errors
from quadzoo.report.law import Law, Level, Withheld
from quadzoo.report.powerlaw import PowerLaw, Samples, fitted, without_largest
from quadzoo.report.rows import INCOMPLETE, Details, Leaderboard, Row, ShareCurve
from quadzoo.report.text import short, whole

_POINTS = 13  # of a line
_TIMES = 2.0  # how far a law is continued
_FEWER = 0.9  # times as many steps are fewer; more than that are about as many
_WIDE = 10.0  # times: an interval whose ends are further apart says nothing


class OfShare(NamedTuple):
    """A row on one share; ``curve`` is the same on all of its shares. No errors: without predictions."""

    curve: str
    row: Row
    errors: Errors | None


def share_curves(points: Sequence[OfShare], simple: Sequence[Row], names: Sequence[str]) -> list[ShareCurve]:
    """Return a curve for each row that any share has, in the order of ``names``, and then by name.

    ``simple`` are the rows without a model, which no law is fitted to.
    """
    by_curve: dict[str, list[OfShare]] = defaultdict(list)
    for point in points:
        by_curve[point.curve].append(point)
    curves = [_curve(one) for members in by_curve.values() for one in _by_precision(members)]
    by_name: dict[str, list[Row]] = defaultdict(list)
    for row in simple:
        by_name[row.name].append(row)
    curves += [ShareCurve(rows=_sorted(rows)) for rows in by_name.values()]
    place = {name: number for number, name in enumerate(names)}
    return sorted(curves, key=lambda curve: (place.get(curve.name, len(place)), curve.name))


def _by_precision(members: list[OfShare]) -> list[list[OfShare]]:
    """Return the rows of a curve, in one group a precision where a share has a row for each precision."""
    if max(Counter(point.row.train_share for point in members).values()) == 1:
        return [members]
    groups: dict[str, list[OfShare]] = defaultdict(list)
    for point in members:
        groups[point.row.precision].append(point)
    return list(groups.values())


def _curve(members: list[OfShare]) -> ShareCurve:
    rows = _sorted([point.row for point in members])
    samples = _samples(members)
    if isinstance(samples, str):
        return ShareCurve(rows=rows, reason=samples)
    law = fitted(samples)
    if law is None:
        return ShareCurve(rows=rows, reason="errors of 0, or of one group of images, follow no power law")
    return ShareCurve(rows=rows, law=_law(law, samples))


def _sorted(rows: Sequence[Row]) -> list[Row]:
    ordered = sorted(rows, key=lambda row: (row.train_share, row.n_train or 0.0))
    return [row.model_copy(update={"details": Details()}) for row in ordered]


def _samples(members: list[OfShare]) -> Samples | str:
    """Return the errors of a curve on the test images of all its shares, or why no law is fitted to them."""
    known = [(point.row.n_train, point.errors) for point in members if point.errors and point.row.n_train]
    n_shares = len({n_train for n_train, _ in known})
    if n_shares < 3:
        known_shares = f"{n_shares} share{'s' * (n_shares != 1)} with predictions"
        return f"no power law is fitted to {known_shares}: it takes three"
    counts = {errors.table.shape[1] for _, errors in known}
    if len(counts) > 1 or any(point.row.verdict == INCOMPLETE for point in members):
        return (
            "no power law is fitted, since its shares differ in seeds, or runs of them failed or are missing"
        )
    first = known[0][1]
    common = first.ids
    for _, errors in known[1:]:
        common = common.intersection(errors.ids)
    if not len(common):
        return "no test image is in all shares"
    return Samples(
        [n_train or 0.0 for n_train, _ in known],
        [errors.of(common).table.T for _, errors in known],
        first.of(common).groups,
    )


def _law(law: PowerLaw, samples: Samples) -> Law:
    factor, held = law.factor(_TIMES), without_largest(samples)
    largest = max(samples.sizes)
    sizes = {*samples.sizes, *np.geomspace(min(samples.sizes), _TIMES * largest, _POINTS).tolist()}
    return Law(
        exponent=law.exponent,
        factor=factor.value,
        factor_low=factor.low,
        factor_high=factor.high,
        line=[_level(size, *law.at(size)) for size in sorted(sizes)],
        withheld=Withheld(**_level(largest, *held[0]).model_dump(), seen=held[1]) if held else None,
    )


def _level(n_train: float, mse: float, low: float, high: float) -> Level:
    return Level(n_train=n_train, test_mse=mse, low=low, high=high)


def share_rows(board: Leaderboard) -> list[Row]:
    """Return the rows on each share of the training images, curve by curve."""
    return [row for curve in board.shares for row in curve.rows]


def share_columns(board: Leaderboard) -> list[Column[Row]]:
    """Return the columns that people see of `share_rows`; those that tell the rows apart always stay."""
    names = ("backbone", "head", "weights", "tuned", "n_train", "epochs", "seeds", "val_mse", "test_mse",
             "test_mse_high")  # fmt: skip
    by_name = {column.name: column for column in COLUMNS}
    columns = [
        replace(by_name[name], priority=0 if name == "n_train" else by_name[name].priority) for name in names
    ]
    rows = share_rows(board)
    return [column for column in columns if column.says_something(rows)]


def more_images(board: Leaderboard) -> str:
    """Return whether more images would help the best row, or why none can say; nothing without shares."""
    best = board.best
    if not board.shares or best is None:
        return ""
    # A row that was trained on one share alone tells nothing; another may.
    own = [one for one in board.shares if is_of(best, one)]
    others = [one for one in board.shares if one.rows[0].head != "-"]
    return sentence(next((one for one in (*own, *others) if len(one.rows) > 1), own[0]))


def is_of(row: Row, curve: ShareCurve) -> bool:
    """Whether a row is one of a curve's."""
    return (row.combination, row.precision) in {(one.combination, one.precision) for one in curve.rows}


def sentences(board: Leaderboard) -> list[str]:
    """Return `sentence` of each row with a model, best val MSE first."""
    return [sentence(curve) for curve in board.shares if curve.rows[0].head != "-"]


def sentence(curve: ShareCurve) -> str:
    """Return what twice the training images would do to a row, and whether its law has been right."""
    law = curve.law
    if law is None:
        return f"{curve.name}: {curve.reason}."
    ends = f"({_times(law.factor_low)} to {_times(law.factor_high)})"
    text = f"Twice the images: about {_times(law.factor)} times the error {ends}, for {curve.name}."
    if law.factor_high > _WIDE * law.factor_low:
        text += " That is too uncertain to plan with: more shares or more seeds would tell."
    elif law.factor_high >= 1 >= law.factor_low:
        text += " Whether more images help cannot be said yet."
    return f"{text} {_check(law)}".strip()


def _check(law: Law) -> str:
    held = law.withheld
    if held is None:
        return ""
    text = (
        f"Predicted for {whole(held.n_train)} images from the smaller shares alone: {short(held.test_mse)} "
        f"({short(held.low)} to {short(held.high)}), seen: {short(held.seen)}."
    )
    if not held.low <= held.seen <= held.high:
        text += " So the error does not follow this law here: do not rely on the factor."
    return text


def explained(board: Leaderboard) -> str:
    """Return how the figures of `sentence` were made, and what they do not say; nothing without shares."""
    if not board.shares:
        return ""
    text = "Error is the test MSE; the same val and test images for all shares, and the same recipe"
    text += f"{_steps(board.shares)}."
    if any(row.tuned for row in share_rows(board)):
        text += " Learning rates were tuned on each share by itself."
    if any(curve.law for curve in board.shares):
        text += (
            " The factor is that of a power law, log error = a - b log n, with its 95 % interval. It is an "
            "extrapolation: beyond twice the images it is not supported, and errors fall to a level that "
            "more images do not lower, which so few shares do not show."
        )
    return text


def _steps(curves: Sequence[ShareCurve]) -> str:
    """Return how long the smallest share of rows was trained, next to the largest; nothing if none was.

    With `epochs` auto a small share takes more epochs. Heads in closed form take no steps.
    """
    pairs = []
    for curve in curves:
        trained = [row for row in curve.rows if row.epochs and row.cost.train_images_per_second]
        if len({row.train_share for row in trained}) > 1:
            pairs.append((trained[0], trained[-1]))
    if not pairs:
        return ""
    fewer = [_steps_of(small) < _FEWER * _steps_of(large) for small, large in pairs]
    steps = "fewer" if all(fewer) else "fewer or about as many" if any(fewer) else "about as many"
    more = [(small.epochs or 0) > (large.epochs or 0) for small, large in pairs]
    if not any(more):
        return f", so that smaller shares took {steps} steps"
    epochs = "more" if all(more) else "more or as many"
    return f", by which smaller shares took {epochs} epochs{', but' if all(fewer) else ' and'} {steps} steps"


def _steps_of(row: Row) -> float:
    """Return about how many training steps a row took: an incomplete batch is left out."""
    batch: int = (row.recipe or {})["batch_size"]
    return (row.epochs or 0) * max(1.0, (row.n_train or 0.0) // batch)


def _times(factor: float) -> str:
    if not 0.001 <= factor <= 1000:
        return "under 0.001" if factor < 1 else "over 1,000"
    return f"{factor:.2g}" if factor < 10 else whole(factor)
