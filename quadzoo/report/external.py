"""Outside predictors: what OCR, a language model or a person reads from the test images, as rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from quadzoo.data.finder import without_suffix
from quadzoo.data.numbers import number, spelling
from quadzoo.data.tables import open_table
from quadzoo.data.texts import key, plural, quoted
from quadzoo.data.texts import listed as columns_listed
from quadzoo.errors import ConfigError, DataError
from quadzoo.metrics import exact_share, image_errors
from quadzoo.records.baseline import MEAN
from quadzoo.records.predictions import columns_of, of_targets
from quadzoo.records.record import Metrics, sha256_of
from quadzoo.report.baseline_rows import baseline_rows
from quadzoo.report.baselines import in_words, is_name_of_baseline
from quadzoo.report.column import Column
from quadzoo.report.doubts import beaten_on_test
from quadzoo.report.judged import Judged
from quadzoo.report.results import Answer, Run
from quadzoo.report.rows import DOES_NOT_BEAT, ENSEMBLE, NO_EVIDENCE, Leaderboard, Outside, Row, is_baseline
from quadzoo.report.scores import mean_absolute, pooled, scores_as, truths_of
from quadzoo.report.text import listed, p_value_text, short
from quadzoo.report.verdicts import compare_with_baselines, compare_with_best, set_interval

_LONGEST_NAME = 40  # characters
_NAMED, _SHOWN = 3, 16  # ids in a message, and characters of each
_ENOUGH = 0.5  # of the test images of a table


class Extended(NamedTuple):
    """Leaderboards with the rows of outside predictors, and what a user should be warned of."""

    boards: list[Leaderboard]
    warnings: list[str]


def with_external(
    boards: Sequence[Leaderboard],
    runs: Sequence[Run],
    external: Mapping[str, Path],
    answers: Sequence[Answer] = (),
) -> Extended:
    """Return the leaderboards of ``runs`` with a last row for each outside predictor, a name and a CSV.

    The CSV has a column ``id``, or one whose cells are ids of test images, and one for each target, TARGET or
    TARGET_pred, in the target's own unit. Where it has both, TARGET_pred counts, since TARGET is the truth in
    a predictions.csv. A predictor is in each table of which it answers at least half of the test images;
    where there is none, in that of which it answers most. A test image that is not in the CSV counts with the
    mean error of ``mean-of-train``, and its targets as not exactly right. ``answers`` are those of the
    baselines that it is held against. Raises ConfigError for a name that a row has already, and DataError for
    a CSV that cannot be used.
    """
    found = [board.model_copy(update={"rows": list(board.rows)}) for board in boards]
    sides = [_test_side(board, runs) for board in boards]
    known = frozenset(one for side in sides for one in side.ids)
    warnings = []
    for name, path in external.items():
        read = _read(name, path, known)
        shares = [read.share_of(side) for side in sides]
        unfit = [n for n, board in enumerate(found) if shares[n] and not read.fits(board.targets)]
        if len(unfit) < sum(map(bool, shares)):
            shares = [0.0 if n in unfit else share for n, share in enumerate(shares)]
            warnings += [f"{path}: not in the table {found[n].title}: a target has no column" for n in unfit]
        if not any(shares):
            there = [one for side in sides for run in side.folds for one in run.test.index]
            raise DataError(
                f"`external` {name}: {path}: none of its ids ({_some(read.rows)}) is a test image with "
                f"predictions here ({_some(there) or 'there is none'})"
            )
        taken = [n for n, share in enumerate(shares) if share >= min(_ENOUGH, max(shares))]
        for place in taken:
            _check_name(name, found[place])
            found[place].rows.append(_row(read, sides[place], found[place], runs, answers))
        if ended := read.by_ending:
            n = f"{len(ended):,} path{'s are' if len(ended) > 1 else ' is'}"
            warnings.append(f"{path}: {n} taken for the test images that they end in ({_some(ended)})")
        used = {one for place in taken for one in sides[place].ids}
        if unknown := [one for one in read.rows if one not in used]:
            ids = "1 id is no test image" if len(unknown) == 1 else f"{len(unknown):,} ids are no test images"
            warnings.append(f"{path}: {ids} and not used ({_some(unknown)})")
    return Extended(found, warnings)


def outside(board: Leaderboard) -> str:
    """Return what is to be known of outside predictors; nothing without any."""
    told = []
    for row in board.rows:
        if row.outside is None:
            continue
        missing = row.outside.n_test - row.outside.answered
        text = f"{row.name} ({row.outside.file})"
        if missing:
            are = "test image is" if missing == 1 else "test images are"
            text += (
                f", of which {missing:,} of {row.outside.n_test:,} {are} missing and counted with the mean "
                "error of mean-of-train"
            )
            if row.outside.mse is not None:
                text += f" (on the others its MSE is {short(row.outside.mse)})"
        if row.times_best is not None:
            text += f", {short(row.times_best)} times the test MSE of the best row"
            text += "" if row.p_value is None else f" (p {p_value_text(row.p_value)})"
        if failed := beaten_on_test(row, board):
            text += f"; it {failed}"
        told.append(text)
    if not told:
        return ""
    return (
        f"Predicted outside of the bench: {listed(told, '; ')}. There are no val predictions, so no val MSE "
        "and no rank; what such a predictor has seen before is unknown."
    )


class _Side(NamedTuple):
    """The test images of a table: of each fold a run that has predicted them, all such runs, and all ids."""

    folds: list[Run]
    runs: list[Run]
    ids: frozenset[str]


class _Answers(NamedTuple):
    """A CSV of predictions as it was written: by id, the number of its line and its cells."""

    name: str
    path: Path
    header: list[str]
    rows: dict[str, tuple[int, list[str]]]
    by_ending: list[str]  # paths that were taken for the test image that they end in

    def share_of(self, side: _Side) -> float:
        """Return the share of a table's test images that are here."""
        return len(side.ids & self.rows.keys()) / len(side.ids) if side.ids else 0.0

    def fits(self, targets: Sequence[str]) -> bool:
        """Whether there is a column for each target."""
        return all({target, f"{target}_pred"} & {*self.header} for target in targets)


def _is_of(run: Run, board: Leaderboard) -> bool:
    own = run.record.data.hash, run.record.split.hash, run.record.targets
    return own == (board.data.hash, board.split.hash, board.targets)


def _test_side(board: Leaderboard, runs: Sequence[Run]) -> _Side:
    folds: dict[int, Run] = {}
    own = [run for run in runs if _is_of(run, board) and run.is_tested]
    for run in own:
        folds.setdefault(run.record.split.fold, run)
    members = [folds[fold] for fold in sorted(folds)]
    return _Side(members, own, frozenset(one for run in members for one in run.test.index))


def _read(name: str, path: Path, known: frozenset[str]) -> _Answers:
    """Read a CSV; ``known`` are the ids of test images, which it may write with folders and suffix."""
    if not os.path.isfile(path):  # a pipe could not be read twice, and a device never ends
        why = "it is no regular file" if os.path.exists(path) else "there is no such file"
        raise DataError(f"`external` {name}: {path}: {why}")

    def identity_of(cell: str) -> str:
        whole = key(cell)
        parts = whole.split("/")
        for start in range(len(parts)):  # `predict` writes the path that it was given
            ending = "/".join(parts[start:])
            for one in (ending, without_suffix(ending)):
                if one in known:
                    return one
        return whole

    rows: dict[str, tuple[int, list[str]]] = {}
    by_ending = []
    with open_table(path) as (header, lines):
        read = list(lines)
    for line, cells in read:
        if len(cells) != len(header):
            raise DataError(
                f"{path}: row {line}: {plural(len(cells), 'cell')} where the header has {len(header)}"
            )
    if not read:
        raise DataError(f"{path}: no rows under the header")
    hits = [sum(identity_of(cells[at]) in known for _, cells in read) for at in range(len(header))]
    places = [at for at, one in enumerate(header) if one == "id"]
    places = places or [at for at, n in enumerate(hits) if n and n == max(hits)]
    if len(places) != 1:
        raise DataError(
            f"{path}: needs one column id, or one whose cells are ids of test images; it has "
            f"{columns_listed(header)}"
        )
    for line, cells in read:
        identity = identity_of(cells[places[0]])
        if identity in rows:
            raise DataError(
                f"{path}: row {line}: id {quoted(identity)} is also in row {rows[identity][0]}; keep one"
            )
        rows[identity] = line, cells
        if identity not in (whole := key(cells[places[0]]), without_suffix(whole)):
            by_ending.append(whole)
    return _Answers(name, path, header, rows, by_ending)


def _check_name(name: str, board: Leaderboard) -> None:
    taken = {ENSEMBLE, *(one for row in board.rows for one in (row.name, row.backbone))}
    alike = name.strip().casefold()
    if alike in {one.strip().casefold() for one in taken} or is_name_of_baseline(alike):
        raise ConfigError(f"`external` {name}: the table has a row of that name; choose another")
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ConfigError(f"`external` {quoted(name)}: a name has 1 to {_LONGEST_NAME} printable characters")


def _row(
    answers: _Answers, side: _Side, board: Leaderboard, runs: Sequence[Run], of_baselines: Sequence[Answer]
) -> Row:
    scored, tests = [], []
    for run in side.folds:
        prediction, missing = _predictions(answers, run)
        metrics, test = _scored(answers, run, prediction, missing)
        scored.append((metrics, run.record.split))
        tests.append(test)
    row = Row.without_model(
        answers.name,
        **pooled(scored, truths_of(side.folds)),
        # Of the missing only the squared errors are known.
        test_mae=mean_absolute([of_targets(test, board.targets) for test in tests], board.targets)
        if side.ids <= answers.rows.keys()
        else None,
        leaky=False,
        outside=Outside(
            file=answers.path.name,
            sha256=sha256_of(answers.path, follow=True),
            answered=len(side.ids & answers.rows.keys()),
            n_test=len(side.ids),
        ),
        train_share=board.split.train_share,
    )
    everything = pd.concat(tests)
    if row.outside:
        row.outside.mse = _mean_error(everything[everything.index.isin(answers.rows)])
    ranked = [
        Judged(one, _runs_of(one, runs))
        for one in sorted((one for one in board.rows if one.rank), key=lambda one: one.rank or 0)
    ]
    if row.outside and row.outside.answered < row.outside.n_test:
        row.covers = "test images are missing"  # which have no spread of their own, so there is no test
        if ranked and ranked[0].row.test_mse and row.test_mse is not None:
            row.times_best = row.test_mse / ranked[0].row.test_mse
        known = [one for one in board.rows if is_baseline(one) and one.test_mse is not None]
        strongest = min(known, key=lambda one: one.test_mse or 0.0, default=None)
        row.verdict = NO_EVIDENCE
        if strongest and (strongest.test_mse or 0.0) <= (row.test_mse or 0.0):
            row.verdict = f"{DOES_NOT_BEAT} {in_words(strongest.backbone)}"
        return row
    set_interval(row, everything)
    compare_with_baselines(row, everything, baseline_rows([run.record for run in side.runs], of_baselines))
    if ranked:
        compare_with_best(row, everything, ranked)
    return row


def _mean_error(test: pd.DataFrame) -> float | None:
    """Return the mean error of some test images; None where targets are missing, which weighs them."""
    errors = test["error"]
    return float(errors.mean()) if len(errors) and np.isfinite(errors).all() else None


def _runs_of(row: Row, runs: Sequence[Run]) -> list[Run]:
    """Return the runs of a row with predictions."""
    return [
        run
        for run in runs
        if run.combination == row.combination
        and run.record.precision in row.precision.split(", ")
        and run.is_tested
    ]


def _predictions(answers: _Answers, run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return the predictions for a run's test images, float64 (N, T), and which are missing, bool (N,)."""
    places = [_column(answers, target, run.record.targets) for target in run.record.targets]
    values = np.full((len(run.test), len(places)), np.nan)
    found = [answers.rows.get(one) for one in run.test.index]
    for at, row in enumerate(found):
        if row is None:
            continue
        line, cells = row
        for column, place in enumerate(places):
            values[at, column] = number(cells[place])
            if np.isnan(values[at, column]):
                mend = spelling(cells[place]).mend or "leave the row out where nothing was read"
                raise DataError(
                    f"{answers.path}: row {line}: {quoted(answers.header[place])} is {quoted(cells[place])}, "
                    f"not a finite number; {mend}"
                )
    return values, np.array([row is None for row in found])


def _column(answers: _Answers, target: str, others: Sequence[str]) -> int:
    header = answers.header
    name = f"{target}_pred" if f"{target}_pred" in header else target
    if name == target and (other := next((one for one in others if f"{one}_pred" in header), None)):
        raise DataError(
            f"{answers.path}: it has {quoted(f'{other}_pred')}, but no {quoted(f'{target}_pred')}: is "
            f"{quoted(target)} predicted, or the truth? Name the predictions alike"
        )
    if header.count(name) != 1:
        problem = "no" if name not in header else "more than one"
        raise DataError(
            f"{answers.path}: {problem} column {quoted(name)} or {quoted(f'{target}_pred')}; it has "
            f"{columns_listed(header)}"
        )
    return header.index(name)


def _scored(
    answers: _Answers, run: Run, prediction: np.ndarray, missing: np.ndarray
) -> tuple[Metrics, pd.DataFrame]:
    """Return the scores on one fold, and its test images with their errors as those of a `Run`."""
    record = run.record
    truth, _ = run.answers
    if missing.any():
        mean = record.baselines.get(MEAN)
        if mean is None or mean.test_rmse is None:
            raise DataError(
                f"{answers.path}: {missing.sum():,} of {len(missing):,} test images are missing, and the "
                "records have no mean-of-train to count them with"
            )
        prediction[missing] = np.nan_to_num(truth[missing]) + [
            mean.test_rmse[target] for target in record.targets
        ]
    spread = np.array(record.target_high) - np.array(record.target_low)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = scores_as(record, truth, prediction)
        error = image_errors((prediction - truth) / spread, ~np.isnan(truth))
    nowhere = np.where(missing[:, None] & ~np.isnan(truth), np.inf, prediction)  # which is never right
    try:
        metrics = Metrics(
            test_mse=scores["mse"],
            test_exact=None if scores["exact"] is None else exact_share(nowhere, truth),
            test_rmse=scores["rmse"],
            test_r2=scores["r2"],
        )
    except ValidationError as wrong:
        largest = float(np.abs(prediction).max())
        raise DataError(f"{answers.path}: {largest:g} is too large to be scored") from wrong
    names = columns_of(record.targets).values()
    columns = {f"{name}_pred": prediction[:, place] for place, name in enumerate(names)}
    return metrics, run.test.assign(**columns, error=error)


def _some(ids: Sequence[str] | Mapping[str, object]) -> str:
    """Return the first few ids, for a message."""
    few = [one if len(one) <= _SHOWN else f"{one[:_SHOWN]}…" for one in list(ids)[:_NAMED]]
    return ", ".join(map(quoted, few)) + ", …" * (len(ids) > _NAMED)


ANSWERED: Column[Row] = Column(
    name="answered",
    heading="answered",
    meaning="test images that an outside predictor has answered; the others count with the mean error of "
    "`mean-of-train`",
    value=lambda row: row.outside.answered if row.outside else None,
    text=lambda row: f"{row.outside.answered:,} of {row.outside.n_test:,}" if row.outside else "",
    priority=4,
)
