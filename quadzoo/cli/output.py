"""Where texts leave for a terminal."""

from __future__ import annotations

import click

from quadzoo.cli.options import with_flags
from quadzoo.report.text import json_text, one_line, printable

_LONGEST = 300  # characters of a line


def say(text: str = "", *, err: bool = False) -> None:
    """Print a text, whoever it is from; on a terminal it does nothing but be read."""
    click.echo(printable(text), err=err)


def tell(text: str) -> None:
    """Print a message of the program on stderr, in one line; parameters are written as flags."""
    say(one_line(f"quadzoo: {with_flags(text)}", _LONGEST), err=True)


def say_json(document: object) -> None:
    """Print one JSON document on stdout."""
    click.echo(json_text(document))
