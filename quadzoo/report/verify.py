"""Check a results folder: every score against its predictions, every key, every file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from quadzoo.errors import DataError
from quadzoo.records.predictions import of_targets, read_predictions
from quadzoo.records.record import (
    PREDICTIONS,
    WEIGHTS,
    Metrics,
    RunRecord,
    keys_in,
    read_record,
    run_folder,
    sha256_of,
)
from quadzoo.records.suite import is_suite
from quadzoo.records.tuning import read_tuning, tuning_key
from quadzoo.report.files import SHARES
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs, unreadable_records
from quadzoo.report.rows import Leaderboard
from quadzoo.report.scores import differences, scores_as
from quadzoo.report.tables import shares_to_csv, to_csv
from quadzoo.report.text import listed
from quadzoo.report.verify_folds import Folds, baseline_faults, fold_faults, known_faults
from quadzoo.storage import read_regular

_MOST_BYTES = 64 << 20  # of a table
_TOLERANCE = 1e-9  # relative: rounding in another order
_TABLES: dict[str, Callable[[Sequence[Leaderboard]], str]] = {
    "leaderboard.csv": to_csv,
    SHARES: shares_to_csv,
}


class Fault(BaseModel):
    """Something that does not match: in which run (or file), and what."""

    where: str
    text: str


class Verdict(BaseModel):
    """What was checked, and what does not match.

    ``not_checked`` names rows of leaderboard.csv that no record gives: those of outside predictors.
    """

    runs: int
    ok: int
    files: int
    faults: list[Fault]
    not_checked: list[str] = Field(default_factory=list)


def verify(out: Path, *, weights: bool = True) -> Verdict:
    """Check all runs and baselines of a results folder, and its leaderboard.csv and learning-curve.csv.

    Without ``weights`` a model.safetensors that is not there is no fault: a folder may be published so.
    Raises DataError where there is no record.
    """
    keys = keys_in(out)
    if not keys:
        if is_suite(out):
            raise DataError(f"{out}: it holds a suite; verify the folders of its sets, one by one")
        raise DataError(f"{out}: no records under {out / 'runs'}; give the folder that `out` named")
    unreadable = {one.key: one.reason for one in unreadable_records(out)}
    faults = [Fault(where=key, text=reason) for key, reason in unreadable.items()]
    ok = files = 0
    folds, records = Folds(), []
    for key in keys:
        try:
            record = read_record(out, key)
            assert record
        except DataError:  # named above
            continue
        ok += record.status == "ok"
        files += len(record.files)
        faults += [Fault(where=key, text=text) for text in _run(out, key, record, weights, folds)]
        records.append(record)
    for where, text in (*fold_faults(records, folds), *baseline_faults(out, records, folds)):
        faults.append(Fault(where=where, text=text))
    outside: list[str] = []
    for name, write in _TABLES.items():
        if os.path.lexists(out / name):
            faults += [Fault(where=name, text=text) for text in _table(out / name, write, outside)]
    return Verdict(runs=len(keys), ok=ok, files=files, faults=faults, not_checked=outside)


def _run(out: Path, key: str, record: RunRecord, weights: bool, folds: Folds) -> Iterator[str]:
    folder = run_folder(out, key)
    if record.key != record.identity.key:
        yield f"key {record.key} is not that of what the record says was run: {record.identity.key}"
    if (record.initial is None) != (record.weights in ("pretrained", "file", "none")):
        yield f"weights are {record.weights!r}, but initial is {record.initial}"
    yield from _learning_rate(out, record)
    for name, expected in record.files.items():
        try:
            found = sha256_of(folder / name)
        except FileNotFoundError:
            if weights or name != WEIGHTS:
                yield f"{name} is missing"
        except OSError as error:
            yield f"{name} cannot be read ({error.strerror})"
        else:
            if found != expected:
                yield f"{name} has SHA-256 {found}, the record says {expected}"
    if record.status == "ok":
        if not {WEIGHTS, PREDICTIONS} <= record.files.keys():
            yield f"the record names no {WEIGHTS} or no {PREDICTIONS}"
        if os.path.lexists(folder / PREDICTIONS):
            yield from _scores(folder / PREDICTIONS, record, folds)


def _learning_rate(out: Path, record: RunRecord) -> Iterator[str]:
    """Compare the learning rate that was found with the request, and with the trials where they are kept."""
    lr = record.found.lr
    if lr is None:
        return
    if lr not in record.recipe.learning_rates:
        yield f"found.lr is {lr:g}, which is none of the learning rates that tune {record.recipe.tune} tries"
    try:
        trials = read_tuning(out, tuning_key(record.identity))
    except DataError as error:
        yield str(error)
        return
    if trials is not None and trials.best != lr:
        yield f"found.lr is {lr:g}, but the best of the trials kept under tuning is {trials.best}"


def _scores(path: Path, record: RunRecord, folds: Folds) -> Iterator[str]:
    """Compare the record's metrics with those of the predictions."""
    try:
        table = read_predictions(path, record.targets)
    except DataError as error:
        yield str(error)
        return
    yield from folds.compare(record, table)
    sides = {side: table[table["split"] == side] for side in ("val", "test")}
    lacking = [*known_faults(table, record.split, record.targets)]
    yield from lacking
    for side, expected in (("val", record.split.n_val), ("test", record.split.n_test)):
        if len(sides[side]) != expected:
            yield f"{PREDICTIONS} has {len(sides[side])} {side} images, the record says {expected}"
        if sides[side]["id"].duplicated().any():
            yield f"{PREDICTIONS} has a {side} image twice"
    if lacking or any(side.empty for side in sides.values()):
        return
    val, test = (scores_as(record, *of_targets(side, record.targets)) for side in sides.values())
    try:
        expected_metrics = Metrics.of(val, test)
    except ValidationError:
        yield f"{PREDICTIONS}: a target or prediction is not a finite number, or too large to be scored"
        return
    for name, said, found in differences(record.metrics, expected_metrics, _TOLERANCE):
        yield f"{name} is {said} in the record, {found} by its predictions"


def _table(path: Path, write: Callable[[Sequence[Leaderboard]], str], outside: list[str]) -> Iterator[str]:
    """Compare a table with what the records give; rows of outside predictors are added to ``outside``."""
    try:
        text = read_regular(path, _MOST_BYTES).decode()
        said = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        yield f"cannot be read ({reason}); `quadzoo report` writes it again"
        return
    results = read_runs([path.parent])
    boards = leaderboards(results.runs, answers=results.answers)
    given = list(csv.DictReader(io.StringIO(write(boards))))
    if given and not said:
        yield "has no rows; `quadzoo report` writes it again"
        return
    tasks = {(row.get("data_hash"), row.get("split_hash")) for row in said}
    # A bench writes the table of its own data and split, whatever else lies in the folder.
    given = [row for row in given if (row["data_hash"], row["split_hash"]) in tasks]
    if missing := [name for name in (given or [{}])[0] if name not in (said or [{}])[0]]:
        yield f"has no column {listed(missing)}; `quadzoo report` of this version writes it again"
        return
    numbered = []
    for number, row in enumerate(said, 1):
        if row.get("answered"):
            outside.append(f"{path.name}: row {number} ({row.get('backbone')})")
        else:
            numbered.append((number, row))
    if len(numbered) != len(given):
        yield f"{len(numbered)} rows, the records give {len(given)}"
        return
    for (number, row), expected in zip(numbered, given, strict=True):
        for name, value in expected.items():
            if not _same_text(row.get(name), value):
                yield f"row {number}: {name} is {row.get(name)!r}, the records give {value!r}"


def _same_text(said: str | None, given: str) -> bool:
    if said == given:
        return True
    try:
        return said is not None and bool(np.isclose(float(said), float(given), rtol=1e-6, atol=0))
    except ValueError:
        return False
