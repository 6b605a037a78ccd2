"""What speaks against the best row: baselines that it does not beat, targets that it does not read."""

from __future__ import annotations

import math
from collections.abc import Sequence

from quadzoo.data.texts import one_name
from quadzoo.records.baseline import MEAN
from quadzoo.records.recipes import usual_epochs
from quadzoo.report.baselines import in_words
from quadzoo.report.rows import DOES_NOT_BEAT, INCOMPLETE, Leaderboard, Row, Unread, is_baseline
from quadzoo.report.statistics import FEWEST_SEEDS
from quadzoo.report.statistics.images import TOO_FEW
from quadzoo.report.text import apart, listed, share_text, short
from quadzoo.report.verdicts import ALPHA, READ

_FEW_VAL, _TARGETS = 30, 6  # val images; targets that are named
_NEAR = 1.5  # times an MSE: what few images may give by chance


def beaten(board: Leaderboard) -> str:
    """Return that the best network does not beat the best baseline; nothing where it does."""
    best, baseline = _whole(board), board.best_baseline
    if best is None or baseline is None or best.beats_baselines:
        return ""
    name, val = in_words(baseline.backbone), apart(best.val_mse, baseline.val_mse)
    if (best.val_mse or 0.0) >= (baseline.val_mse or 0.0):
        text = f"No network beats {name} on the validation images (MSE {val[0]} against {val[1]})"
        if lower := _unfinished(board, baseline):
            return (
                f"{text} but {lower}: runs of these failed or are missing, and the same command repeats them."
            )
        n, near = board.split.n_val, (best.val_mse or 0.0) < _NEAR * (baseline.val_mse or 0.0)
        if near and board.split.folds == 1 and n < _FEW_VAL:
            return f"{text}. Of so few, {n}, much is luck: 5 folds would test networks on all images."
        if near and best.covers and best.test_mse_low is None:
            text += f", which may be luck: no difference can be tested ({best.covers})."
            return text + to_test(board, best)
        text += _of_no_use(board, best)
        if baseline.test_mse is not None and (best.test_mse or math.inf) < baseline.test_mse:
            means = " against ".join(apart(best.test_mse, baseline.test_mse))
            text += f" On the test images {best.name} has a lower MSE ({means}), but val decides: with more "
            text += "images it may agree."
        return text
    # The one that it fails against may be another than the best by val.
    failed = best.verdict.removeprefix(DOES_NOT_BEAT).strip()
    baseline = next((row for row in board.rows if in_words(row.backbone) == failed), baseline)
    name, (own, its) = in_words(baseline.backbone), apart(best.test_mse, baseline.test_mse)
    text = f"{best.name} does not beat {name}: on the test images its MSE, {own}, is "
    if (best.test_mse or 0.0) >= (baseline.test_mse or 0.0):
        text += f"no lower than {its}."
    else:
        text += f"not significantly lower than {its} (α = 0.05)."
    if best.p_baseline is None and best.test_mse_low is None and best.covers:
        text += f" No test is possible: {best.covers}.{to_test(board, best)}"
    others = [row for row in board.rows if row.complete and row.beats_baselines]
    if tested := [row.name for row in others if row.p_baseline is not None]:
        text += f" {listed(tested)} {'do' if len(tested) > 1 else 'does'}."
    if untested := [row.name for row in others if row.p_baseline is None]:
        text += f" {listed(untested)}: lower by val, without a test."
    return text


def _whole(board: Leaderboard) -> Row | None:
    """Return the best row, None where that is incomplete: then it has no verdict that these are about."""
    return None if board.best is None or board.best.verdict == INCOMPLETE else board.best


def _unfinished(board: Leaderboard, baseline: Row) -> str:
    """Return which incomplete rows have a lower val MSE than a baseline; nothing without any."""
    rows = [row for row in board.rows if row.verdict == INCOMPLETE and row.val_mse is not None]
    val = baseline.val_mse or 0.0
    return listed(
        [f"{row.name} ({apart(row.val_mse, val)[0]})" for row in rows if (row.val_mse or 0.0) < val]
    )


def _of_no_use(board: Leaderboard, best: Row) -> str:
    """Return what follows from that no network beats a baseline: of frozen ones not much."""
    if all(row.frozen for row in board.rows if row.seeds):
        return (
            ": with frozen features none of them is worth using; trained in full, without `--freeze`, they "
            "may be."
        )
    return f": none of them is worth using.{brief([best])}"


def brief(rows: Sequence[Row], where: str = "") -> str:
    """Return that rows were trained for less than the recipe takes by itself; nothing where none was.

    Rows of no epochs are models that were only tested. ``where`` begins the sentence, such as "On digits".
    """
    known = [
        (row.epochs, usual_epochs(row.recipe, round(row.n_train)))
        for row in rows
        if row.recipe is not None and row.epochs and row.n_train is not None
        and row.recipe["epochs"] != "auto"
    ]  # fmt: skip
    short_of = [(epochs, usual) for epochs, usual in known if epochs < usual]
    if not short_of:
        return ""
    epochs, usual = (_range(numbers) for numbers in zip(*short_of, strict=True))
    number = f"{epochs} epoch{'s' * (epochs != '1')}"
    they = f"{where} they" if where else "They"
    return f" {they} were trained for {number}, where `--epochs auto` takes {usual}: that may be why."


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def doubted(board: Leaderboard) -> str:
    """Return that the best row, lower by val, is no better than a baseline on test; nothing where it is.

    With three seeds and more the verdict says so: there is a test then.
    """
    best = _whole(board)
    if best is None or not best.beats_baselines or best.p_baseline is not None or best.test_mse is None:
        return ""
    known = [row for row in board.rows if is_baseline(row) and row.test_mse is not None]
    strongest = min(known, key=lambda row: row.test_mse or 0.0, default=None)
    if strongest is None or best.test_mse < (strongest.test_mse or 0.0):
        return ""
    own, its = apart(best.test_mse, strongest.test_mse)
    return (
        f"{best.name} has a lower val MSE than all baselines, but on the test images {own}, "
        f"no lower than {its} of {in_words(strongest.backbone)}: nothing shows that it "
        "is worth using."
    )


def beaten_on_test(row: Row, board: Leaderboard) -> str:
    """Return how a row that does not beat a baseline compares with it on test; nothing for one that does."""
    if row.beats_baselines:
        return ""
    name = row.verdict.removeprefix(DOES_NOT_BEAT).strip()
    baseline = next((one for one in board.rows if in_words(one.backbone) == name), None)
    if baseline is None or baseline.test_mse is None or row.test_mse is None:
        return f"{row.verdict} on the test images"
    significantly = "significantly " * (row.test_mse < baseline.test_mse)
    means = " against ".join(apart(row.test_mse, baseline.test_mse))
    return f"is not {significantly}better than {name} on the test images (MSE {means})"


def unread(board: Leaderboard) -> str:
    """Return which targets the best row does not read better than a baseline; nothing without any."""
    best = _whole(board)
    if best is None:
        return ""
    found = sorted(best.unread, key=lambda one: one.open)  # what is certain first
    if not best.beats_baselines and len(found) == len(board.targets):
        # Of a single target, and of what tests leave open, `beaten` tells.
        several = len(found) > 1
        found = [one for one in found if one.baseline == MEAN or (several and not one.open)]
    return " ".join(_unread(board, best, one) for one in found[:_TARGETS]) + (
        f" So it is with {len(found) - _TARGETS} more targets." if len(found) > _TARGETS else ""
    )


def _unread(board: Leaderboard, row: Row, one: Unread) -> str:
    name, share = one_name(one.target), "" if one.r2 is None else f" (R² {share_text(one.r2)})"
    if one.baseline == MEAN and not one.open:
        best = board.best_baseline
        its = ((best and best.test_r2) or {}).get(one.target)
        if best is None or best.backbone == MEAN or its is None or its < READ or its <= (one.r2 or 0.0):
            return f"{row.name} does not read {name}{share}."
        return (
            f"{row.name} does not read {name}{share}; {in_words(best.backbone)} does (R² {share_text(its)})."
        )
    baseline = next((other for other in board.rows if other.backbone == one.baseline), None)
    its = ((baseline and baseline.test_r2) or {}).get(one.target)
    if one.r2 is not None and its is not None and one.baseline != MEAN:
        share = f" (R² {' against '.join(apart(one.r2, its, share_text, 2))})"
    if one.open:
        than = in_words(one.baseline)
        return f"That {row.name} reads {name} better than {than} is not significant{share}."
    return f"{row.name} does not read {name} better than {in_words(one.baseline)}{share}."


def seen(board: Leaderboard) -> str:
    """Return the warning that rows started from models that had seen images of val or test."""
    warnings = [f"{row.name} {told}" for row in board.rows if (told := has_seen(row))]
    return f"{listed(warnings)}: such scores are too optimistic." if warnings else ""


def has_seen(row: Row) -> str:
    """Return that a row started from a model that had seen images of val or test; nothing where none did."""
    overlap = row.overlap
    sides = [] if overlap is None else [
        ("test", overlap.test, overlap.n_test), ("validation", overlap.val, overlap.n_val)
    ]  # fmt: skip
    found = [f"{count:,} of the {n:,} {side} images" for side, count, n in sides if count]
    return f"started from a model trained on {listed(found)}" if found else ""


def against(board: Leaderboard) -> list[str]:
    """Return why the best row may not be the one to take, each reason a sentence or more."""
    best = board.best
    told = f"{best.name} {one}: its rank is too good." if best and (one := has_seen(best)) else ""
    failed = beaten(board) or doubted(board) or untestable(board)
    return [one for one in (failed, told, contradicted(board), leaked(board)) if one]


def untestable(board: Leaderboard) -> str:
    """Return that the best row has no lower MSE than baselines by any test, since none is possible."""
    best, baseline = _whole(board), board.best_baseline
    if best is None or baseline is None or best.seeds < FEWEST_SEEDS:
        return ""  # of fewer seeds other sentences tell
    if not best.beats_baselines or best.p_baseline is not None:
        return ""
    if best.test_mse_low is not None or not best.covers:
        return ""
    name = in_words(baseline.backbone)
    return f"Whether {best.name} is better than {name} cannot be tested: {best.covers}.{to_test(board, best)}"


def to_test(board: Leaderboard, row: Row) -> str:
    """Return how to test a row on enough images or groups, a sentence after a space; nothing where it is."""
    if row.test_mse_low is not None or TOO_FEW not in row.covers:
        return ""
    what = "groups" if board.split.group_column else "images"
    if board.split.name == "grouped" and board.split.folds == 1:
        return f" `--folds 5` would test networks on all {what}; if these are too few, it takes more {what}."
    return f" It takes more {what}."


def leaked(board: Leaderboard) -> str:
    """Return that scores on test images that were seen in training show little; nothing where none were."""
    if not board.split.leaky:
        return ""
    return (
        f"{board.split.leaked:,} of {board.split.n_test:,} test images {board.split.also_in_training}: "
        "the scores do not show how well new images are read."
    )


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
