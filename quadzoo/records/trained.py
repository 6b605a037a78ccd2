"""A trained model as files: the record and the weights of a run, checked. Nothing here imports torch."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from quadzoo.errors import ConfigError
from quadzoo.records.record import RECORD, WEIGHTS, Ranges, RunRecord, read_record_file, sha256_of
from quadzoo.targets import TargetInfo

_OPEN: Any = safe_open  # which has no types
_ELSEWHERE = ("hf-hub:", "local-dir:")  # what a record must not have anybody fetch or read
_SHOWN = 60  # characters of a name
_WHY = 120  # characters of why a run has failed
CONFIG = "config.json"  # what an exported folder calls its record
PREDICTS = "predicts"  # of the metadata of weights: what `predicts` says


@dataclass(frozen=True)
class Trained:
    """The record and the weights that lie in ``folder``; ``sha256`` is that of the weights."""

    folder: Path
    record: RunRecord = field(repr=False)
    sha256: str

    @property
    def title(self) -> str:
        """The run for people: its key, and what was trained."""
        one = self.record
        return f"{one.key}: {one.backbone} + {one.head}, seed {one.seed}"

    @property
    def unit(self) -> TargetInfo:
        """The targets in the network's own unit."""
        return self._with(self.record.unit or self.record.own_ranges)

    @property
    def targets(self) -> TargetInfo:
        """The targets in the unit of the scores: their ranges in training."""
        return self._with(self.record.own_ranges)

    def _with(self, ranges: Ranges) -> TargetInfo:
        return TargetInfo(
            names=tuple(self.record.targets),
            low=tuple(ranges.low),
            high=tuple(ranges.high),
            integer=tuple(ranges.integer),
        )


def predicts(targets: TargetInfo, unit: TargetInfo) -> str:
    """Return what a network predicts, as text: the targets with their ranges, and the unit that it has."""
    return json.dumps([asdict(targets), asdict(unit)])


def record_file(folder: Path) -> Path | None:
    """Return the file that holds a model's record, None where there is none: no model lies there."""
    return next((folder / name for name in (RECORD, CONFIG) if os.path.lexists(folder / name)), None)


def read_record_in(folder: Path) -> RunRecord:
    """Return the record of the model in a folder. Raises DataError where it cannot be read."""
    return read_record_file(record_file(folder) or folder / RECORD)


def read_trained(folder: Path, who: str) -> Trained:
    """Return the trained model in a folder, whose files are those that its record names.

    ``who`` begins each message. Raises DataError for a record that cannot be read, and ConfigError for one
    that was changed, for a run that failed, and for weights that are not those of the record.
    """
    record = read_record_in(folder)
    if record.found.halved:
        raise ConfigError(
            f"{who}: that run has no model: `halving` stopped it ({record.found.halved.text}); name one that "
            "is ok, or bench it without `halving`"
        )
    if record.error:
        why = " ".join(f"{record.error.type}: {record.error.message}".split())
        why = why if len(why) <= _WHY else f"{why[: _WHY - 1]}…"
        raise ConfigError(f"{who}: that run has no model: it has failed ({why}); name one that is ok")
    if record.identity.key != record.key:
        raise ConfigError(
            f"{who}: its record was changed: it says key {record.key[:16]}, its content has "
            f"{record.identity.key}; take the folder as the run left it"
        )
    if record.network is None and record.backbone.startswith(_ELSEWHERE):
        raise ConfigError(
            f"{who}: its record names a backbone that lies elsewhere, {record.backbone[:_SHOWN]}, and does "
            "not describe it; take the folder as the run left it"
        )
    try:
        sha256 = sha256_of(folder / WEIGHTS)
    except OSError as error:
        raise ConfigError(f"{who}: its weights cannot be read ({error.strerror})") from error
    if sha256 != record.files.get(WEIGHTS):
        raise ConfigError(
            f"{who}: {WEIGHTS} has SHA-256 {sha256}, its record says {record.files.get(WEIGHTS)}; "
            "the file was changed or cut off"
        )
    try:
        with _OPEN(folder / WEIGHTS, "numpy") as file:
            holds, said = len(file.keys()), (file.metadata() or {}).get(PREDICTS)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{who}: {WEIGHTS} is no safetensors file, or cut off ({error})") from error
    if not holds:
        raise ConfigError(f"{who}: {WEIGHTS} holds no weights")
    found = Trained(folder, record, sha256)
    # Weights of quadzoo 0.1 do not say it.
    if said is not None and said != predicts(found.targets, found.unit):
        raise ConfigError(
            f"{who}: its record names other targets, or other ranges of them, than {WEIGHTS} was made for; "
            "take the folder as the run left it"
        )
    return found
