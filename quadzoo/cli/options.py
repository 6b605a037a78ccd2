"""Helpers for several commands."""

from __future__ import annotations

import csv
import re
from functools import cache
from typing import Any, Literal

import click

# As quadzoo.report.board_columns has it, which imports more than a help page should wait for.
Metric = Literal["rmse", "mae", "r2"]

metric_option = click.option(
    "--metric",
    type=click.Choice(["rmse", "mae", "r2"]),
    default="rmse",
    show_default=True,
    help="What the terminal shows of each target: `rmse` also shows R². Rows are ranked by val MSE.",
)

_DIGITS = 9  # of a number of epochs
_SHOWN = 60  # characters of a value in an error
_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)`")


class Epochs(click.ParamType):  # type: ignore[type-arg]  # generic for the type checker alone
    """A number of epochs, 0 or more, or ``auto``."""

    name = "auto|N"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what help pages show."""
        return self.name

    def convert(
        self, value: int | str, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Return an int or ``auto``; anything else is a usage error."""
        if value == "auto" or isinstance(value, int):
            return value
        if not value.isdecimal() or len(value) > _DIGITS:
            self.fail(f"{value[:20]!r}: say auto, or a number of epochs, 0 or more", param, ctx)
        return int(value)


def names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Split at commas; a name in double quotes may hold some. Raises BadParameter for an empty name."""
    if value is None:
        return None
    try:
        parts = tuple(name.strip() for name in next(csv.reader([value], skipinitialspace=True), []))
    except csv.Error as error:
        raise click.BadParameter(f"{value[:_SHOWN]!r}: not names between commas ({error})") from error
    if not parts or not all(parts):
        raise click.BadParameter(f"{value!r} has an empty name between its commas")
    return parts


def with_targets(flags: dict[str, Any]) -> dict[str, Any]:
    """Return flags with each `--target` among the targets."""
    flags = dict(flags)
    if single := flags.pop("target", ()):
        flags["targets"] = (*(flags.get("targets") or ()), *single)
    return flags


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
