"""Helpers for several commands."""

from __future__ import annotations

import re

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
    return _PARAMETER.sub(lambda match: f"--{match[1].replace('_', '-')}", text)
