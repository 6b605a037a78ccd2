"""What the results folder of a suite says of itself: its data sets, in order, and what was asked of each."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError, field_validator

from quadzoo.errors import DataError
from quadzoo.storage import read_regular, write_atomically

SUITE = "suite.json"
_MOST_BYTES = 1 << 20
# A set's name is that of its folder, beside the files of the suite's leaderboard; a folder that itself holds
# runs/ and baselines/ is that of a bench.
_NAME = re.compile(r"\w[\w.-]{0,59}")
_TAKEN = ("runs", "baselines")


class SetRequest(BaseModel):
    """What was asked for on one set: which images and labels, which division of them, how many seeds.

    ``split_hash`` is that of the division with all training images, whatever shares of them were asked for.
    """

    data_hash: str
    split_hash: str
    seeds: int = Field(ge=1)


class Suite(BaseModel):
    """The sets of a suite by name, in the order of its file."""

    sets: dict[str, SetRequest] = Field(min_length=1)

    @field_validator("sets")
    @classmethod
    def _plain_names(cls, sets: dict[str, SetRequest]) -> dict[str, SetRequest]:
        wrong = [name for name in sets if not is_set_name(name)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no name of a set")
        return sets


def is_set_name(name: str) -> bool:
    """Say whether a name can be that of a set: a plain file name that nothing else in the folder has."""
    free = name not in _TAKEN and not name.startswith("leaderboard-suite.") and name != SUITE
    return free and _NAME.fullmatch(name) is not None


def is_suite(out: Path) -> bool:
    """Say whether a folder is the results folder of a suite."""
    return os.path.lexists(out / SUITE)


def write_suite(out: Path, suite: Suite) -> None:
    """Write OUT/suite.json. Raises OSError where that cannot be done."""
    write_atomically(out / SUITE, suite.model_dump_json(indent=1).encode() + b"\n")


def read_suite(out: Path) -> Suite:
    """Return what OUT/suite.json says. Raises DataError for a file that cannot be read."""
    path = out / SUITE
    try:
        return Suite.model_validate_json(read_regular(path, _MOST_BYTES))
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path}: cannot be read; the bench that made this folder, with `suite`, writes it again"
        ) from error
