"""Helpers for several commands."""

from __future__ import annotations

import re
from functools import cache

import click

_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)`")


def names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Split at commas. Raises BadParameter for an empty name."""
    if value is None:
        return None
    parts = tuple(name.strip() for name in value.split(","))
    if not all(parts):
        raise click.BadParameter(f"{value!r} has an empty name between its commas")
    return parts


def with_flags(text: str) -> str:
    """Return a message with its parameters, written `group_column`, as flags: --group-column."""
    flags = _flags()
    return _PARAMETER.sub(lambda match: flags.get(match[1], match[0]), text)


@cache
def _flags() -> dict[str, str]:
    """Return the flag of each parameter that a command has."""
    from quadzoo.cli import cli

    commands: list[click.Command] = [cli]
    flags: dict[str, str] = {}
    for command in commands:
        commands += command.commands.values() if isinstance(command, click.Group) else ()
        flags |= {
            one.name: one.opts[0] for one in command.params if isinstance(one, click.Option) and one.name
        }
    return flags
