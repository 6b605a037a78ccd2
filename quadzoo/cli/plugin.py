"""quadzoo plugin: write a new plugin project, and check a plugin."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quadzoo.cli.options import plugin_option
from quadzoo.cli.output import say, say_json

if TYPE_CHECKING:
    from quadzoo.testing.checking import Subject, Verdict

_MANY = 100  # checking all of timm takes hours


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def plugin() -> None:
    """Write a new plugin, or check one.

    docs/write-a-plugin.md shows all steps.
    """


@plugin.command()
@click.argument("name")
def new(name: str) -> None:
    """Write a new plugin project.

    The folder quadzoo-NAME gets a small, complete project: a backbone, a head, tests and CI.
    """
    from quadzoo.scaffold import write_project

    project = write_project(name, Path())
    say(f"{project}: install it with `pip install ./{project}`")


@plugin.command()
@click.argument("name", required=False)
@plugin_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="Time limit for one rule.",
)
@click.option("--all", "everything", is_flag=True, help="Check all, even if there are more than 100.")
@click.option("--json", "as_json", is_flag=True, help="Print all results as JSON.")
def check(name: str | None, plugin: tuple[Path, ...], timeout: float, everything: bool, as_json: bool) -> int:
    """Check a plugin against the rules.

    NAME is a distribution, a plugin, a backbone or a head; with --plugin it may be left out. Each backbone
    and head runs in its own process, so that a crash affects no other. Exit status 1 if a rule is broken.
    docs/plugin-api.md lists the rules.
    """
    from quadzoo.executors.local import LocalExecutor
    from quadzoo.grid.config import LONGEST_TIMEOUT
    from quadzoo.progress import Display
    from quadzoo.registry import additions
    from quadzoo.registry.catalogue import load
    from quadzoo.testing.checking import subjects_of, verdicts

    if not math.isfinite(timeout):
        raise click.BadParameter(f"{timeout}: say a number of seconds", param_hint="--timeout")
    if not name and len(plugin) != 1:
        raise click.UsageError("say what to check: a NAME, or one --plugin FILE.py")
    if not timeout <= LONGEST_TIMEOUT:
        raise click.UsageError(f"--timeout {timeout}: give at most {LONGEST_TIMEOUT:,} seconds")
    additions.use(plugin)
    catalogue = load()
    plugins, subjects = subjects_of(name or plugin[0].stem, catalogue)
    failures = [f"{one} cannot be loaded: {one.failure}" for one in plugins if one.failure]
    if len(subjects) > _MANY and not everything:
        described = {name for name, entry in catalogue.backbones if entry.spec.description}
        subjects = [one for one in subjects if one.kind == "head" or one.name in described]
    executor, found = LocalExecutor(), []
    with Display() as display:
        advance = display.counting("checking", len(subjects))
        for subject in subjects:
            verdicts_of_one = list(verdicts(subject, executor, timeout))
            found += verdicts_of_one
            advance(1)
            if not as_json:
                _print(subject, verdicts_of_one)
    if as_json:
        told = {"plugins": failures, "verdicts": [asdict(one) for one in found]}
        say_json(told)
    else:
        for failure in failures:
            say(failure)
    return 1 if failures or any(one.broken for one in found) else 0


def _print(subject: Subject, found: list[Verdict]) -> None:
    broken = [one for one in found if one.broken]
    kept = len(found) - len(broken)
    and_broken = f", {len(broken)} broken" if broken else ""
    say(f"{subject.kind} {subject.name}: {kept} rules kept{and_broken}")
    for one in broken:
        say(f"  {one.broken}")
