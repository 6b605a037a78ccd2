"""Text that anybody wrote does nothing but be read, wherever it leaves."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quadzoo.report.markdown import escaped
from quadzoo.report.tables import _cell, to_csv
from quadzoo.report.text import apart, json_text, one_line, printable, share_text, short

from .records import board_of, record

ESCAPES = [
    "\x1b[2J",  # clears the screen
    "\x1b]0;owned\x07",  # names the window
    "\x9b31m",  # the same as ESC [, in one character
    "\x08\x08\x08",
    "a\rb",
    "\u202egnp.exe",  # turns the text around
    "\u2066x\u2069",
    "line\u2028separator",
    "\x00",
    "\x7f",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_nothing_acts_on_a_terminal(text: str) -> None:
    for shown in (printable(text), one_line(text, 80), escaped(text), json_text({text: text})):
        assert not any(letter in shown for letter in "\x1b\x9b\x07\x08\r\u202e\u2066\u2069\u2028\x00\x7f")
    assert json.loads(json_text({text: text})) == {text: text}


@pytest.mark.parametrize("text", ["naïve · größe", "身長", "می‌خواهم", "👩‍🔬", "a\nb", "1 234", "ŷ=½"])
def test_other_scripts_stay(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "![seen](https://example.org/pixel.png)", "[click](javascript:alert(1))", "<img src=x onerror=f()>",
        "a | b", "`code`", "**bold**", "*it*", "__dunder__", "_it_", "# heading", "> quote", "- item",
        "&lt;script&gt;", "back\\slash", "[x]: https://example.org", "1 * 2 * 3", "efficientnet_b0", "a\\|b",
    ],
)  # fmt: skip
def test_markdown_shows_what_was_written(text: str) -> None:
    """As a renderer of GitHub's dialect, in a paragraph and in a cell: the same letters, and no element."""
    markdown_it = pytest.importorskip("markdown_it")
    renderer = markdown_it.MarkdownIt("commonmark").enable("table")
    for document in (escaped(text), f"| head |\n| --- |\n| {escaped(text)} |"):
        tokens = [one for token in renderer.parse(document) for one in (token, *(token.children or []))]
        acting = {"link_open", "image", "code_inline", "html_inline", "html_block", "strong_open", "em_open",
                  "heading_open", "blockquote_open", "bullet_list_open"}  # fmt: skip
        assert not acting & {token.type for token in tokens}
        shown = [
            "".join(one.content for one in token.children or [])
            for token in tokens if token.type == "inline" and token.content != "head"
        ]  # fmt: skip
        assert shown == [text]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-cmd", "@SUM(A1)", " =1", "=cmd|' /C calc'!A0"])
def test_no_cell_is_calculated(text: str) -> None:
    assert str(_cell(text)).startswith("'")


@pytest.mark.parametrize("value", ["-", "resnet50", "a=b", "", None, -0.5, 3])
def test_other_cells_stay(value: object) -> None:
    assert _cell(value) == value


def test_a_leaderboard_of_hostile_names(tmp_path: Path) -> None:
    board = board_of(tmp_path, record("1", 0.01, backbone="=HYPERLINK(1)\x1b[2J", head="[x](y)"))
    first = next(csv.DictReader(io.StringIO(to_csv([board]))))
    assert first["backbone"] == "'=HYPERLINK(1)\ufffd[2J"


def test_the_command_line(discs: Path, tmp_path: Path, quadzoo: Callable[..., Any]) -> None:
    name = "bad\x1b[31mname"
    result = quadzoo(
        "bench", "--backbones", name, "--data", discs / "discs.csv", "--images", discs / "photos"
    )
    assert result.status == 2
    assert "\x1b" not in result.err
    table = tmp_path / "t.csv"
    table.write_text((discs / "discs.csv").read_text().replace("radius", "r\x1b[2Jadius"))
    result = quadzoo("data", "check", table, "--images", discs / "photos")
    assert "\x1b" not in result.out + result.err


def test_rich_markup_is_text(discs: Path, quadzoo: Callable[..., Any], tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text((discs / "discs.csv").read_text().replace("radius", "[red]radius[/red]"))
    result = quadzoo("data", "check", table, "--images", discs / "photos")
    assert "[red]radius[/red]" in result.out


def test_a_long_value_does_not_hide_what_to_do() -> None:
    line = one_line(f"--data {'x' * 5000}: no such file; name {'y' * 70} instead", 300)
    assert len(line) < 200
    assert line.startswith(f"--data {'x' * 40}…")
    assert line.endswith("instead")
    assert one_line("y" * 70, 300) == "y" * 70
    assert one_line("a b " * 200, 10) == "a b a b a…"


def test_thousands_are_written_in_full() -> None:
    given = (0.0001234, 1.0, 12.34, 4344.0, -999_999.0, 2e7, None)
    assert [short(one) for one in given] == ["0.000123", "1", "12.3", "4,340", "-1,000,000", "2e+07", ""]


def test_figures_get_digits_until_they_differ() -> None:
    assert apart(0.0451, 0.052) == ("0.0451", "0.052")
    assert apart(0.045102, 0.045131) == ("0.0451", "0.04513")
    assert apart(0.98123, 0.98456, share_text, 2) == ("0.981", "0.985")
    assert apart(0.0451, 0.0451) == ("0.0451", "0.0451")
    assert apart(0.045_123_41, 0.045_123_42) == ("0.0451234", "0.0451234")  # six are enough
    assert apart(12_341.0, 12_349.0) == ("12,340", "12,350")
