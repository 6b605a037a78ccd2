"""Where texts leave for a terminal."""

from __future__ import annotations

import click

from quadzoo.report.text import json_text, printable


def say(text: str = "", *, err: bool = False) -> None:
    """Print a text, whoever it is from; on a terminal it does nothing but be read."""
    click.echo(printable(text), err=err)


def say_json(document: object) -> None:
    """Print one JSON document on stdout."""
    click.echo(json_text(document))
