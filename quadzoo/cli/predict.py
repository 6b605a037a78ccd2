"""quadzoo predict: read new images with a trained model."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quadzoo.cli.options import plugin_option, run_out_option
from quadzoo.cli.output import output_file, say_json, tell
from quadzoo.errors import ConfigError, unwritable

if TYPE_CHECKING:
    from quadzoo.inference.images import Image
    from quadzoo.inference.load import Model
    from quadzoo.inference.predict import Predicted

_LISTED, _ALIKE = 50, 10  # images that cannot be predicted, and those for one reason
_DIGITS, _LARGE = 4, 1e4  # of a number on the terminal, and from where on it has no decimals


@click.command(short_help="Read new images with a trained model.")
@click.argument("run", metavar="RUN[,RUN...]")
@click.argument("images", metavar="IMAGE|FOLDER|GLOB...", nargs=-1)
@run_out_option
@click.option(
    "--csv-in",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="A table that names the images, one a row, as for `quadzoo bench --data`.",
)
@click.option(
    "--images",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder with the images of that table.  [default: the table's own folder, or one in it]",
)
@click.option(
    "--id-column",
    metavar="NAME",
    help="Column of that table with the names of the image files.  [default: id, else one whose cells name "
    "images]",
)
@click.option(
    "--csv",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the predictions to a table, in place of the terminal.",
)
@click.option(
    "--interval",
    type=float,
    metavar="0.9",
    help="Also give an interval for each target, which contains it with this probability.",
)
@click.option(
    "--interval-by",
    metavar="COLUMN",
    help="Calibrate intervals group by group: this column of --csv-in has the groups, as --group-column of "
    "the run had them.",
)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print the predictions as JSON.")
def predict(
    run: str,
    images: tuple[str, ...],
    *,
    out: Path,
    csv_in: Path | None,
    folder: Path | None,
    id_column: str | None,
    csv: Path | None,
    interval: float | None,
    interval_by: str | None,
    plugin: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Read new images with a trained model; predictions are in original units.

    RUN is the folder of a run, the beginning of its key, a name in `quadzoo list models`, `best` (of the best
    row of --out the seed with the lowest val MSE), or `ensemble` (that of the leaderboard). The predictions
    of several RUNs, with commas between them, are averaged.

    Images are prepared exactly as in training. One that cannot be read is named at the end, and the exit
    status is then 1. The terminal shows whole targets rounded; --csv and --json have all digits. With
    --interval it has the ends of each interval beside the target; joint intervals hold for all at once. With
    --interval-by they hold for each group by itself.

    \b
    quadzoo predict best new-photos
    quadzoo predict reader-equations 'scans/*.png' --csv read.csv
    quadzoo predict best --csv-in new.csv --json
    """
    from quadzoo.inference.images import files_of, groups_in_table, images_in_table

    if bool(images) == bool(csv_in):
        raise ConfigError(
            "name images, folders or patterns, or a table of them with `csv_in`; one of the two"
        )
    if not csv_in and (folder or id_column):
        raise ConfigError(f"`{'images' if folder else 'id_column'}` is for the table that `csv_in` names")
    if interval_by and not csv_in:
        raise ConfigError(
            "`interval_by` names a column of the table in `csv_in`; name the images there, with their groups"
        )
    found = images_in_table(csv_in, folder, id_column) if csv_in else files_of(images)
    if csv:
        read = [csv_in] if csv_in else []
        csv = output_file("csv", csv, [*read, *(one.source for one in found if isinstance(one.source, Path))])
    groups = groups_in_table(csv_in, interval_by) if csv_in and interval_by else None
    model = _loaded(run, out, plugin)
    done = _predicted(model, found, interval, groups)
    for text in done.warnings:
        tell(f"warning: {text}")
    if csv:
        _write(csv, done)
    if as_json:
        say_json(_document(model, done))
    elif not csv:
        _print(model, done, interval)
    _list_errors(done)
    return 1 if done.errors else 0


def _loaded(run: str, out: Path, plugin: tuple[Path, ...]) -> Model:
    """Return the model, and say on stderr what is to be known of it."""
    from quadzoo import api

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they are in model.warnings
        model = api.load(run, out, plugin=plugin)
    for text in model.told:
        tell(text)
    for text in model.warnings:
        tell(f"warning: {text}")
    return model


def _predicted(
    model: Model, images: list[Image], interval: float | None, groups: list[str] | None
) -> Predicted:
    from quadzoo.cli.options import with_flags
    from quadzoo.progress import Display

    with Display(with_flags) as display:
        advance = display.counting("predicting", len(images))
        return model.predicted(images, interval=interval, groups=groups, advance=advance)


def _write(csv: Path, done: Predicted) -> None:
    """Write a table. Raises ConfigError where that is not possible."""
    from quadzoo.storage import write_atomically

    try:
        write_atomically(csv, done.frame.to_csv(index=False).encode())
    except OSError as error:
        raise unwritable(f"`csv` {csv}", error, "name another file") from error
    tell(f"{len(done.frame):,} image{'s' * (len(done.frame) != 1)}: {csv}")


def _document(model: Model, done: Predicted) -> dict[str, Any]:
    """Return the predictions as JSON-like data; what an image lacks is null."""
    rows = done.frame.to_dict(orient="records")
    clean = [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.items()
        }
        for row in rows
    ]
    return {
        "runs": model.runs,
        "targets": model.targets,
        "warnings": [*model.warnings, *done.warnings],
        "predictions": clean,
    }


def _print(model: Model, done: Predicted, interval: float | None) -> None:
    """Print the images that could be predicted as a table; whole targets are rounded."""
    from quadzoo.cli.tables import print_table, text_table
    from quadzoo.inference.predict import ERROR
    from quadzoo.report.text import printable

    frame = done.frame
    if ERROR in frame:
        frame = frame[frame[ERROR] == ""].drop(columns=ERROR)
    if frame.empty:
        return
    identities, *numbers = (frame.iloc[:, place].tolist() for place in range(frame.shape[1]))
    values, ends = numbers[: len(done.columns)], numbers[len(done.columns) :]
    # Ends of intervals for each target: none, or low and high, or these and the joint ones.
    of_each = len(ends) // len(values)
    columns = [(str(frame.columns[0]), [" ".join(printable(str(one)).splitlines()) for one in identities])]
    for place, (name, whole) in enumerate(zip(done.columns, model.integer, strict=True)):
        columns.append((name, [_short(value, whole=whole) for value in values[place]]))
        own = ends[place * of_each : (place + 1) * of_each]
        share = f"{100 * (interval or 0):.3g}%"
        for what, low, high in zip(
            (f"{share} interval", f"joint {share}"), own[::2], own[1::2], strict=False
        ):
            columns.append((f"{name} {what}", [_ends(*both) for both in zip(low, high, strict=True)]))
    names = [name for name, _ in columns]
    rows = list(zip(*(cells for _, cells in columns), strict=True))
    print_table(text_table(names, rows, right=names[1:]))


def _ends(low: float, high: float) -> str:
    return "none" if math.isnan(low) else f"{_short(low, whole=False)} – {_short(high, whole=False)}"


def _short(value: float, *, whole: bool) -> str:
    is_whole = whole or round(abs(value)) >= _LARGE
    return f"{round(value)}" if is_whole else f"{value:.{_DIGITS}g}"


def _list_errors(done: Predicted) -> None:
    errors = done.errors
    if not errors:
        return
    tell(f"{len(errors):,} of {len(done.frame):,} images could not be predicted:")
    alike: Counter[str] = Counter()
    shown = 0
    for identity, why in errors:
        alike[why] += 1
        if alike[why] <= _ALIKE and shown < _LISTED:
            tell(f"{identity}: {why}")
            shown += 1
    if len(errors) > shown:
        tell(f"and {len(errors) - shown:,} more; --csv and --json have all of them")
