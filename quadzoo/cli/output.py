"""Where texts leave for a terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap

import click

from quadzoo.cli.options import with_flags
from quadzoo.report.text import json_text, one_line, printable

_LONGEST = 300  # characters of a line


def say(text: str = "", *, err: bool = False) -> None:
    """Print a text, whoever it is from; on a terminal it does nothing but be read."""
    click.echo(printable(text), err=err)


def say_wrapped(text: str) -> None:
    """Print a text on stdout, in lines as long as the terminal has columns; elsewhere it is one line."""
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        text = textwrap.fill(text, columns, break_long_words=False, break_on_hyphens=False)
    say(text)


def tell(text: str) -> None:
    """Print a message of the program on stderr, in one line; parameters are written as flags."""
    say(one_line(f"quadzoo: {with_flags(text)}", _LONGEST), err=True)


def say_json(document: object) -> None:
    """Print one JSON document on stdout."""
    click.echo(json_text(document))
