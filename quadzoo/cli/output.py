"""Where texts leave for a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import click

from quadzoo.cli.options import with_flags
from quadzoo.errors import ConfigError
from quadzoo.report.text import json_text, one_line, printable_line

_LONGEST = 300  # characters of a line


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line, whoever its texts are from; on a terminal it does nothing but be read."""
    click.echo(printable_line(text), err=err)


def say_wrapped(text: str) -> None:
    """Print a text on stdout, in lines as long as the terminal has columns; elsewhere it is one line."""
    lines = [text]
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        lines = textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False)
    for line in lines:
        say(line)


def tell(text: str) -> None:
    """Print a message of the program on stderr, in one line; parameters are written as flags."""
    say(one_line(f"quadzoo: {with_flags(text)}", _LONGEST), err=True)


def output_file(flag: str, file: Path, inputs: Iterable[Path]) -> Path:
    """Return the file that a command may write where a user has named ``file``; of a link what it leads to.

    Raises ConfigError, which names the ``flag``, for a folder or a device, for one of the ``inputs`` that the
    command reads, and for a file that is there in a results folder or in that of a run.
    """
    if os.path.isdir(file):
        raise ConfigError(f"`{flag}` {file}: it is a folder; name a file in it")
    if not os.path.lexists(file):
        return file
    from quadzoo.records.trained import record_file

    there = file.resolve()
    if there.exists() and not there.is_file():
        raise ConfigError(f"`{flag}` {file}: it is no regular file; name another one")
    if there in {one.resolve() for one in inputs}:
        raise ConfigError(f"`{flag}` {file}: it is read by this very command; name another file")
    if record_file(there.parent) or (there.parent / "runs").is_dir():
        raise ConfigError(f"`{flag}` {file}: it is a file of a results folder; name another one")
    return there


def say_json(document: object) -> None:
    """Print one JSON document on stdout."""
    click.echo(json_text(document))
