"""Bars of a notebook: what is displayed, and how often."""

from __future__ import annotations

from typing import Any

import IPython.display
import pytest
import rich.console

from quadzoo.notebook_bars import Bar, NotebookBars
from quadzoo.progress import Display


class Cell:
    """The output of a cell: what was displayed, and the states of what is replaced."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.states: list[str] = []

    def display(self, *what: Any, display_id: bool = False, **_: Any) -> Any:
        if display_id:
            self.update(what[0])
            return self
        self.shown += what
        return None

    def update(self, what: Any) -> None:
        self.states.append(what._repr_html_())


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    found = Cell()
    monkeypatch.setattr(IPython.display, "display", found.display)
    return found


def test_bars_are_replaced_and_go(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.0, 10.1, 10.2, 20.0, 20.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    bars: list[Bar] = []
    shown = NotebookBars(lambda: bars)
    shown.refresh()  # before it begins
    shown.start()
    for share in (0.25, 0.3, 0.35, 0.5):
        bars[:] = [Bar("<net>", share, "val MSE 1")]
        shown.refresh()
    shown.stop()
    first, second = (
        f'<div><progress max="1" value="{share:.3f}"></progress> &lt;net&gt; {share:.0%} val MSE 1</div>'
        for share in (0.25, 0.5)
    )
    assert cell.states == ["", first, second, ""]


def test_a_display_in_a_notebook(cell: Cell, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    with Display() as display:
        advance = display.counting("decoding images", 4)
        advance(1)
        display.note("a <line>")
    assert "decoding images 25%" in cell.states[1]
    assert cell.states[-1] == ""
    (line,) = cell.shown
    assert line.text == "quadzoo: a <line>\n"
    assert "quadzoo: a &lt;line&gt;" in line.html
    assert capsys.readouterr() == ("", "")


def test_a_display_elsewhere_has_no_cell(cell: Cell) -> None:
    with Display() as display:
        display.counting("decoding images", 4)(1)
    assert cell.states == []
