"""Progress bars of a notebook: HTML that is replaced as they move, without any package for widgets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, NamedTuple

_SECONDS = 0.3  # between two updates: each is a message to the browser


class Bar(NamedTuple):
    """What has a bar: how it is called, the share that is done, and what to say beside it."""

    name: str
    share: float
    text: str


class NotebookBars:
    """One output of a cell that shows bars, the newest state of them; ``bars`` are those to show now."""

    def __init__(self, bars: Callable[[], Sequence[Bar]]) -> None:
        self._bars = bars
        self._handle: Any = None
        self._last = 0.0

    def start(self) -> None:
        """Begin to show bars."""
        from IPython.display import display

        show: Any = display
        self._handle = show(_Shown(()), display_id=True)

    def refresh(self, *, now: bool = False) -> None:
        """Show the bars as they are; unless ``now``, not more often than people can see."""
        if self._handle is not None and (now or time.monotonic() - self._last > _SECONDS):
            self._last = time.monotonic()
            self._handle.update(_Shown(self._bars()))

    def stop(self) -> None:
        """Show no bars any more."""
        if self._handle is not None:
            self._handle.update(_Shown(()))
            self._handle = None


class _Shown:
    """Bars as notebooks show them, or as text where they cannot."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self._bars = bars

    def __repr__(self) -> str:
        return "\n".join(f"{bar.name}: {bar.share:.0%} {bar.text}".rstrip() for bar in self._bars)

    def _repr_html_(self) -> str:
        return "".join(
            f'<div><progress max="1" value="{bar.share:.3f}"></progress> {escape(bar.name)} '
            f"{bar.share:.0%} {escape(bar.text)}</div>"
            for bar in self._bars
        )
