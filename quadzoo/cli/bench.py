"""quadzoo bench: train every combination, write the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from quadzoo.cli.options import names


def _seeds(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Split at commas and read each as a whole number."""
    try:
        return tuple(int(name) for name in names(context, parameter, value) or ())
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers") from error


@click.command()
@click.option(
    "--backbones",
    callback=names,
    metavar="A,B,...",
    default="resnet50",
    show_default=True,
    help="See `quadzoo list backbones`.",
)
@click.option(
    "--heads",
    callback=names,
    metavar="A,B,...",
    default="mlp",
    show_default=True,
    help="See `quadzoo list heads`.",
)
@click.option(
    "--seeds",
    callback=_seeds,
    metavar="0,1,...",
    default="0",
    show_default=True,
    help="One run of each combination per seed.",
)
@click.option(
    "--data",
    default="quadratic",
    show_default=True,
    help="`quadratic` draws 2,000 equations; a folder in the published layout; or a CSV file.",
)
@click.option("--images", type=click.Path(path_type=Path), help="The folder of a CSV's images.")
@click.option("--targets", callback=names, metavar="A,B,...", help="The CSV's columns to predict.")
@click.option(
    "--id-column", help="The CSV's column with the images' names, with or without suffix.  [default: id]"
)
@click.option(
    "--split",
    default="grouped",
    show_default=True,
    help="`grouped`: 64/16/20, identical images never on two sides; `article`: the tutorial's own, which "
    "leaks; or a CSV with the columns id,split.",
)
@click.option(
    "--folds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Grouped K-fold: every image is tested once.",
)
@click.option("--group-column", help="Rows that share a value of this column stay on one side.")
@click.option(
    "--image-size",
    default="auto",
    show_default=True,
    help="`auto` cuts the border all images share and caps the long side; HxW or N fits them in.",
)
@click.option(
    "--resize",
    type=click.Choice(["letterbox", "stretch"]),
    default="letterbox",
    show_default=True,
    help="`letterbox` keeps each image's aspect; `stretch` fills the size with it.",
)
@click.option(
    "--augment",
    type=click.Choice(["none", "shift", "photo"]),
    help="Change training images a little: `shift` moves and scales, `photo` also changes light and colour."
    "  [default: shift]",
)
@click.option("--epochs", type=click.IntRange(0), help="0 tests what --init loads.  [default: 20]")
@click.option("--batch-size", type=click.IntRange(1), help="[default: 32]")
@click.option("--lr", type=float, help="The highest learning rate of the cycle.  [default: 0.002]")
@click.option(
    "--freeze",
    is_flag=True,
    default=None,
    help="Train heads alone, on features that each backbone computes once; nothing is augmented.",
)
@click.option(
    "--weights",
    type=click.Choice(["auto", "pretrained", "none"]),
    default="auto",
    show_default=True,
    help="`auto`: pretrained where they can be had within 10 seconds, else from scratch.",
)
@click.option(
    "--init",
    metavar="MODEL|RUN",
    help="Start from a trained model (see `quadzoo list models`) or a run's folder, which fix backbone, head "
    "and size.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "32", "bf16"]),
    default="auto",
    show_default=True,
    help="`auto`: bf16 where a trial on the first batch finds it a quarter faster and as good.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default="results", show_default=True, help="The results folder."
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Runs side by side.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Threads that runs side by side share.  [default: OMP_NUM_THREADS, else all usable CPUs]",
)
@click.option(
    "--timeout", type=float, metavar="SECONDS", help="End a run that takes longer; it counts as failed."
)
@click.option(
    "--compile",
    is_flag=True,
    help="Compile each backbone before it trains, for long runs on a GPU; needs a C++ compiler.",
)
@click.option("--force", is_flag=True, help="Run again what is done.")
@click.option("--dry-run", is_flag=True, help="Check everything, show the plan, train nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the leaderboard (or plan) as JSON.")
def bench(as_json: bool, dry_run: bool, **flags: Any) -> int:
    """Train every backbone × head × seed and rank them.

    All are trained on the same images with the same split and recipe. Finished runs are kept in OUT/runs
    and not run again; the table is OUT/leaderboard.html, .md, .csv and .json.

    \b
    quadzoo bench --backbones resnet50,efficientnet_b0
    quadzoo bench --data my.csv --images photos --targets age,height --id-column file
    """
    context = click.get_current_context()
    # `init` has its own backbone, head and size, so it matters whether these were asked for.
    given = {
        name: value
        for name, value in flags.items()
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    from quadzoo import api

    api.start()  # before the other imports
    from quadzoo.cli.display import print_leaderboards, print_plan
    from quadzoo.cli.options import with_flags
    from quadzoo.progress import Display
    from quadzoo.report.tables import to_json

    with Display(with_flags) as display:
        if dry_run:
            plan = api.plan(progress=display, **given)
        else:
            board = api.bench(progress=display, **given)
    if dry_run:
        print_plan(plan, as_json)
        return 0
    if as_json:
        click.echo(to_json([board]), nl=False)
    else:
        print_leaderboards([board])
    out = given.get("out", Path("results"))
    click.echo(
        f"quadzoo: {out / 'leaderboard.html'}, .md, .csv and .json; one folder a run in {out / 'runs'}",
        err=True,
    )
    return 1 if display.failed or board.unreadable else 0
