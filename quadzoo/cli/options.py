"""What several commands' options have in common."""

from __future__ import annotations

import click


def names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Split at commas; an empty name is an error."""
    if value is None:
        return None
    parts = tuple(name.strip() for name in value.split(","))
    if not all(parts):
        raise click.BadParameter(f"{value!r} has an empty name between its commas")
    return parts
