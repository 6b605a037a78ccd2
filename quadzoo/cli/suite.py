"""What `quadzoo bench --suite` and `quadzoo report` do with a suite: call the API, and print."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import click

from quadzoo import api
from quadzoo.cli.display import plan_document, print_plan, print_suite
from quadzoo.cli.options import with_flags
from quadzoo.cli.output import say, say_json, tell
from quadzoo.errors import unwritable
from quadzoo.grid.plan import Plan
from quadzoo.grid.suite import total_estimate
from quadzoo.progress import Display
from quadzoo.report.suite.board import SuiteBoard
from quadzoo.report.suite.files import to_json, write_suite_report


def bench_suite(given: dict[str, Any], dry_run: bool, as_json: bool) -> int:
    """Run or plan a suite with the flags that were given; return the exit status."""
    path = given.pop("suite")
    with Display(with_flags) as display:
        if dry_run:
            plans = api.plan_suite(path, progress=display, **given)
        else:
            board = api.suite(path, progress=display, **given)
    if dry_run:
        _print_plans(plans, as_json)
        return 1 if total_estimate(plans).untimed else 0
    _print(board, as_json)
    out = given.get("out", Path("results"))
    say(
        f"quadzoo: {out / 'leaderboard-suite.html'}, .md, .csv and .json; each set's in {out / '<set>'}",
        err=True,
    )
    return 1 if display.failed or board.errors or board.unreadable else 0


def report_suite(out: Path, formats: Collection[str], to: Path | None, as_json: bool) -> int:
    """Write the leaderboard of a suite's results folder anew; return the exit status."""
    board = api.suite_leaderboard(out)
    for name, some in board.unreadable.items():
        for one in some:
            tell(f"warning: {name}: run {one.key} left out: {one.reason}")
    linked = to is None or to.resolve() == out.resolve()
    try:
        paths = write_suite_report(to or out, board, formats, linked=linked)
    except OSError as error:
        raise unwritable(f"--to {to or out}", error, "name a folder to write to") from error
    _print(board, as_json)
    say(f"quadzoo: {', '.join(map(str, paths))}", err=True)
    return 1 if board.unreadable else 0


def _print(board: SuiteBoard, as_json: bool) -> None:
    if as_json:
        click.echo(to_json(board), nl=False)
    else:
        print_suite(board)


def _print_plans(plans: Mapping[str, Plan], as_json: bool) -> None:
    estimate = total_estimate(plans)
    if as_json:
        sets = {name: plan_document(plan) for name, plan in plans.items()}
        document = {"sets": sets, "estimated_seconds": estimate.seconds, "estimate": estimate.text}
        say_json(document)
        return
    for name, plan in plans.items():
        facts = plan.data.facts
        say(f"set {name}: {facts.n:,} images, {len(plan.to_do)} of {len(plan.tasks)} runs to do")
        print_plan(plan, as_json=False)
        say()
    todo = sum(len(plan.to_do) for plan in plans.values())
    every = sum(len(plan.tasks) for plan in plans.values())
    say(with_flags(f"{len(plans)} sets: {todo} of {every} runs to do; {estimate.text}"))
