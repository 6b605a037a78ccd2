"""Numbers and names as short texts for people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

# Controls but the line feed, surrogates, line separators, and what turns the direction of a text.
_HARMFUL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_NAMED = 6  # in a sentence
_MILLION = 1e6
_LONG_WORD = 60  # characters
_MOST_DIGITS = 6  # of figures that are held against each other


def short(value: float | None, digits: int = 3) -> str:
    """Return three significant digits, or as many as are asked for, of thousands without an exponent."""
    if value is None:
        return ""
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e" in text and 1 <= abs(value) < _MILLION else text


def readable(value: float) -> str:
    """Return whole numbers in full, others with three significant digits."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e12 else f"{value:.3g}"


def share_text(value: float, digits: int = 2) -> str:
    """Return a coefficient of determination."""
    return f"{value:.{digits}f}" if value > -100 else f"{value:.3g}"


def apart(
    one: float | None, other: float | None, text: Callable[[Any, int], str] = short, fewest: int = 3
) -> tuple[str, str]:
    """Return two figures that are held against each other, with more digits where they would look equal.

    ``text`` writes a figure with so many digits: from ``fewest`` on, up to six.
    """
    for digits in range(fewest, _MOST_DIGITS + 1):
        written = text(one, digits), text(other, digits)
        if one == other or written[0] != written[1]:
            break
    return written


def whole(value: float | None) -> str:
    """Return a whole number."""
    return "" if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """Return a share as a percentage."""
    return "" if value is None else f"{value:.1%}"


def p_value_text(value: float) -> str:
    """Return a p-value with two significant digits."""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def millions(value: float | None) -> str:
    """Return a count in millions."""
    return "" if value is None else f"{value / 1e6:.1f} M"


def milliseconds(value: float | None) -> str:
    """Return a time in ms."""
    return "" if value is None else f"{value:.1f} ms"


def seconds(value: float | None) -> str:
    """Return a time in whole seconds."""
    return "" if value is None else f"{value:,.0f} s"


def duration(value: float) -> str:
    """Return a time in seconds as what can be said of an estimate: "20 s", "3 min", "1.5 h", "2 days"."""
    minutes = value / 60
    if value < 55:
        return f"{10 * max(1, round(value / 10))} s"
    if minutes < 9.5:
        return f"{max(1, round(minutes))} min"
    if minutes < 57.5:
        return f"{5 * round(minutes / 5)} min"
    hours = minutes / 60
    if hours < 47:
        return f"{round(2 * hours) / 2 if hours < 10 else round(hours):g} h"
    return f"{round(hours / 24):g} days"


def listed(names: Sequence[str], between: str = ", ") -> str:
    """Return names in a sentence; where there are many, how many more."""
    more = len(names) - _NAMED
    if more > 1:
        return f"{between.join(names[:_NAMED])} and {more} more"
    last = " and " if between == ", " else between
    return last.join(part for part in (between.join(names[:-1]), *names[-1:]) if part)


def printable(text: str) -> str:
    """Return a text of anybody's with U+FFFD for what a terminal acts on, and for what turns text around.

    These are control characters but the line feed, surrogates, line separators and controls of direction.
    """
    return _HARMFUL.sub("\ufffd", text)


def printable_line(text: str) -> str:
    """Return what `printable` does, and U+FFFD for line feeds, too: a name with one looks like two lines."""
    return printable(text).replace("\n", "\ufffd")


def one_line(text: str, most: int) -> str:
    """Return a text of anybody's as one line of at most ``most`` characters that are `printable`.

    Of a line that is too long, long words lose their middle first: the end mostly says what to do.
    """
    line = printable(" ".join(text.split()))
    if len(line) > most:
        line = " ".join(
            word if len(word) <= _LONG_WORD else f"{word[: _LONG_WORD - 20]}…{word[-19:]}"
            for word in line.split(" ")
        )
    return line if len(line) <= most else f"{line[: most - 1]}…"


def json_text(document: object, indent: int = 2) -> str:
    """Return JSON that is safe to print: what is not `printable` is written as its code."""
    text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    # Outside of strings JSON has no such characters, and in them a code means the same.
    return _HARMFUL.sub(lambda found: json.dumps(found[0])[1:-1], text)
