"""Helpers for several commands."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

# As quadzoo.report.board_columns has it, which imports more than a help page should wait for.
Metric = Literal["rmse", "mae", "r2"]

metric_option = click.option(
    "--metric",
    type=click.Choice(["rmse", "mae", "r2"]),
    default="rmse",
    show_default=True,
    help="What the terminal shows of each target: `rmse` also shows R². Rows are ranked by val MSE.",
)

_DIGITS = 9  # of a number of epochs, or of runs
_SHOWN = 60  # characters of a value in an error
_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)`")


class NumberOrAuto(click.ParamType):  # type: ignore[type-arg]  # generic for the type checker alone
    """A number of something, at least ``least``, or ``auto``."""

    name = "auto|N"

    def __init__(self, what: str, least: int) -> None:
        self.what, self.least = what, least

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what help pages show."""
        return self.name

    def convert(
        self, value: int | str, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Return an int or ``auto``; anything else is a usage error."""
        if value == "auto" or isinstance(value, int):
            return value
        if not value.isdecimal() or len(value) > _DIGITS or int(value) < self.least:
            told = f"{value[:20]!r}: say auto, or a number of {self.what}, {self.least} or more"
            self.fail(told, param, ctx)
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
        raise click.BadParameter(f"{value!r} has an empty name between its commas; write a,b without spaces")
    return parts


def with_targets(flags: dict[str, Any]) -> dict[str, Any]:
    """Return flags with each `--target` among the targets."""
    flags = dict(flags)
    if single := flags.pop("target", ()):
        flags["targets"] = (*(flags.get("targets") or ()), *single)
    return flags


def _band_numbers(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value[:_SHOWN]!r}: say numbers from 1, such as 4,3,2") from error


def _two_numbers(_: click.Context, __: click.Parameter, value: str | None) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        low, high = (float(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value[:_SHOWN]!r}: say two numbers, such as 0,4095") from error
    return low, high


def _together(*options: Callable[[Decorated], Decorated]) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds flags, which help shows in this order."""

    def add(command: Decorated) -> Decorated:
        for option in reversed(options):
            command = option(command)
        return command

    return add


table_options = _together(
    click.option(
        "--images",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Folder with the images of the table.  [default: the table's own folder, or one in it]",
    ),
    click.option(
        "--targets",
        callback=names,
        metavar="A,B,...",
        help="Columns of the table to predict.  [default: those that hold numbers, where that leaves no "
        "doubt]",
    ),
    click.option(
        "--target",
        multiple=True,
        metavar="NAME",
        help="A column to predict, whose name may have commas; repeat it.",
    ),
    click.option(
        "--id-column",
        metavar="NAME",
        help="Column with the names of the image files, with or without suffix.  [default: id, else one "
        "whose cells name images]",
    ),
    click.option(
        "--test-data",
        type=click.Path(path_type=Path),
        metavar="FILE.csv",
        help="A table of the test images, with the same columns. All others are then divided into train and "
        "val, 80 to 20.",
    ),
    click.option(
        "--missing-targets",
        type=click.Choice(["error", "mask"]),
        default="error",
        show_default=True,
        help="What an empty target is: an error, or nothing to learn from, so that the row counts for the "
        "targets that it has.",
    ),
    click.option(
        "--group-column",
        metavar="NAME",
        help="Rows with the same value in this column stay on one side of the split.",
    ),
)

image_options = _together(
    click.option(
        "--bands",
        callback=_band_numbers,
        metavar="4,3,2",
        help="Bands of the images to read, numbered from 1, in this order.  [default: all]",
    ),
    click.option(
        "--value-range",
        callback=_two_numbers,
        metavar="LOW,HIGH",
        help="Values of the images that become black and white.  [default: the smallest and the largest of "
        "all images; 0,255 for images of 8 bits]",
    ),
    click.option(
        "--damaged",
        type=click.Choice(["error", "skip"]),
        default="error",
        show_default=True,
        help="What an image that cannot be decoded as a whole is: an error, or left out.",
    ),
)


run_out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default="results",
    show_default=True,
    help="The results folder whose runs RUN names.",
)
plugin_option = click.option(
    "--plugin",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE.py",
    help="A plugin that is one Python file, and is run; repeat it for several.",
)


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
