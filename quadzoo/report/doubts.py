"""What speaks against the best row: baselines that it does not beat, targets that it does not read."""

from __future__ import annotations

import math

from quadzoo.records.baseline import MEAN
from quadzoo.report.baselines import in_words
from quadzoo.report.rows import DOES_NOT_BEAT, Leaderboard, Row, Unread, is_baseline
from quadzoo.report.text import listed, share_text, short
from quadzoo.report.verdicts import ALPHA

_FEW_VAL, _TARGETS = 30, 6  # val images; targets that are named


def beaten(board: Leaderboard) -> str:
    """Return that the best network does not beat the best baseline; nothing where it does."""
    best, baseline = board.best, board.best_baseline
    if best is None or baseline is None or best.beats_baselines:
        return ""
    name, val = in_words(baseline.backbone), (short(best.val_mse), short(baseline.val_mse))
    if (best.val_mse or 0.0) >= (baseline.val_mse or 0.0):
        text = f"No network beats {name} on the validation images (MSE {val[0]} against {val[1]})"
        if board.split.folds == 1 and board.split.n_val < _FEW_VAL:
            n = board.split.n_val
            return f"{text}. Of so few, {n}, much is luck: 5 folds would test networks on all images."
        text += ": none of them is worth using."
        if baseline.test_mse is not None and (best.test_mse or math.inf) < baseline.test_mse:
            means = f"{short(best.test_mse)} against {short(baseline.test_mse)}"
            text += f" On the test images {best.name} has a lower MSE ({means}), but val decides: with more "
            text += "images it may agree."
        return text
    # The one that it fails against may be another than the best by val.
    failed = best.verdict.removeprefix(DOES_NOT_BEAT).strip()
    baseline = next((row for row in board.rows if in_words(row.backbone) == failed), baseline)
    name, own, its = in_words(baseline.backbone), short(best.test_mse), short(baseline.test_mse)
    text = f"{best.name} does not beat {name}: on the test images its MSE, {own}, is "
    if (best.test_mse or 0.0) >= (baseline.test_mse or 0.0):
        text += f"no lower than {its}."
    else:
        text += f"not significantly lower than {its} (α = 0.05)."
    if best.p_baseline is None and best.test_mse_low is None and best.covers:
        text += f" No test is possible: {best.covers}."
    others = [row for row in board.rows if row.complete and row.beats_baselines]
    if tested := [row.name for row in others if row.p_baseline is not None]:
        text += f" {listed(tested)} {'do' if len(tested) > 1 else 'does'}."
    if untested := [row.name for row in others if row.p_baseline is None]:
        text += f" {listed(untested)}: lower by val, without a test."
    return text


def doubted(board: Leaderboard) -> str:
    """Return that the best row, lower by val, is no better than a baseline on test; nothing where it is.

    With three seeds and more the verdict says so: there is a test then.
    """
    best = board.best
    if best is None or not best.beats_baselines or best.p_baseline is not None or best.test_mse is None:
        return ""
    known = [row for row in board.rows if is_baseline(row) and row.test_mse is not None]
    strongest = min(known, key=lambda row: row.test_mse or 0.0, default=None)
    if strongest is None or best.test_mse < (strongest.test_mse or 0.0):
        return ""
    return (
        f"{best.name} has a lower val MSE than all baselines, but on the test images {short(best.test_mse)}, "
        f"no lower than {short(strongest.test_mse)} of {in_words(strongest.backbone)}: nothing shows that it "
        "is worth using."
    )


def unread(board: Leaderboard) -> str:
    """Return which targets the best row does not read better than a baseline; nothing without any."""
    best = board.best
    if best is None:
        return ""
    found = best.unread
    if not best.beats_baselines and len(found) == len(board.targets):
        found = [one for one in found if one.baseline == MEAN]  # of the others `beaten` tells
    return " ".join(_unread(best, one) for one in found[:_TARGETS]) + (
        f" So it is with {len(found) - _TARGETS} more targets." if len(found) > _TARGETS else ""
    )


def _unread(row: Row, one: Unread) -> str:
    share = "" if one.r2 is None else f" (R² {share_text(one.r2)})"
    if one.baseline == MEAN:
        return f"{row.name} does not read {one.target}{share}."
    return f"{row.name} does not read {one.target} better than {in_words(one.baseline)}{share}."


def contradicted(board: Leaderboard) -> str:
    """Return which rows are significantly better on test than the best by val; nothing without any."""
    rows = [
        f"{row.name} ({short(row.times_best)}×)"
        for row in board.rows
        if row.rank and row.p_value is not None and row.p_value < ALPHA and (row.times_best or 1.0) < 1
    ]
    if not rows or board.best is None:
        return ""
    return (
        f"On the test images {listed(rows)} {'have' if len(rows) > 1 else 'has'} a significantly lower MSE "
        f"than {board.best.name}, the best by val (α = 0.05): val does not tell which is better here."
    )
