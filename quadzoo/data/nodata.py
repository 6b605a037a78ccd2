"""Find values that probably stand for missing pixels, such as -9999."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

SENTINELS = frozenset(
    float(sign * value) for value in (9, 99, 999, 9999, 99999, 888, 8888, 777, 7777) for sign in (-1, 1)
) | {-1.0, -32768.0, 32767.0, 65535.0}
"""Values that usually stand for a missing one."""
_ENDS = frozenset({-(2.0**31), 2.0**31 - 1, 2.0**32 - 1})  # of wide integers
_HUGE = 1e20  # floating-point values beyond are made up
_FAR = 5  # times: so far an unusual value is from the others, which an object of one colour is not
_LEAST = 0.001  # of the values of an image


@dataclass(frozen=True)
class End:
    """The lowest value of an image, its share of all, and the next one: the same where that is near.

    Of the highest value, all signs are turned.
    """

    value: float
    share: float
    next: float


@dataclass(frozen=True)
class StandIn:
    """A value that may stand for missing pixels, and between which values all others lie.

    ``share`` is that of all values in ``images`` images, of which ``first`` is the position of the first.
    """

    value: float
    declared: bool
    share: float
    images: int
    first: int
    others: tuple[float, float]


def ends_of(pixels: np.ndarray, low: float, high: float, middle: tuple[float, float]) -> tuple[End, End]:
    """Return both ends of the values of pixels, (H, W) or (H, W, C), uint16, float32 or of another dtype.

    Nearly all of them lie in ``middle``.
    """
    span = middle[1] - middle[0]
    ends = []
    for value, near, sign in ((low, middle[0], 1), (high, middle[1], -1)):
        if value != near and abs(near - value) <= span:
            ends.append(End(sign * value, 0.0, sign * value))
            continue
        there = pixels == value
        others = pixels[~there]
        following = (others.min() if sign > 0 else others.max()) if len(others) else math.inf * sign
        ends.append(End(sign * value, float(there.mean()), sign * float(following)))
    return ends[0], ends[1]


def ends_of_bytes(pixels: np.ndarray) -> tuple[End, End]:
    """Return both ends of the values of pixels of 8 bits, uint8 (H, W) or (H, W, C).

    Their shares are 0: of 8 bits, only what a file declares is taken for no data.
    """
    values = np.unique(pixels).astype(np.float64)
    second, last = values[[1, -2]] if len(values) > 1 else (math.inf, -math.inf)
    return End(float(values[0]), 0.0, float(second)), End(-float(values[-1]), 0.0, -float(last))


@dataclass
class _Lowest:
    """The lowest value of several images, as of each."""

    value: float = math.inf
    next: float = math.inf
    total: float = 0.0
    most: float = 0.0
    images: int = 0
    first: int = 0

    def add(self, end: End, position: int) -> None:
        if end.value < self.value:
            self.next = min(end.next, self.value)
            self.value, self.total, self.most = end.value, end.share, end.share
            self.images, self.first = 1, position
        elif end.value == self.value:
            self.next, self.most = min(self.next, end.next), max(self.most, end.share)
            self.total, self.images = self.total + end.share, self.images + 1
        else:
            self.next = min(self.next, end.value)


@dataclass
class Ends:
    """The ends of the values of all images, and what files declare to be no data."""

    _low: _Lowest = field(default_factory=_Lowest)
    _high: _Lowest = field(default_factory=_Lowest)
    _declared: dict[float, _Lowest] = field(default_factory=dict)

    def add(self, ends: tuple[End, End], declared: End | None, position: int) -> None:
        """Take in one more image."""
        self._low.add(ends[0], position)
        self._high.add(ends[1], position)
        if declared and (declared.value in self._declared or len(self._declared) < 4):
            self._declared.setdefault(declared.value, _Lowest()).add(declared, position)

    @property
    def stand_ins(self) -> list[StandIn]:
        """What may stand for missing pixels.

        It is the lowest or the highest value, a thousandth of an image or more, and further from the others
        than these, three values or more, are from each other; an unusual one, five times as far. Or it is
        declared.
        """
        low, high = self._low.value, -self._high.value
        second, last = self._low.next, -self._high.next  # the others are between them
        few = not second < last < math.inf
        below = not few and _alone(low, second, last, self._low)
        above = not few and _alone(high, last, second, self._high)
        # One alone must be far from the other end, too.
        below &= above or _alone(low, second, high, self._low)
        above &= below or _alone(high, last, low, self._high)
        others = second if below else low, last if above else high
        found = []
        for there, value, end in ((below, low, self._low), (above, high, self._high)):
            if there:
                declared = value in self._declared
                found.append(StandIn(value, declared, end.total, end.images, end.first, others))
        for value, end in self._declared.items():
            if value not in {one.value for one in found}:
                span = second if value == low else low, last if value == high else high
                found.append(StandIn(value, True, end.total, end.images, end.first, span))
        return found


def _alone(value: float, near: float, far: float, end: _Lowest) -> bool:
    """Whether a value is much further from the others than these, from ``near`` to ``far``, are apart."""
    usual = value in SENTINELS | _ENDS or abs(value) > _HUGE
    return end.most >= _LEAST and abs(value - near) > (1 if usual else _FAR) * abs(near - far)


def declared_end(pixels: np.ndarray, declared: float | None) -> End | None:
    """Return a value that a file declares to be no data, where pixels have it.

    They are (H, W) or (H, W, C), uint16, float32 or of another dtype.
    """
    if declared is None:
        return None
    with np.errstate(over="ignore"):
        same = pixels == (pixels.dtype.type(declared) if pixels.dtype.kind == "f" else declared)
    share = float(same.mean())
    value = float(pixels[same][0]) if share else 0.0
    return End(value, share, value) if share else None
