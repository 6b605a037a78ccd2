"""Numbers and names as short texts for people."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 6  # in a sentence


def short(value: float | None) -> str:
    """Return three significant digits."""
    return "" if value is None else f"{value:.3g}"


def whole(value: float | None) -> str:
    """Return a whole number."""
    return "" if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """Return a share as a percentage."""
    return "" if value is None else f"{value:.1%}"


def millions(value: float | None) -> str:
    """Return a count in millions."""
    return "" if value is None else f"{value / 1e6:.1f} M"


def milliseconds(value: float | None) -> str:
    """Return a time in ms."""
    return "" if value is None else f"{value:.1f} ms"


def seconds(value: float | None) -> str:
    """Return a time in whole seconds."""
    return "" if value is None else f"{value:,.0f} s"


def listed(names: Sequence[str]) -> str:
    """Return names in a sentence; where there are many, how many more."""
    more = len(names) - _NAMED
    if more > 1:
        return f"{', '.join(names[:_NAMED])} and {more} more"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def one_line(text: str, most: int) -> str:
    """Return a text of anybody's as one line of at most ``most`` printable characters."""
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"
