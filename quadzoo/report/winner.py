"""Which runs of a results folder to predict with, by its leaderboard: the best, or the ensemble."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from quadzoo.data.texts import listed
from quadzoo.errors import ConfigError, DataError
from quadzoo.records.record import run_folder
from quadzoo.records.suite import is_suite
from quadzoo.report.baselines import in_words
from quadzoo.report.captions import left_out
from quadzoo.report.caveats import restless
from quadzoo.report.doubts import against, beaten_on_test
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from quadzoo.report.rows import ENSEMBLE, INCOMPLETE, Leaderboard, Row
from quadzoo.report.text import apart

BEST = "best"
NAMES = (BEST, ENSEMBLE)
_DEFAULT_OUT = Path("results")
_DIGITS = 8  # of a key, where several are named


class Chosen(NamedTuple):
    """The folders of runs, each with its weight in their mean prediction; what they are; what to warn of."""

    runs: list[tuple[Path, float]]
    told: str
    warnings: list[str]


def chosen(name: str, out: Path) -> Chosen:
    """Return the runs that ``best`` or ``ensemble`` stand for in a results folder.

    ``best`` is the best row's seed with the lowest val MSE; of several folds the mean of their models.
    Raises DataError where there is no leaderboard, and ConfigError where there are several, or no such row.
    """
    board = _board(name, out)
    best = board.best
    if name == ENSEMBLE:
        return _ensemble(board, out)
    if best is None or not best.details.runs:
        raise ConfigError(f"{name}: no finished run of {out} has predictions to judge it by; name a run")
    told = f"{name} is {best.name}, seed {best.details.worst_seed}: run {', '.join(best.details.runs)}"
    warnings = [*_left_out(board), *_warnings(board, best)]
    return Chosen([(run_folder(out, key), 1.0) for key in best.details.runs], told, warnings)


def next_step(board: Leaderboard, out: Path, plugin: Sequence[Path] = ()) -> str:
    """Return the command that uses the best row, or that it beats nothing; nothing without a finished run.

    ``plugin`` are the one-file plugins of the bench, which it needs as well.
    """
    best = board.best
    if best is None or not best.details.runs:
        return ""
    if warnings := _warnings(board, best):
        hangs = any(row.otherwise for row in board.rows)
        return f"{warnings[0]} {restless(board) if hangs else ''}".rstrip()
    keys = best.details.runs
    words = ["quadzoo predict", ",".join(key[:_DIGITS] if len(keys) > 1 else key for key in keys), "IMAGES"]
    words += [] if out == _DEFAULT_OUT else ["--out", shlex.quote(str(out))]
    words += [f"--plugin {shlex.quote(str(file))}" for file in plugin]
    return f"to use {best.name} on new images: {' '.join(words)}"


def _board(name: str, out: Path) -> Leaderboard:
    """Return the only leaderboard of a results folder."""
    if is_suite(out):
        raise ConfigError(f"{name}: {out} holds a suite; give the folder of one of its sets with `out`")
    if not os.path.isdir(out / "runs"):
        raise DataError(f"{name}: {out} is no results folder (it has no runs/); give one with `out`")
    results = read_runs([out])
    boards = leaderboards(results.runs, results.unreadable, results.answers)
    if not boards:
        raise DataError(f"{name}: {out} has no run that can be read; give another folder with `out`")
    if len(boards) > 1:
        names = "; ".join(one.title for one in boards[:3])
        raise ConfigError(
            f"{name}: {out} has {len(boards)} tables: {names}{'; …' * (len(boards) > 3)}. Name a run by the "
            "beginning of its key"
        )
    return boards[0]


def _ensemble(board: Leaderboard, out: Path) -> Chosen:
    row = next((row for row in board.rows if row.members), None)
    if row is None and board.unreadable:
        raise ConfigError(f"{ENSEMBLE}: {out} has none: {_left_out(board)[0]}")
    if row is None:
        raise ConfigError(
            f"{ENSEMBLE}: {out} has none, since no mean of its runs has a lower val MSE than the best alone; "
            "say best, or name runs with commas between them"
        )
    folds = {member.fold for member in row.members}
    runs = [(run_folder(out, member.key), member.weight / len(folds)) for member in row.members]
    baseline = board.best_baseline
    warnings = _left_out(board)
    if baseline and (row.val_mse or 0.0) >= (baseline.val_mse or 0.0):
        means = " against ".join(apart(row.val_mse, baseline.val_mse))
        warnings.append(f"{row.name} does not beat {in_words(baseline.backbone)} (val MSE {means})")
    elif failed := beaten_on_test(row, board):
        warnings.append(f"{row.name} {failed}")
    names = listed([f"{member.key[:_DIGITS]} × {member.weight / len(folds):.2g}" for member in row.members])
    return Chosen(runs, f"{row.name} is the mean of {len(runs)} runs: {names}", warnings)


def _left_out(board: Leaderboard) -> list[str]:
    """Return the warning that runs are not in the leaderboard, so that another may be the best."""
    return [left_out(board.unreadable)] if board.unreadable else []


def _warnings(board: Leaderboard, best: Row) -> list[str]:
    if best.verdict == INCOMPLETE:
        return [f"no row is complete: runs of {best.name} failed or are missing, so it may not be the best"]
    return against(board)
