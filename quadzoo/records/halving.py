"""What `halving` leaves behind: what each short training came to, in a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from quadzoo.records.record import Precision
from quadzoo.records.tuning import Kept, Trial, read_kept
from quadzoo.storage import write_atomically

HALVING = "halving"
"""The folder, in the results folder."""


class HalvingTrial(Kept):
    """A combination, trained for ``epochs`` on one seed; the key is that of the run that this would be."""

    backbone: str
    head: str
    precision: Precision
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    epochs: Annotated[int, Field(ge=1)]
    trial: Trial


def halving_path(out: Path, key: str) -> Path:
    """Return OUT/halving/<key>.json."""
    return out / HALVING / f"{key}.json"


def write_halving(out: Path, record: HalvingTrial) -> None:
    """Write OUT/halving/<key>.json. Raises OSError where that cannot be written."""
    write_atomically(halving_path(out, record.key), record.model_dump_json(indent=1).encode() + b"\n")


def read_halving(out: Path, key: str) -> HalvingTrial | None:
    """Return the short training of a key, None where there is none. Raises DataError for a bad file."""
    return read_kept(halving_path(out, key), HalvingTrial, "a trial of halving")
