"""The images, targets and splits of a bench, and what is odd about them. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quadzoo.data.cache import ImageSet, prepare
from quadzoo.data.checks import (
    FEW,
    MISSING,
    UNUSED,
    check_duplicates,
    check_files,
    check_split,
    check_target,
)
from quadzoo.data.findings import Finding, Findings
from quadzoo.data.geometry import Geometry
from quadzoo.data.remarks import GROUP_COLUMN, OWN_SPLIT, POINTS
from quadzoo.data.sources import N_DRAWN, Source, open_source
from quadzoo.data.splits import Split, check_parameters, splits_of
from quadzoo.data.texts import printable
from quadzoo.errors import SplitError
from quadzoo.grid.config import BenchConfig
from quadzoo.grid.observer import Observer
from quadzoo.grid.plan import BenchData
from quadzoo.report.text import one_line

_UNEVEN = 0.05  # of the training images, by which a share may be off without a warning
_LONGEST = 300  # characters of a line


class Inputs(NamedTuple):
    """What a bench works on; ``splits`` are one a fold.

    ``notes`` say in one line each what was found, left out or is odd. They are to be told once nothing else
    can be refused, since a refusal is one line alone.
    """

    source: Source
    images: ImageSet
    splits: list[Split]
    notes: list[str]


def read_inputs(config: BenchConfig, observer: Observer, like: Geometry | None) -> Inputs:
    """Read table and images, and divide them; ``observer`` sees how that goes.

    ``like`` is what was done to the images of the model to start from, None without one. Raises a
    QuadzooError for the first thing that cannot be used.
    """
    tests = config.test_data is not None
    check_parameters(config.split, config.folds, grouped=config.group_column is not None, tests=tests)
    source = open_source(config.request, observer.counting("drawing equations", N_DRAWN))
    decoding = observer.counting("decoding images", 2 * len(source))
    images = prepare(source, config.image_size, config.resize, decoding, like=like, reading=config.reading)
    left_out = images.left_out
    kept = source.without(left_out)
    notes = [f"{printable(source.table.name)}: {one}" for one in source.told]
    if left_out:
        which = f"the first is {source.where(left_out[0])}"
        notes.append(f"warning: {len(left_out):,} images cannot be read and are left out: {which}")
    notes += [one_line(one, _LONGEST) for one in images.remarks]
    source = kept
    try:
        splits = splits_of(source, config.split, images.content_ids, config.folds)
    except SplitError as error:  # what is odd about the images may be why
        raise SplitError(one_line("; ".join((str(error), *images.remarks)), _LONGEST)) from error
    notes += [
        _in_words(one)
        for one in _findings(source, images, splits)
        if one.severity != "note"
        or one.code in (FEW, MISSING, POINTS, UNUSED)
        or (one.code in (GROUP_COLUMN, OWN_SPLIT) and config.split == "grouped")
    ]
    return Inputs(source, images, splits, [*notes, _shares(splits)])


def _findings(source: Source, images: ImageSet, splits: Sequence[Split]) -> list[Finding]:
    """Return what `quadzoo data check` would find, too, but for what takes a look at every image."""
    found = Findings()
    found.take(*source.remarks)
    check_files(found, source, ())
    for column in range(len(source.target_names)):
        check_target(found, source, column)
    check_duplicates(found, source, images.content_ids)
    check_split(found, source, images.content_ids, splits)
    return found.sorted()


def _in_words(finding: Finding) -> str:
    word = "note" if finding.severity == "note" else "warning"
    count, more = (f"{finding.count:,} × ", ", …") if finding.count > 1 else ("", "")
    return one_line(f"{word}: {count}{finding.text}: {finding.examples[0]}{more}", _LONGEST)


def _shares(splits: Sequence[Split]) -> str:
    sizes = []
    for split in splits:
        sides = {"train": split.train, "val": split.val, "test": split.test}
        total = sum(map(len, sides.values()))
        sizes.append(
            ", ".join(f"{len(side):,} {name} ({len(side) / total:.0%})" for name, side in sides.items())
        )
    return one_line(f"split {splits[0].name}: {'; '.join(sizes)}", _LONGEST)


def uneven_shares(splits: Sequence[Split], data: BenchData) -> list[str]:
    """Return warnings of shares of the training images that are far from what was asked for."""
    warnings = []
    for one in data.folds:
        split = one.fold.split
        n, n_whole = len(split.train), len(splits[split.fold].train)
        if abs(n / n_whole - split.train_share) > _UNEVEN:
            warnings.append(
                f"warning: `train_share` {split.train_share:g} is {n:,} of {n_whole:,} training images "
                f"({n / n_whole:.0%}), since groups stay together"
            )
    return warnings
