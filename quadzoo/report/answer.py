"""The leaderboard in sentences: which backbone, how sure, at what cost, and what it gets wrong."""

from __future__ import annotations

from quadzoo.records.baseline import MEAN
from quadzoo.report.baselines import in_words
from quadzoo.report.captions import evidence
from quadzoo.report.columns import interval_text
from quadzoo.report.doubts import against, beaten, doubted, has_seen, unread
from quadzoo.report.learning import more_images
from quadzoo.report.rows import INCOMPLETE, NOT_WORSE, WORSE, Leaderboard, Row
from quadzoo.report.text import apart, listed, millions, milliseconds, percent, seconds, share_text, short

_NAMED = 3  # rows, where there are several more; the table has all
_ROUNDING = 1e6  # ratios of errors beyond this measure the rounding of float32


def answers(board: Leaderboard) -> dict[str, str]:
    """Return question and answer; nothing where no run has finished."""
    best = board.best
    if best is None:
        return {}
    if best.verdict == INCOMPLETE:
        nothing = "No row is complete, so none is recommended: runs of every row failed or are missing."
        return {"Which backbone?": nothing}
    more = {"Would more images help?": told} if (told := more_images(board)) else {}
    reasons = against(board)
    if beaten(board) or doubted(board):
        return {"Which backbone?": reasons[0], "How sure is that?": evidence(board), **more}
    return {
        "Which backbone?": " ".join([_which(board, best), *reasons]),
        "How sure is that?": _how_sure(board, best),
        "What does it cost?": _cost(board, best),
        "What does it get wrong?": _wrong(board, best),
        **more,
    }


def errors_in_words(row: Row) -> str:
    """Return RMSE and R² of each target on the test images."""
    r2 = row.test_r2 or {}
    errors = [
        f"{name}: RMSE {short(value)}"
        + ("" if (share := r2.get(name)) is None else f", R² {share_text(share)}")
        for name, value in (row.test_rmse or {}).items()
    ]
    return listed(errors, "; ")


def _which(board: Leaderboard, best: Row) -> str:
    mean = next((row for row in board.rows if row.backbone == MEAN), None)
    text = f"{best.name} has the lowest val MSE. Its test MSE is {short(best.test_mse)}"
    strongest = board.best_baseline
    told = [strongest, mean] if strongest is not None and strongest is not mean else [mean]
    for row in told:
        if row and row.test_mse and best.test_mse:
            ratio = row.test_mse / best.test_mse
            text += f"; {in_words(row.backbone)} gives {apart(row.test_mse, best.test_mse)[0]}"
            text += f" ({short(ratio)} times as much)" if ratio < _ROUNDING else ""
    return f"{text}."


def _how_sure(board: Leaderboard, best: Row) -> str:
    seeds = f"{best.seeds} seed{'s' * (best.seeds > 1)}"
    parts = []
    if best.test_mse_low is not None:
        parts.append(f"95 % interval {interval_text(best)} from {seeds}, for {best.covers}.")
    if best.p_best is not None and best.rank_high is not None:
        places = "first" if best.rank_high == 1 else f"among the first {best.rank_high}"
        last = max(row.rank or 0 for row in board.rows)
        parts.append(
            f"With other images and seeds it would have the lowest val MSE with a probability of "
            f"{percent(best.p_best)}"
            + ("." if best.rank_high == last else f", and be {places} in 95 % of cases.")
        )
    near = _near(board)
    same = [f"{row.name} ({short(row.times_best)}×)" for row in near]
    if len(near) > _NAMED + 1:
        largest = max(row.times_best or 0.0 for row in near[_NAMED:])
        same[_NAMED:] = [f"{len(near) - _NAMED} more (up to {short(largest)}×)"]
    if same:
        parts.append(
            f"Not significantly worse (α = 0.05), with the multiple of its test MSE: {listed(same)}."
        )
    others = [row for row in board.rows if row.rank is not None and row is not best]
    if others and all(row.verdict == WORSE for row in others):
        parts.append("Every other ranked row is significantly worse (α = 0.05).")
    if board.evidence != "publish":
        parts.append(evidence(board))
    return " ".join(parts)


def _cost(board: Leaderboard, best: Row) -> str:
    text = f"{best.name}: {_price(best)}."
    same = [row for row in _near(board) if row.cost.device == best.cost.device]
    fastest = min([best, *same], key=lambda row: row.cost.latency_ms or float("inf"))
    if fastest is not best:
        text += (
            f" The fastest row that is not significantly worse is {fastest.name}: {_price(fastest)}, "
            f"test MSE {short(fastest.test_mse)} ({short(fastest.times_best)}×)."
        )
    return text


def _near(board: Leaderboard) -> list[Row]:
    """Return the rows that are not significantly worse, without those that had seen the images before."""
    return [row for row in board.rows if row.verdict == NOT_WORSE and not has_seen(row)]


def _with_all(board: Leaderboard) -> str:
    return " that have all targets" if board.split.known else ""


def _price(row: Row) -> str:
    cost = row.cost
    parts = [
        cost.latency_ms is not None and f"{milliseconds(cost.latency_ms)} per image",
        cost.fit_seconds is not None and f"{seconds(cost.fit_seconds)} of training",
        cost.params is not None and f"{millions(cost.params)} parameters",
    ]
    return ", ".join(part for part in parts if part) + f" ({cost.device})"


def _wrong(board: Leaderboard, best: Row) -> str:
    if best.test_exact == 1 and board.split.known is None:
        return "Nothing: every target is exactly right, after rounding, in every test image."
    text = f"{errors_in_words(best)}."
    if told := unread(board):
        text += f" {told}"
    if best.test_exact is not None:
        share = percent(best.test_exact)
        text += f" Every target is exactly right, after rounding, in {share} of images{_with_all(board)}."
    kinds = sorted(best.details.kinds, key=lambda one: -one.test_mse)
    if len(kinds) > 1:
        worst, least = kinds[0], kinds[-1]
        most, fewest = apart(worst.test_mse, least.test_mse)
        text += f" The kind of image with the largest error is {worst.kind} ({worst.n} images): "
        text += f"MSE {most}, against {fewest} for {least.kind}."
    return text
