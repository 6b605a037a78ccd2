"""quadzoo report and verify: make leaderboards from records, and check records."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quadzoo.cli.options import Metric, metric_option, names
from quadzoo.cli.output import say, say_json, tell
from quadzoo.errors import ConfigError, DataError, unwritable

if TYPE_CHECKING:
    from quadzoo.report.verify import Verdict


def _predictors(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, Path]:
    """Return the files of outside predictors by name."""
    found: dict[str, Path] = {}
    for value in values:
        name, separator, path = value.partition("=")
        if not (name and separator and path):
            raise click.BadParameter(f"{value!r}: give NAME=FILE.csv, such as ocr=ocr.csv")
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice; give each predictor its own name")
        found[name] = Path(path)
    return found


def _check_folders(folders: Sequence[Path]) -> None:
    """Raise DataError for what is no results folder."""
    for folder in folders:
        if not os.path.isdir(folder / "runs"):
            raise DataError(f"{folder}: no results folder (it has no runs/); give what --out named")


@click.command(short_help="Make a leaderboard from results folders.")
@click.argument("folders", metavar="OUT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "formats",
    callback=names,
    metavar="A,B,...",
    default="html,md,csv,json",
    show_default=True,
    help="Files to write.",
)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder to write them to.  [default: the first OUT]",
)
@click.option(
    "--external",
    multiple=True,
    callback=_predictors,
    metavar="NAME=FILE.csv",
    help="Add a row for another reader, such as OCR, a language model or a person. The file has the targets "
    "and a column id, or another that names the images; a test image it lacks counts with the mean error of "
    "mean-of-train. May be repeated.",
)
@metric_option
@click.option("--json", "as_json", is_flag=True, help="Print the leaderboards as JSON.")
def report(
    folders: tuple[Path, ...],
    *,
    formats: tuple[str, ...],
    to: Path | None,
    external: dict[str, Path],
    metric: Metric,
    as_json: bool,
) -> int:
    """Make a leaderboard from one or more results folders.

    Nothing is trained. If a run is in several folders, the newest successful one counts. Each data set and
    each split has its own table. Runs that cannot be read are named and left out; the exit status is then 1.
    Of the folder of a suite, leaderboard-suite is made, over its data sets.

    \b
    quadzoo report results
    quadzoo report mine yours --to both
    quadzoo report results --external ocr=ocr.csv
    """
    from quadzoo.cli.display import print_leaderboards
    from quadzoo.records.suite import is_suite
    from quadzoo.report.external import with_external
    from quadzoo.report.files import FORMATS, dropped, reporting, write_report
    from quadzoo.report.leaderboard import leaderboards
    from quadzoo.report.results import read_runs
    from quadzoo.report.tables import to_json

    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ConfigError(f"--format {unknown[0]}: choose from {', '.join(FORMATS)}")
    suites = [folder for folder in folders if is_suite(folder)]
    if suites:
        if len(folders) > 1:
            raise ConfigError(f"{suites[0]}: it holds a suite; give it alone, or the folders of its sets")
        if external:
            raise ConfigError(f"--external: {suites[0]} holds a suite; give the folder of one of its sets")
        from quadzoo.cli.suite import report_suite

        return report_suite(suites[0], formats, to, as_json)
    _check_folders(folders)
    try:
        with reporting(to or folders[0]):
            results = read_runs(folders)
            found = leaderboards(results.runs, results.unreadable, results.answers)
            boards, warnings = with_external(found, results.runs, external, results.answers)
            if gone := dropped(to or folders[0], boards):
                warnings.append(gone)
            paths = write_report(to or folders[0], boards, results, formats)
    except OSError as error:
        if to:
            raise unwritable(f"--to {to}", error, "name a folder to write to") from error
        place = error.filename2 or folders[0]
        raise unwritable(str(place), error, "name another folder to write to with --to") from error
    for text in warnings:
        tell(f"warning: {text}")
    for bad in results.unreadable:
        tell(f"warning: run {bad.key} left out: {bad.reason}")
    if as_json:
        click.echo(to_json(boards, results.conflicts, results.unreadable), nl=False)
    else:
        print_leaderboards(boards, metric)
    say(f"quadzoo: {', '.join(map(str, paths))}", err=True)
    return 1 if len(results.unreadable) > len(results.conflicts) else 0


@click.command(short_help="Check a results folder for errors.")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--no-weights", is_flag=True, help="Accept missing weights, in a folder that was published without them."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(out: Path, no_weights: bool, as_json: bool) -> int:
    """Check a results folder for errors.

    Computes every metric of runs and baselines again from the stored predictions, every key from its record,
    the SHA-256 of every file, what predictions tell of leaks, and from the records the leaderboard's csv and
    json, ensembles included, and the rows of its md and html, but not the sentences around them. Of the
    folder of a suite, each set is checked, but not leaderboard-suite. Exit status 1 if something does not
    match.
    """
    from quadzoo.records.suite import is_suite
    from quadzoo.report.verify import verify as check
    from quadzoo.report.verify import verify_suite

    if os.path.isdir(out / "runs") or not is_suite(out):
        verdict = check(out, weights=not no_weights)
        if as_json:
            say_json(verdict.model_dump())
        else:
            _say(verdict)
        return 1 if verdict.faults else 0
    verdicts = verify_suite(out, weights=not no_weights)
    if as_json:
        say_json({"sets": {name: verdict.model_dump() for name, verdict in verdicts.items()}})
    else:
        for name, verdict in verdicts.items():
            _say(verdict, f"{name}: ")
    return 1 if any(verdict.faults for verdict in verdicts.values()) else 0


def _say(verdict: Verdict, of: str = "") -> None:
    for fault in verdict.faults:
        say(f"{of}{fault.where}: {fault.text}")
    for row in verdict.not_checked:
        say(f"{of}{row}: not checked, since the file of an outside predictor is not kept here")
    found = f"{len(verdict.faults)} do not match" if verdict.faults else "all match"
    runs = f"{verdict.runs} run{'s' * (verdict.runs != 1)}, {verdict.ok} of them with status ok"
    say(f"{of}{runs}, {verdict.files} files: {found}")
