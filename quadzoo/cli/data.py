"""quadzoo data: draw equations, check a data set, show and clear the cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quadzoo.cli.options import image_options, table_options, with_flags, with_targets
from quadzoo.cli.output import say, say_json
from quadzoo.report.text import one_line

if TYPE_CHECKING:
    from quadzoo.data.findings import Audit, Finding

_SHOWN = 3  # examples of a finding
_TYPES = {
    "uint8": "8 bits", "uint16": "16 bits", "uint32": "32 bits",
    "int8": "8 bits, signed", "int16": "16 bits, signed", "int32": "32 bits, signed",
    "float32": "32 bits, floating point", "float64": "64 bits, floating point",
}  # fmt: skip
_LONGEST = 300  # characters of an example


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def data() -> None:
    """Check a data set, draw equations, show the cache."""


@data.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--n", type=click.IntRange(1), default=2000, show_default=True, help="Number of equations.")
@click.option(
    "--seed", type=click.IntRange(0), default=42, show_default=True, help="Seed of the random numbers."
)
@click.option(
    "--font",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A TrueType or OpenType font.  [default: Pillow's own]",
)
@click.option(
    "--labels",
    type=click.Choice(["published", "true"]),
    default="published",
    show_default=True,
    help="The label b of (x - r)(x - s) = 0: r + s, as in the published tables, or -(r + s), which is true.",
)
def make(folder: Path, n: int, seed: int, **options: Any) -> None:
    """Draw images of quadratic equations.

    Images and tables are written to FOLDER, in the layout of the published data set. `quadzoo bench --data
    FOLDER` reads them. FOLDER must be new or empty.
    """
    from quadzoo.data.equations import write_folder
    from quadzoo.data.texts import where
    from quadzoo.errors import ConfigError, unwritable
    from quadzoo.progress import Display

    if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        raise ConfigError(f"{folder}: exists already; name a new folder, or delete it first")
    try:
        with Display() as display:
            write_folder(folder, n, seed, **options, advance=display.counting("drawing equations", n))
    except OSError as error:
        raise unwritable(f"{where(folder)}: cannot be written", error, "name another folder") from error
    say(f"{folder}: {n:,} equations, seed {seed}, labels {options['labels']}")


@data.command()
@click.argument("path", metavar="FOLDER|FILE.csv")
@table_options
@click.option(
    "--split",
    metavar="grouped|article|FILE.csv",
    default="grouped",
    show_default=True,
    help="The split to search for leaks, as in `quadzoo bench`.",
)
@image_options
@click.option(
    "--show",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Write a sheet of twelve images as networks see them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with up to 1,000 of each kind.")
def check(path: str, split: str, as_json: bool, show: Path | None, **flags: Any) -> int:
    """Check images and table before training.

    Reads every row and decodes every image. Reports missing, unreadable, identical and similar images;
    targets that are missing or constant; outliers; and test images that are also in train. For equations, it
    compares labels and roots with the equation in the image. Exit status 1 if there are errors.
    Of each kind of finding it prints the count and the first 3, with --json the first 1,000.

    \b
    quadzoo data check my.csv --images photos
    """
    from quadzoo.data.audit import audit
    from quadzoo.data.reading import reading_of
    from quadzoo.data.sources import DataRequest
    from quadzoo.progress import Display

    reading = reading_of(*(flags.pop(name) for name in ("bands", "value_range", "damaged")))
    with Display() as display:
        found = audit(DataRequest(path, **with_targets(flags)), split, display.counting, reading, show)
    if as_json:
        say_json(found.model_dump())
    else:
        _print(found)
    return 1 if found.errors else 0


@data.command("cache")
@click.option("--clear", "clear_it", is_flag=True, help="Delete everything that no bench is using.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def cache_(clear_it: bool, as_json: bool) -> None:
    """Show or clear the cache.

    The cache holds decoded images and other files that save time. Everything in it can be computed again.
    """
    from quadzoo.cli.tables import print_table, text_table
    from quadzoo.data.cache import clear, contents
    from quadzoo.storage import cache_folder

    if clear_it:
        before = sum(one.bytes for one in contents())
        in_use = clear()
        freed = before - sum(one.bytes for one in contents())
        kept = f"; {in_use} in use stay" if in_use else ""
        say(f"quadzoo: {freed / 1e6:,.1f} MB deleted{kept}", err=True)
    found = contents()
    if as_json:
        rows = [
            asdict(one) | {"path": str(one.path), "last_used": one.last_used.isoformat()} for one in found
        ]
        say_json({"folder": str(cache_folder()), "contents": rows})
        return
    say(f"{cache_folder()}: {sum(one.bytes for one in found) / 1e6:,.1f} MB")
    if found:
        cells = [
            [
                one.name,
                f"{one.images:,}",
                "x".join(map(str, one.size)) or "files",
                f"{one.bytes / 1e6:,.1f}",
                f"{one.last_used:%Y-%m-%d %H:%M}",
            ]
            for one in found
        ]
        print_table(text_table(["data", "images", "size", "MB", "last used (UTC)"], cells, {"images", "MB"}))


def _print(found: Audit) -> None:
    what = "usable" if found.targets else "with a usable image"
    without = f" ({found.unlabelled:,} without any target)" if found.unlabelled else ""
    say(f"{found.name}: {found.rows:,} rows, {found.usable:,} of them {what}{without}")
    say()
    for name, fact in _facts(found):
        say(f"{name:14}  {fact}")
    say()
    if found.targets:
        _print_targets(found)
    for finding in found.findings:
        _print_finding(finding)
    say(f"{_counted(found.errors, 'error')}, {_counted(found.warnings, 'warning')}")


def _print_targets(found: Audit) -> None:
    from quadzoo.cli.tables import print_table, text_table

    missing = any(one.missing for one in found.targets)
    shown = ["target", "min", "max", "mean", "std", "distinct", "whole", "outliers", *["missing"] * missing]
    cells = [
        [
            one.name,
            *(f"{value:.6g}" for value in (one.min, one.max, one.mean, one.std)),
            f"{one.distinct:,}",
            "yes" if one.integer else "no",
            f"{one.outliers:,}",
            *[f"{one.missing:,}"] * missing,
        ]
        for one in found.targets
    ]
    print_table(text_table(shown, cells, set(shown[1:])))
    say()


def _print_finding(finding: Finding) -> None:
    say(with_flags(f"{finding.severity:7}  {finding.count:,} × {finding.text}"))
    for example in finding.examples[:_SHOWN]:
        say(f"{'':11}{one_line(with_flags(example), _LONGEST - 11)}")
    if finding.count > _SHOWN:
        say(f"{'':11}and {finding.count - _SHOWN:,} more (see --json)")


def _facts(found: Audit) -> list[tuple[str, str]]:
    most = list(found.sizes)[:_SHOWN]
    others = f" and {len(found.sizes) - len(most):,} other sizes" if len(found.sizes) > len(most) else ""
    copies, near = found.duplicates, found.near_duplicates
    made = f"; `--image-size auto` makes them {found.image_size}" if most else "none"
    facts = [
        ("table", found.table),
        ("images", found.images),
        *(("found", one) for one in found.guessed),
    ]
    if not found.usable:
        return [*facts, ("looked at", "nothing more: no row is usable as it is")]
    facts += [
        ("kinds", ", ".join(f"{n:,} {kind}" for kind, n in found.kinds.items()) or "none"),
        *_pixels(found),
        ("height x width", f"{', '.join(most)}{others}{made}"),
        ("identical", f"{copies.images:,} repeat an earlier one ({copies.groups:,} groups)"),
        (
            "nearly alike",
            f"{_counted(near.pairs, 'pair')} at most {near.threshold} of {near.bits} bits apart",
        ),
    ]
    for split in found.splits:
        sides = f"{split.train:,} train, {split.val:,} val, {split.test:,} test"
        facts.append((f"split {split.name}", f"{sides}; {split.leaked:,} of test are also in train or val"))
    if (written := found.equations) is not None:
        wrong = f"a: {written.wrong_a:,}, b: {written.wrong_b:,}, c: {written.wrong_c:,}"
        facts.append(("equations", f"{written.read:,} read; wrong {wrong}, roots: {written.wrong_roots:,}"))
    return facts


def _pixels(found: Audit) -> Iterator[tuple[str, str]]:
    pixels = found.pixels
    if pixels is None:
        return
    bands = " and ".join(f"{bands} band{'s' * (bands > 1)}" for bands in pixels.bands)
    types = ", ".join(_TYPES.get(name, name) for name in pixels.types)
    low, high = pixels.value_range
    mapped = f"{low:g} to {high:g} become 0 to 1, {pixels.clipped:.1%} cut off"
    wide = {*pixels.types} & {"int32", "uint32", "float32", "float64"}  # counted image by image
    levels = f"{pixels.levels:,} levels{' in one image' if wide else ''}"
    yield "pixels", f"{bands}; {types}: {pixels.low:g} to {pixels.high:g}, {levels}; {mapped}"
    if pixels.transparent:
        yield (
            "opacity",
            f"{pixels.transparent:,} images are transparent in parts, and laid on white; `--bands 1,2,3,4` "
            "reads opacity as a band",
        )


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
