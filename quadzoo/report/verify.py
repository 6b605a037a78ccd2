"""Check a results folder: every score against its predictions, every key, every file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field

from quadzoo.errors import DataError
from quadzoo.records.halving import read_halving
from quadzoo.records.predictions import of_targets, read_predictions
from quadzoo.records.record import (
    PREDICTIONS,
    WEIGHTS,
    RunRecord,
    keys_in,
    read_record,
    run_folder,
    sha256_of,
)
from quadzoo.records.suite import read_suite
from quadzoo.records.tuning import read_tuning, tuning_key
from quadzoo.report.agreement import wrong_scores
from quadzoo.report.copies import copies, told
from quadzoo.report.results import kept_records
from quadzoo.report.verify_folds import Folds, baseline_faults, fold_faults, known_faults
from quadzoo.report.verify_tables import table_faults

_TOLERANCE = 1e-9  # relative: rounding in another order


class Fault(BaseModel):
    """Something that does not match: in which run (or file), and what."""

    where: str
    text: str


class Verdict(BaseModel):
    """What was checked, and what does not match.

    ``not_checked`` names rows of the leaderboard's files that no record gives: those of outside predictors.
    """

    runs: int
    ok: int
    files: int
    faults: list[Fault]
    not_checked: list[str] = Field(default_factory=list)


def verify(out: Path, *, weights: bool = True) -> Verdict:
    """Check all runs and baselines of a results folder, and the files of its leaderboard.

    Without ``weights`` a model.safetensors that is not there is no fault: a folder may be published so.
    Raises DataError where there is no record.
    """
    keys = keys_in(out)
    if not keys:
        raise DataError(f"{out}: no records under {out / 'runs'}; give the folder that `out` named")
    unreadable = {one.key: one.reason for one in kept_records(out).unreadable}
    faults = [Fault(where=key, text=reason) for key, reason in unreadable.items()]
    ok = files = 0
    folds, records = Folds(), []
    for key in keys:
        try:
            record = read_record(out, key)
            assert record
        except DataError:  # named above
            continue
        records.append(record)
    # The first of a fold is what the others are compared with.
    for record in sorted(records, key=lambda one: not _is_whole(out, one)):
        ok += record.status == "ok"
        files += len(record.files)
        faults += [Fault(where=record.key, text=text) for text in _run(out, record, weights, folds)]
    faults += [Fault(where=copy.key, text=told(like)) for copy, like in copies(records)]
    for where, text in (*fold_faults(records, folds), *baseline_faults(out, records, folds)):
        faults.append(Fault(where=where, text=text))
    outside: list[str] = []
    faults += [Fault(where=where, text=text) for where, text in table_faults(out, outside)]
    return Verdict(runs=len(keys), ok=ok, files=files, faults=faults, not_checked=outside)


def verify_suite(out: Path, *, weights: bool = True) -> dict[str, Verdict]:
    """Check the results folder of each set of a suite, as `verify` does; one without records is a fault.

    Raises DataError where OUT/suite.json cannot be read.
    """
    verdicts = {}
    for name in read_suite(out).sets:
        try:
            verdicts[name] = verify(out / name, weights=weights)
        except DataError as error:
            fault = Fault(where=name, text=str(error))
            verdicts[name] = Verdict(runs=0, ok=0, files=0, faults=[fault])
    return verdicts


def _is_whole(out: Path, record: RunRecord) -> bool:
    """Whether a run's predictions are those that its record names."""
    try:
        return sha256_of(run_folder(out, record.key) / PREDICTIONS) == record.files.get(PREDICTIONS)
    except OSError:
        return False


def _run(out: Path, record: RunRecord, weights: bool, folds: Folds) -> Iterator[str]:
    folder = run_folder(out, record.key)
    if record.key != record.identity.key:
        yield f"key {record.key} is not that of what the record says was run: {record.identity.key}"
    if (record.initial is None) != (record.weights in ("pretrained", "file", "none")):
        yield f"weights are {record.weights!r}, but initial is {record.initial}"
    yield from _learning_rate(out, record)
    yield from _halving(out, record)
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


def _halving(out: Path, record: RunRecord) -> Iterator[str]:
    """Compare why a run was not trained in full with the short training where that is kept."""
    halved = record.found.halved
    if halved is None:
        return
    if halved.place <= halved.kept or halved.place > halved.of:
        yield f"found.halved has place {halved.place} of {halved.of}, of which {halved.kept} went on"
    try:
        kept = read_halving(out, halved.trial)
    except DataError as error:
        yield str(error)
        return
    if kept is not None and (kept.epochs, kept.trial.val_mse) != (halved.epochs, halved.val_mse):
        yield (
            f"found.halved has val MSE {halved.val_mse} after {halved.epochs} epochs, the training that is "
            f"kept {kept.trial.val_mse} after {kept.epochs}"
        )


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
    (truth, prediction), test = (of_targets(side, record.targets) for side in sides.values())
    val = (prediction - truth) / (np.array(record.target_high) - np.array(record.target_low))
    try:
        wrong = wrong_scores(record, val, test, _TOLERANCE)
    except DataError as error:
        yield str(error)
        return
    for name, said, found in wrong:
        yield f"{name} is {said} in the record, {found} by its predictions"
