"""Where names find room in a plot: beside their points, never on a line, on a point or on each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

_HEIGHT, _GAP = 14.0, 2.0  # of a line of text, and what it keeps to both sides, in pixels
_NEAR, _LEADER = 10.0, 16.0  # distance of a name beside its point; from here on a line leads to the point
_DISTANCES = (_NEAR, 16.0, 26.0, 38.0, 54.0, 74.0, 98.0, 126.0)
_DIRECTIONS = [
    (1, 0), (-1, 0), (0.94, 0.34), (0.94, -0.34), (-0.94, 0.34), (-0.94, -0.34), (0.71, 0.71), (0.71, -0.71),
    (-0.71, 0.71), (-0.71, -0.71), (0.34, 0.94), (0.34, -0.94), (-0.34, 0.94), (-0.34, -0.94),
    (0, 1), (0, -1),
]  # fmt: skip


class Box(NamedTuple):
    """A rectangle, in pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share any area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def within(self, other: Box) -> bool:
        """Whether this lies in the other, edges included."""
        return (
            self.left >= other.left
            and self.top >= other.top
            and self.right <= other.right
            and self.bottom <= other.bottom
        )


class Line(NamedTuple):
    """A straight line between two points, in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float

    def crosses(self, box: Box) -> bool:
        """Whether any of the line lies in a box, by clipping it (Liang & Barsky 1984)."""
        x1, y1, x2, y2 = self
        left, top, right, bottom = box
        begin, end = 0.0, 1.0
        for start, step, low, high in ((x1, x2 - x1, left, right), (y1, y2 - y1, top, bottom)):
            if step == 0:
                if not low <= start <= high:
                    return False
                continue
            entering, leaving = (low - start) / step, (high - start) / step
            if step < 0:
                entering, leaving = leaving, entering
            begin, end = max(begin, entering), min(end, leaving)
            if begin > end:
                return False
        return True


class Label(NamedTuple):
    """A name in its place; ``leader`` leads from its point to it, where that is further away."""

    text: str
    box: Box
    anchor: str
    leader: Line | None

    @property
    def x(self) -> float:
        """Where the text is anchored."""
        return {
            "start": self.box.left, "end": self.box.right, "middle": (self.box.left + self.box.right) / 2
        }[self.anchor]  # fmt: skip

    @property
    def baseline(self) -> float:
        """The height of the text's baseline."""
        return self.box.bottom - 3.5


def width(text: str) -> float:
    """Return how wide a text is at most, in pixels at 12 pixels of the widest usual font (DejaVu Sans)."""
    return sum(map(_letter, text))


def _letter(letter: str) -> float:
    if letter in " .,:;|!'()[]/\\iljtfrI-":
        return 5.2
    if letter in "mwMWQO@%&—+=<>~_":
        return 12.0 if letter in "mMwW@%—" else 10.2
    return 7.8 if letter.isascii() and not letter.isupper() else 9.4 if letter.isascii() else 14.0


def free(box: Box, boxes: Sequence[Box], lines: Sequence[Line]) -> bool:
    """Whether a box has neither another one nor a line in it."""
    return not any(map(box.overlaps, boxes)) and not any(line.crosses(box) for line in lines)


def place(
    points: Sequence[tuple[float, float, str]],
    *,
    area: Box,
    boxes: Sequence[Box],
    lines: Sequence[Line],
) -> list[Label]:
    """Return names (x, y, text) of points in places of their own; those that find no room are left out.

    Earlier names choose first. None lies on any of the ``boxes``, the ``lines`` or another name, nor outside
    of the ``area``; no leader crosses a name or a box, but that of its own point.
    """
    placed: list[Label] = []
    for x, y, text in points:
        taken = [*boxes, *(_padded(one.box) for one in placed)]
        drawn = [*lines, *(one.leader for one in placed if one.leader)]
        for label in _candidates(x, y, text):
            box, leader = label.box, label.leader
            if not box.within(area) or not free(_padded(box), taken, drawn):
                continue
            if leader and any(leader.crosses(one) for one in taken if not _holds(one, x, y)):
                continue
            placed.append(label)
            break
    return placed


def _candidates(x: float, y: float, text: str) -> list[Label]:
    """Return the places that a name may have, the best first."""
    found = []
    wide = width(text)
    for distance in _DISTANCES:
        for right, down in _DIRECTIONS:
            at, level = x + right * distance, y + down * distance
            # The nearest corner or edge is at that distance.
            left = at if right > 0 else at - wide if right < 0 else at - wide / 2
            top = level - _HEIGHT / 2 + _HEIGHT / 2 * down
            anchor = "start" if right > 0 else "end" if right < 0 else "middle"
            box = Box(left, top, left + wide, top + _HEIGHT)
            leader = None
            if distance >= _LEADER:
                near = _HEIGHT / 2 * math.copysign(1, -down) if abs(down) > 0.9 else 0
                leader = Line(x, y, at - 2 * right, top + _HEIGHT / 2 + near)
            found.append(Label(text, box, anchor, leader))
    return found


def _padded(box: Box) -> Box:
    return Box(box.left - _GAP, box.top, box.right + _GAP, box.bottom)


def _holds(box: Box, x: float, y: float) -> bool:
    return box.left <= x <= box.right and box.top <= y <= box.bottom
