"""Plots as SVG with the colours of the page: for light and dark, on paper, and without scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from quadzoo.report.labels import Box, Line, free, place, width

MOST_DOTS = 1000  # of one plot
_SQUARE = 8  # pixels a side
_MOST_NAMED = 30  # points of one plot
_BESIDE = 12  # names to the right of lines
_LETTER, _LINE = 7.0, 14.0  # width of a letter and height of a line of text, in pixels
_MOST_TICKS = 9  # of a logarithmic axis
_LEAST = 1e-300  # of an axis: smaller numbers cannot be divided, and may be in anybody's records
_TICK = 48.0  # pixels between ticks that are given, at least


@dataclass(frozen=True)
class Point:
    """A point at (x, y), both positive, with the interval of y."""

    x: float
    y: float
    low: float
    high: float
    name: str


@dataclass(frozen=True)
class _Axis:
    """Maps numbers from ``low`` to ``high`` to pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = True

    @classmethod
    def logarithmic(cls, values: Sequence[float], start: float, end: float) -> _Axis:
        return cls(max(min(values), _LEAST) / 1.25, max(*values, _LEAST) * 1.25, start, end)

    @classmethod
    def linear(cls, values: Sequence[float], start: float, end: float) -> _Axis:
        low, high = min(values), max(values)
        return cls(low, high if high - low > _LEAST else low + max(1.0, abs(low)), start, end, log=False)

    def at(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        scale = math.log if self.log else float
        low, high = scale(self.low), scale(self.high)
        return self.start + (scale(value) - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if not self.log or self.high < 10 * self.low:
            step = _round_up((self.high - self.low) / 5)
            return [step * n for n in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks: list[float] = []
        for digits in ((1,), (1, 3), (1, 2, 5), range(1, 10)):
            ticks = [d * 10.0**n for n in decades for d in digits if self.low <= d * 10.0**n <= self.high]
            if len(ticks) >= 3:
                break
        return ticks[:: math.ceil(len(ticks) / _MOST_TICKS)]


def _round_up(step: float) -> float:
    size = 10.0 ** math.floor(math.log10(step))
    return next(size * digit for digit in (1, 2, 5, 10) if size * digit >= step)


def scatter(
    points: Sequence[Point],
    x_name: str,
    y_name: str,
    line: tuple[float, str] | None,
    title: str,
    *,
    size: tuple[int, int],
) -> Markup:
    """Draw points with whiskers on logarithmic axes, their Pareto front, and a horizontal line (y, name).

    Names stand where they cover nothing. Those of the front choose first, and those that find no room are
    left out.
    """
    wide, tall = size
    # Names may stand to the right of the frame.
    x = _Axis.logarithmic([point.x for point in points], 62, 0.87 * wide)
    heights = [end for point in points for end in (point.low, point.y, point.high) if end > 0]
    y = _Axis.logarithmic([*heights, *([line[0]] if line else [])], tall - 44, 14)
    parts = _frame(x, y, x_name, y_name)
    front = _front(points)
    path = [(x.at(point.x), y.at(point.y)) for point in front]
    lines = [Line(*one, *other) for one, other in pairwise(path)]
    lines += [Line(x.at(one.x), y.at(one.low), x.at(one.x), y.at(one.high)) for one in points]
    boxes = [_around(x.at(point.x), y.at(point.y), 7) for point in points]
    if line:
        level = y.at(line[0])
        parts.append(_path("bar", f"M{x.start} {level:.1f}H{x.end}"))
        lines.append(Line(x.start, level, x.end, level))
        if box := _beside_line(line[1], level, x, boxes, lines):
            parts.append(_text(box.left, box.bottom - 3.5, line[1], "note"))
            boxes.append(box)
    if len(front) > 1:
        parts.append(_polyline("front", path))
    dot = Markup('<g class="point{}"><title>{}</title>{}<circle cx="{:.1f}" cy="{:.1f}" r="5"/></g>')
    for point in points:
        centre = x.at(point.x), y.at(point.y)
        whisker = _path("", f"M{centre[0]:.1f} {y.at(point.low):.1f}V{y.at(point.high):.1f}")
        told = f"{point.name}: {x_name} {point.x:.3g}, {y_name} {point.y:.3g}"
        parts.append(dot.format(" best" if point in front else "", told, whisker, *centre))
    others = sorted((point for point in points if point not in front), key=lambda one: one.y)
    named = [*reversed(front), *others[: max(0, _MOST_NAMED - len(front))]]
    names = [(x.at(one.x), y.at(one.y), _cut(one.name, 40 if wide > 600 else 24)) for one in named]
    area = Box(x.start + 2, y.end, wide - 2, y.start - 2)
    for label in place(names, area=area, boxes=boxes, lines=lines):
        if label.leader:
            parts.append(_path("leader", "M{:.1f} {:.1f}L{:.1f} {:.1f}".format(*label.leader)))
        parts.append(_text(label.x, label.baseline, label.text, "name", label.anchor))
    return _svg(wide, tall, title, parts)


def _beside_line(
    text: str, level: float, x: _Axis, boxes: Sequence[Box], lines: Sequence[Line]
) -> Box | None:
    """Return where a horizontal line has room for a text, above it or below; None where it has none."""
    wide, steps = width(text), 12
    first, last = x.start + 6, x.end - width(text) - 6
    places = [
        Box(left, top, left + wide, top + _LINE)
        for step in range(steps + 1)
        for top in (level - _LINE - 2, level + 3)
        for left in (first + (last - first) * step / steps,)
    ]
    return next((one for one in places if free(one, boxes, lines)), None)


def _around(x: float, y: float, radius: float) -> Box:
    return Box(x - radius, y - radius, x + radius, y + radius)


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _front(points: Sequence[Point]) -> list[Point]:
    """Return the Pareto front: points that no other beats in both x and y, from left to right."""
    front: list[Point] = []
    for point in sorted(points, key=lambda one: (one.x, one.y)):
        if not front or point.y < front[-1].y:
            front.append(point)
    return front


@dataclass(frozen=True)
class ShareLine:
    """A row on several shares of the training images: its points, from left to right, all of one name.

    ``law`` are points (x, y, low, high) of the law fitted to them, or none; ``model`` is false for a row
    without a model.
    """

    points: Sequence[Point]
    law: Sequence[tuple[float, float, float, float]]
    best: bool
    model: bool


def shares(lines: Sequence[ShareLine], title: str) -> Markup:
    """Draw the error of rows against the number of training images, and the laws fitted to it.

    A law is dashed where it goes beyond the points; that of the best row has its interval as a band, cut off
    at the ends of the axis.
    """
    points = [point for line in lines for point in line.points]
    across = [point.x for point in points] + [x for line in lines for x, *_ in line.law]
    heights = [end for point in points for end in (point.low, point.y, point.high)]
    heights += [y for line in lines for _, y, *_ in line.law]
    x = _Axis.logarithmic(across, 62, 640)
    y = _Axis.logarithmic([height for height in heights if height > 0], 396, 14)
    ticks: list[float] = []
    for size in sorted({point.x for point in points} | {max(across)}, reverse=True):
        if not ticks or x.at(ticks[-1]) - x.at(size) > _TICK:
            ticks.append(size)
    parts = _frame(x, y, "training images", "test MSE", ticks)
    for line in sorted(lines, key=lambda line: (line.best, line.model)):
        kind = "share best" if line.best else "share" if line.model else "share simple"
        parts.append(Markup('<g class="{}">{}</g>').format(kind, Markup("").join(_share_line(line, x, y))))
    ends = [
        (y.at(line.law[-1][1] if line.law else line.points[-1].y), line.points[-1].name) for line in lines
    ]
    return _svg(860, 440, title, parts + _beside(ends[:_BESIDE], x.at(max(across)) + 10))


def _share_line(line: ShareLine, x: _Axis, y: _Axis) -> list[Markup]:
    parts = []
    if line.best and line.law:
        upper = [(x.at(at), y.at(high)) for at, _, _, high in line.law]
        lower = [(x.at(at), y.at(low)) for at, _, low, _ in line.law]
        corners = "L".join(f"{left:.1f} {top:.1f}" for left, top in [*upper, *reversed(lower)])
        parts.append(_path("band", f"M{corners}Z"))
    last = line.points[-1].x
    levels = [(at, level) for at, level, *_ in line.law] or [(point.x, point.y) for point in line.points]
    for kind, part in (
        ("law", [one for one in levels if one[0] <= last]),
        ("law beyond", [one for one in levels if one[0] >= last]),
    ):
        if len(part) > 1:
            path = [(x.at(at), y.at(level)) for at, level in part]
            parts.append(_polyline(kind, path, line.points[0].name))
    dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>')
    for point in line.points:
        at, level = x.at(point.x), y.at(point.y)
        if line.model:
            parts.append(_path("", f"M{at:.1f} {y.at(point.low):.1f}V{y.at(point.high):.1f}"))
        told = f"{point.name}: {point.x:,.0f} training images, test MSE {point.y:.3g}"
        parts.append(dot.format(at, level, 5 if line.model else 3, told))
    return parts


def _beside(ends: Sequence[tuple[float, str]], start: float) -> list[Markup]:
    """Write names to the right of the lines that end at their levels, moved down where they would overlap."""
    parts: list[Markup] = []
    level = -_LINE
    most = int((860 - start) / _LETTER)
    for end, name in sorted(ends):
        level = max(end + 4, level + _LINE)
        parts.append(_text(start, level, _cut(name, most), "name"))
    return parts


Errors = Sequence[float | None]


def curves(runs: Sequence[tuple[str, Errors, Errors]], title: str) -> Markup | None:
    """Draw each run's (name, train errors, val errors) after each epoch, where they are known.

    None where none is.
    """
    values = [value for _, train, val in runs for value in (*train, *val) if value]
    if not values:
        return None
    x = _Axis.linear([1, max(len(val) for _, _, val in runs)], 62, 408)
    y = _Axis.logarithmic(values, 210, 12)
    parts = _frame(x, y, "epoch", "MSE")
    for name, train, val in runs:
        for kind, errors in (("train", train), ("val", val)):
            path = [(x.at(epoch), y.at(error)) for epoch, error in enumerate(errors, 1) if error]
            parts.append(_polyline(kind, path, f"{name}, {kind}"))
    return _svg(420, 250, title, parts)


def bars(bins: Sequence[tuple[float, float, float]], x_name: str, title: str) -> Markup:
    """Draw a bar (from, to, height) for each bin of a range."""
    x = _Axis.linear([end for low, high, _ in bins for end in (low, high)], 62, 408)
    y = _Axis.linear([0, max(tall for *_, tall in bins)], 210, 12)
    parts = _frame(x, y, x_name, "RMSE")
    bar = Markup(
        '<rect class="fill" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
    )
    for low, high, tall in bins:
        left, top, wide = x.at(low) + 1, y.at(tall), max(1.0, x.at(high) - x.at(low) - 2)
        told = f"{x_name} {low:.3g} to {high:.3g}: RMSE {tall:.3g}"
        parts.append(bar.format(left, top, wide, y.start - top, told))
    return _svg(420, 250, title, parts)


class Cloud(NamedTuple):
    """A plot of truth against prediction, and a sentence on what its marks are."""

    plot: Markup
    told: str


def truth(truth: np.ndarray, prediction: np.ndarray, name: str, title: str, told: str) -> Cloud:
    """Draw the prediction of a target over its truth, float64 (N,) each, with the line where they are equal.

    Each image is a dot. More than `MOST_DOTS` are counted in squares. ``told`` is for those who cannot see.
    """
    low, high = float(truth.min()), float(truth.max())
    margin = (high - low or 1.0) / 8
    x = _Axis.linear([low - margin / 2, high + margin / 2], 62, 408)
    y = _Axis.linear([low - margin, high + margin], 210, 12)
    parts = _frame(x, y, f"true {name}", "predicted")
    ends = x.low, x.high
    line = [(x.at(end), y.at(end)) for end in ends]
    parts.append(_polyline("identity", line, "prediction = truth"))
    beyond = int(((prediction < y.low) | (prediction > y.high)).sum())
    places = np.array([(x.at(one), y.at(other)) for one, other in zip(truth, prediction, strict=True)])
    if len(truth) > MOST_DOTS:
        parts += _squares(places, x, y)
        marks = f"Each square counts images: the darker, the more of the {len(truth):,}."
    else:
        parts.append(_path("dots", _dots(places)))
        marks = "Each dot is an image."
    if beyond:
        marks += f" {beyond:,} predicted far outside of the true range: on the upper or lower edge."
    return Cloud(_svg(420, 250, title, parts, told), marks)


def _dots(places: np.ndarray) -> str:
    """Return a path with a dot for each of several places, int (N, 2) when rounded; equal ones count once."""
    at = np.unique(np.rint(places).astype(int), axis=0)
    steps = np.diff(at, axis=0, prepend=[[0, 0]])
    return "".join(f"m{right} {down}h0" for right, down in steps)


def _squares(places: np.ndarray, x: _Axis, y: _Axis) -> list[Markup]:
    """Draw a square where there are images, in one of four shades for their number."""
    at, counts = np.unique(
        np.floor((places - [x.start, y.end]) / _SQUARE).astype(int), axis=0, return_counts=True
    )
    shades = np.ceil(4 * np.log1p(counts) / math.log1p(counts.max())).astype(int)
    size = f"h{_SQUARE}v{_SQUARE}h-{_SQUARE}z"
    return [
        _path(
            f"shade-{shade}",
            "".join(
                f"M{x.start + right * _SQUARE:.0f} {y.end + down * _SQUARE:.0f}{size}"
                for right, down in at[shades == shade]
            ),
        )
        for shade in range(1, 5)
        if (shades == shade).any()
    ]


def whisker(low: float, middle: float, high: float, every: Sequence[float], *, log: bool = True) -> Markup:
    """Draw an interval as a line with a dot; the axis holds ``every`` end, all positive if it is ``log``."""
    axis = (_Axis.logarithmic if log else _Axis.linear)(every, 4, 96)
    return Markup(
        '<svg class="whisker" viewBox="0 0 100 12" width="100" height="12" aria-hidden="true">'
        '<path d="M{:.1f} 6H{:.1f}"/><circle cx="{:.1f}" cy="6" r="3.5"/></svg>'
    ).format(axis.at(low), axis.at(high), axis.at(middle))


def _frame(x: _Axis, y: _Axis, x_name: str, y_name: str, x_ticks: Sequence[float] = ()) -> list[Markup]:
    """Draw ticks, grid and names of two axes."""
    parts = []
    for tick in x_ticks or x.ticks():
        parts.append(_path("grid", f"M{x.at(tick):.1f} {y.start}V{y.end}"))
        parts.append(_text(x.at(tick), y.start + 16, _number(tick), "", "middle"))
    for tick in y.ticks():
        parts.append(_path("grid", f"M{x.start} {y.at(tick):.1f}H{x.end}"))
        parts.append(_text(x.start - 6, y.at(tick) + 4, _number(tick), "", "end"))
    parts.append(_text((x.start + x.end) / 2, y.start + 34, x_name, "axis", "middle"))
    turned = Markup(
        '<text class="axis" transform="translate(13 {:.1f}) rotate(-90)" text-anchor="middle">{}</text>'
    )
    return [*parts, turned.format((y.start + y.end) / 2, y_name)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e5 else f"{value:.3g}"


def _path(kind: str, path: str) -> Markup:
    return Markup('<path class="{}" d="{}"/>').format(kind, path)


def _polyline(kind: str, points: Sequence[tuple[float, float]], title: str = "") -> Markup:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline class="{}" points="{}"><title>{}</title></polyline>').format(kind, path, title)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, text
    )


def _svg(width: int, height: int, title: str, parts: Sequence[Markup], told: str = "") -> Markup:
    described = [Markup("<desc>{}</desc>").format(told)] if told else []
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, title, Markup("").join([*described, *parts])
    )
