"""What ends a command with one line instead of a traceback: input, and what the system refuses."""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
from contextlib import suppress
from typing import TextIO

import click

from quadzoo.cli.output import tell
from quadzoo.errors import NO_SPACE, ClusterLost, StorageError, reason_of
from quadzoo.storage import has_current_folder
from quadzoo.system import open_standard_files

_ESCAPES = "quadzoo-escapes"


def complain(error: Exception) -> int:
    """Print an error of the input, or of the system, in one line; return the exit status."""
    if isinstance(error, OSError):
        return _of_the_system(error)
    text = error.format_message() if isinstance(error, click.ClickException) else str(error)
    return _print(text, 1 if isinstance(error, StorageError | ClusterLost) else 2)


def open_streams() -> None:
    """Have standard streams that were closed before this process began lead nowhere: Python has none then."""
    open_standard_files()
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115  # as long as the process
            setattr(sys, name, stream)


def write_any_text() -> None:
    """Have stdout and stderr write as JSON does what their encoding lacks: right in JSON, else readable."""
    codecs.register_error(_ESCAPES, _escaped)
    for stream in (sys.stdout, sys.stderr):
        # Others are closed, or a program has replaced them.
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors=_ESCAPES)


def _of_the_system(error: OSError) -> int:
    if isinstance(error.__context__, KeyboardInterrupt):  # click tells of it; the terminal may be closed
        return 130
    if isinstance(error, FileNotFoundError) and not has_current_folder():
        return _print("the current folder does not exist any more; change to another", 2)
    status = 1 if error.errno in NO_SPACE else 2
    if error.filename is not None:
        return _print(reason_of(error), status)
    _drop(sys.stdout)
    if isinstance(error, BrokenPipeError):  # whoever read has read enough, as `head` does
        return 1
    return _print(f"output cannot be written: {reason_of(error)}", status)


def _print(text: str, status: int) -> int:
    try:
        tell(f"error: {text}")
    except OSError:  # stderr may be closed, or on a full disk
        _drop(sys.stderr)
    return status


def _drop(stream: TextIO | None) -> None:
    """Let what a stream still holds go nowhere: Python would fail with it at its end."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
