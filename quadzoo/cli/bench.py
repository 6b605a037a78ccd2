"""quadzoo bench: train every combination and write the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from quadzoo.cli.options import (
    Metric,
    NumberOrAuto,
    image_options,
    metric_option,
    names,
    plugin_option,
    table_options,
    with_targets,
)
from quadzoo.cli.output import say


def _seeds(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Split at commas and read each part as a whole number."""
    try:
        return tuple(int(name) for name in names(context, parameter, value) or ())
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers") from error


def _shares(context: click.Context, parameter: click.Parameter, value: str) -> tuple[float, ...]:
    """Split at commas and read each part as a number."""
    try:
        return tuple(float(name) for name in names(context, parameter, value) or ())
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of numbers") from error


@click.command()
@click.option(
    "--backbones",
    callback=names,
    metavar="A,B,...",
    default="resnet50",
    show_default=True,
    help="Networks to compare: names from `quadzoo list backbones`, also with wildcards (resnet*); "
    "timm's tags (resnet18.a1_in1k), hf-hub:OWNER/NAME, local-dir:PATH.",
)
@click.option(
    "--heads",
    callback=names,
    metavar="A,B,...",
    default="mlp",
    show_default=True,
    help="Heads to combine with them; see `quadzoo list heads`.",
)
@click.option(
    "--seeds",
    callback=_seeds,
    metavar="0,1,...",
    default="0",
    show_default=True,
    help="Each combination is trained once per seed. With fewer than three seeds, differences may be chance.",
)
@click.option(
    "--data",
    metavar="FILE.csv|FOLDER|quadratic",
    default="quadratic",
    show_default=True,
    help="A table with one row per image; a folder in the layout of the published equations; or "
    "`quadratic`, which draws 2,000 images of equations.",
)
@table_options
@click.option(
    "--suite",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Run the same bench on each data set of a file, and rank the rows over all of them. Each set has "
    "its results in OUT/NAME.",
)
@click.option(
    "--split",
    metavar="grouped|article|FILE.csv",
    default="grouped",
    show_default=True,
    help="`grouped`: 64 % train, 16 % val, 20 % test; identical images stay on one side. `article`: the "
    "split of the tutorial, which leaks. FILE.csv: your own, with the columns id,split.",
)
@click.option(
    "--folds",
    type=click.IntRange(1),
    metavar="K",
    default=1,
    show_default=True,
    help="K-fold cross-validation: each image is tested once.",
)
@click.option(
    "--train-share",
    callback=_shares,
    metavar="0.25,0.5,1",
    default="1",
    show_default=True,
    help="Train on each of these shares of the training images, too; val and test stay the same. From three "
    "shares on, the report says how much more images would help.",
)
@click.option(
    "--image-size",
    metavar="auto|HxW|N",
    default="auto",
    show_default=True,
    help="Size of the images that networks see. `auto` cuts the border that all images share; the long "
    "side is 64 to 224 pixels.",
)
@click.option(
    "--resize",
    type=click.Choice(["letterbox", "stretch"]),
    default="letterbox",
    show_default=True,
    help="`letterbox` keeps the aspect ratio of each image; `stretch` does not.",
)
@image_options
@click.option(
    "--recipe",
    type=click.Choice(["default", "first", "tutorial"]),
    default="default",
    show_default=True,
    help="All hyper-parameters at once: `first` is that of quadzoo 0.1, `tutorial` the tutorial's. The flags "
    "below change single ones.",
)
@click.option(
    "--augment",
    type=click.Choice(["none", "shift", "photo"]),
    help="Random changes of training images: `shift` moves and scales them a little, `photo` also changes "
    "light and colour.  [default: shift]",
)
@click.option(
    "--epochs",
    type=NumberOrAuto("epochs", 0),
    help="Passes over the training images: `auto` is 20, and more for small sets; 0 only tests what --init "
    "loads.  [default: auto]",
)
@click.option(
    "--batch-size", type=click.IntRange(1), metavar="N", help="Images per training step.  [default: 32]"
)
@click.option("--lr", type=float, metavar="X", help="Highest learning rate.  [default: 0.002]")
@click.option(
    "--tune",
    metavar="lr:N",
    help="First try N learning rates, from a quarter of --lr to four times --lr, for each backbone and head: "
    "on the lowest seed, for a quarter of the epochs. All seeds are then trained with the best by val MSE.",
)
@click.option(
    "--freeze",
    is_flag=True,
    default=None,
    help="Train only the heads, on features that each backbone computes once. Images are not augmented.",
)
@click.option(
    "--freeze-to",
    type=click.Choice(["stem", "layer1"]),
    help="Leave the first layers of each backbone as they are, the stem or also the first stage, and train "
    "the others.",
)
@click.option(
    "--weights",
    metavar="auto|pretrained|none|FILE",
    default="auto",
    show_default=True,
    help="`auto` takes pretrained weights if they are available within 10 seconds, else random weights. "
    "FILE: safetensors, or a checkpoint that holds tensors alone, loaded into each backbone.",
)
@plugin_option
@click.option(
    "--logger",
    callback=names,
    metavar="csv,tensorboard,...",
    help="Also log curves, hyper-parameters and the worst images with csv, tensorboard, mlflow or wandb, to "
    "OUT/logs; docs/watch.md says how to look at them.",
)
@click.option(
    "--init",
    metavar="MODEL|RUN",
    help="Start from a trained model: a name in `quadzoo list models`, or the folder of a run. It determines "
    "backbone, head and how images are shown.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "32", "bf16"]),
    default="auto",
    show_default=True,
    help="`auto` takes bf16 where the device multiplies it natively, the backbone gains by it (on a CPU, if "
    "it multiplies much for each number) and its results agree. The choice is kept in OUT/precision.json.",
)
@click.option(
    "--device",
    metavar="auto|cpu|cuda|cuda:0,1|mps",
    default="auto",
    show_default=True,
    help="`auto` takes the GPUs that can be used, else the CPU; `cuda` all GPUs, `cuda:0,1` some; `mps` the "
    "GPU of a Mac.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default="results",
    show_default=True,
    help="The results folder.",
)
@click.option(
    "--jobs",
    type=NumberOrAuto("runs", 1),
    default="auto",
    show_default=True,
    help="Number of runs at the same time; `auto` is one for each GPU, else 1.",
)
@click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="`ray` runs on the nodes of a Ray cluster, --jobs runs on each; docs/scale-out.md.",
)
@click.option(
    "--ray-address",
    metavar="auto|HOST:PORT",
    help="The cluster. `auto` is that of this machine.  [default: start a Ray of this machine]",
)
@click.option(
    "--retries",
    type=click.IntRange(0),
    metavar="N",
    default=1,
    show_default=True,
    help="With Ray: how often a run starts again whose node or worker is lost. A run that fails does not.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="N",
    help="CPU threads, shared by the runs at the same time.  [default: OMP_NUM_THREADS, else all usable "
    "CPUs; with Ray, the CPUs that a run gets on its node]",
)
@click.option(
    "--timeout", type=float, metavar="SECONDS", help="Stop a run that takes longer. It counts as failed."
)
@click.option(
    "--checkpoint-minutes",
    type=float,
    metavar="M",
    default=10,
    show_default=True,
    help="A run that takes longer keeps a checkpoint, written at the end of an epoch every M minutes. After "
    "an interruption the same command continues from it.",
)
@click.option(
    "--compile",
    is_flag=True,
    help="Compile each backbone before training: for long runs on a GPU. Needs a C++ compiler.",
)
@click.option(
    "--deterministic",
    is_flag=True,
    help="Have a GPU give the same digits each time, which is slower; on the CPU runs do so anyway.",
)
@click.option(
    "--halving",
    is_flag=True,
    help="First train each backbone and head on the lowest seed for an eighth of the epochs, the better half "
    "by val MSE for a quarter, and the better half of these for a half. What is left is trained in full; the "
    "other rows are incomplete.",
)
@click.option("--force", is_flag=True, help="Train finished runs again.")
@click.option("--dry-run", is_flag=True, help="Check everything and show the plan; train nothing.")
@metric_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print the leaderboard (with --dry-run the plan) as JSON."
)
def bench(as_json: bool, dry_run: bool, metric: Metric, **flags: Any) -> int:
    """Train backbones on your images and compare them.

    Every backbone is combined with every head and trained once per seed, always with the same images, split
    and recipe. A row that does not beat the baselines, such as ridge regression on pixels, is of no use.

    Results are in OUT/leaderboard.html, .md, .csv and .json, and in OUT/runs. After an interruption the same
    command continues; finished runs are not trained again.

    \b
    quadzoo bench --backbones resnet50,efficientnet_b0
    quadzoo bench --data my.csv
    quadzoo bench --data my.csv --images photos --id-column file \\
        --targets age,height --backbones resnet18,convnext_atto --seeds 0,1,2
    quadzoo bench --suite my-sets.toml
    """
    context = click.get_current_context()
    # `init` has its own backbone, head and size, so it matters whether these were asked for.
    given = {
        name: value
        for name, value in flags.items()
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    given = with_targets(given)
    from quadzoo import api

    if flags["executor"] == "local":
        api.start()  # before the other imports
    if "suite" in given:
        from quadzoo.cli.suite import bench_suite

        return bench_suite(given, dry_run, as_json)
    from quadzoo.cli.display import print_leaderboards, print_plan
    from quadzoo.cli.options import with_flags
    from quadzoo.progress import Display
    from quadzoo.report.tables import to_json
    from quadzoo.report.winner import next_step

    with Display(with_flags) as display:
        if dry_run:
            plan = api.plan(progress=display, **given)
        else:
            board = api.bench(progress=display, **given)
    if dry_run:
        print_plan(plan, as_json)
        return 1 if plan.estimate and plan.estimate.untimed else 0
    if as_json:
        click.echo(to_json([board]), nl=False)
    else:
        print_leaderboards([board], metric)
    out = given.get("out", Path("results"))
    if n := display.failed:
        again = "tries them again" if n > 1 else "tries it again"
        say(f"quadzoo: {n} run{'s' * (n > 1)} failed; the same command {again}", err=True)
    say(
        f"quadzoo: {out / 'leaderboard.html'}, .md, .csv and .json; one folder per run in {out / 'runs'}",
        err=True,
    )
    if text := next_step(board, Path(out), given.get("plugin", ())):
        say(f"quadzoo: {text}", err=True)
    return 1 if display.failed or board.unreadable else 0
