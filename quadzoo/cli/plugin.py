"""quadzoo plugin: begin one, check one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from quadzoo.testing.checking import Subject, Verdict

_MANY = 100  # timm's architectures take hours


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def plugin() -> None:
    """Begin a plugin, or check one.

    docs/write-a-plugin.md goes the whole way.
    """


@plugin.command()
@click.argument("name")
def new(name: str) -> None:
    """Write a small, complete plugin project to the folder quadzoo-NAME: a backbone, a head, tests, CI."""
    from quadzoo.scaffold import write_project

    project = write_project(name, Path())
    click.echo(f"{project}: install it with `pip install ./{project}`")


@plugin.command()
@click.argument("name")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300,
    show_default=True,
    help="Seconds that one rule may take.",
)
@click.option("--all", "everything", is_flag=True, help="Of more than 100, also those without a description.")
@click.option("--json", "as_json", is_flag=True, help="Print all verdicts as JSON.")
def check(name: str, timeout: float, everything: bool, as_json: bool) -> int:
    """Hold a distribution, a plugin, a backbone or a head to the rules; exit status 1 where one is broken.

    Each backbone and head runs in a process of its own, so that none of them can harm the others.
    """
    from quadzoo.executors.local import LocalExecutor
    from quadzoo.progress import Display
    from quadzoo.registry.catalogue import load
    from quadzoo.testing.checking import subjects_of, verdicts

    catalogue = load()
    plugins, subjects = subjects_of(name, catalogue)
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
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for failure in failures:
            click.echo(failure)
    return 1 if failures or any(one.broken for one in found) else 0


def _print(subject: Subject, found: list[Verdict]) -> None:
    broken = [one for one in found if one.broken]
    kept = len(found) - len(broken)
    and_broken = f", {len(broken)} broken" if broken else ""
    click.echo(f"{subject.kind} {subject.name}: {kept} rules kept{and_broken}")
    for one in broken:
        click.echo(f"  {one.broken}")
