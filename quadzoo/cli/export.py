"""quadzoo export: a trained model as a folder for others."""

from __future__ import annotations

from pathlib import Path

import click

from quadzoo.cli.options import plugin_option, run_out_option
from quadzoo.cli.output import say, tell
from quadzoo.errors import QuadzooError


@click.command(short_help="Write a trained model to a folder for others.")
@click.argument("run", metavar="RUN")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@run_out_option
@click.option(
    "--onnx",
    is_flag=True,
    help="Also write model.onnx, which takes images of any size, and check it against the model.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="IMAGE|FOLDER|GLOB",
    help="Images to check model.onnx with.  [default: the drawn equations for a model of these, else made "
    "images]",
)
@click.option(
    "--push",
    metavar="OWNER/NAME",
    help="Then send the folder to this repository of the Hugging Face hub; a new one is private.",
)
@plugin_option
def export(
    run: str,
    folder: Path,
    *,
    out: Path,
    onnx: bool,
    images: tuple[Path, ...],
    push: str | None,
    plugin: tuple[Path, ...],
) -> int:
    """Write a trained model to a folder for others, with a model card.

    RUN is one run, named as for `quadzoo predict`. FOLDER holds what `quadzoo predict`, `quadzoo.load` and
    `quadzoo bench --init` need. It is written whole or not at all, and replaces nothing but an earlier
    export. Images of val have numbers in it for names.

    \b
    quadzoo export best my-model
    quadzoo export best my-model --onnx --images photos
    """
    from quadzoo import api
    from quadzoo.inference import hub

    if push:
        hub.check_push(push)
    done = api.export(run, folder, out, onnx=onnx, images=images, plugin=plugin)
    for text in done.told:
        tell(text)
    for text in done.warnings:
        tell(f"warning: {text}")
    say(str(folder))
    if push:
        try:
            tell(hub.push(folder, push))
        except QuadzooError as error:
            tell(f"error: {error}")
            return 1
    return 0
