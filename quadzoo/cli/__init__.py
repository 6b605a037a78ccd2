"""The command line. Each command has its own file: parse, call the API, print. Heavy imports are inside."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from quadzoo import __version__
from quadzoo.cli.bench import bench
from quadzoo.cli.data import data
from quadzoo.cli.export import export
from quadzoo.cli.failures import complain, open_streams, write_any_text
from quadzoo.cli.list import list_
from quadzoo.cli.output import say
from quadzoo.cli.plugin import plugin
from quadzoo.cli.predict import predict
from quadzoo.cli.report import report, verify
from quadzoo.errors import ConfigError, QuadzooError
from quadzoo.grid.interrupts import Interrupts
from quadzoo.system import end_within, end_without_teardown

_PATIENCE = 5.0  # seconds for threads and exit hooks that plugins have left behind


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(__version__, prog_name="quadzoo")
@click.pass_context
def cli(context: click.Context) -> int:
    """Which backbone should read numbers off my images?

    quadzoo trains networks on your images and compares them in a leaderboard. Start with these commands:

    \b
    quadzoo data check my.csv --images photos
    quadzoo bench --data my.csv --images photos --targets age --id-column file
    quadzoo report results
    quadzoo predict best new-photos

    The exit status is 0 if everything worked, 1 if a run that it made failed or a check found errors, 2 for
    bad input, and 130 after an interrupt.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        return 2
    return 0


cli.add_command(bench)
cli.add_command(data)
cli.add_command(export)
cli.add_command(list_)
cli.add_command(plugin)
cli.add_command(predict)
cli.add_command(report)
cli.add_command(verify)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 all done, 1 a run failed, 2 bad input, 130 interrupted."""
    open_streams()
    write_any_text()
    with Interrupts(to_the_end=True):
        status = _status(arguments)
    if arguments is None:  # else it is a part of another program
        end_within(_PATIENCE, status)
        end_without_teardown(status)
    sys.exit(status)


def _status(arguments: list[str] | None) -> int:
    try:
        _check_filled(sys.argv[1:] if arguments is None else arguments)
        status = cli.main(arguments, prog_name="quadzoo", standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except (click.ClickException, QuadzooError, OSError) as error:
        return complain(error)
    except (click.Abort, KeyboardInterrupt) as stop:
        if isinstance(stop.__cause__, EOFError):  # click takes the end of any file for that of the keyboard
            raise stop.__cause__ from None
        given = sys.argv[1:] if arguments is None else arguments
        goes_on = given[:1] == ["bench"] and "--force" not in given
        kept = "; what is finished is kept, and the same command continues from here" * goes_on
        with suppress(OSError):  # the terminal may be closed
            say(f"quadzoo: interrupted{kept}", err=True)
        return 130
    return status if isinstance(status, int) else 0


def _check_filled(arguments: Sequence[str]) -> None:
    """Raise ConfigError for an argument without text, as of a shell's variable that is not set.

    As a path it would be the current folder, and as a name it would ask for nothing.
    """
    for before, one in zip(("", *arguments), arguments, strict=False):
        if not one or (one.startswith("--") and one.endswith("=")):
            who = one[:-1] or (before if before.startswith("--") else "an argument")
            raise ConfigError(f"{who}: its value is empty; write one, or leave it out")
