"""The leaderboard in sentences: which backbone, how sure, at what cost, and what it gets wrong."""

from __future__ import annotations

from quadzoo.report.rows import Leaderboard, Row
from quadzoo.report.tables import ends, listed, milliseconds, percent, short

_ROUNDING = 1e6


def answers(board: Leaderboard) -> dict[str, str]:
    """Return question and answer; nothing where no run has finished."""
    best = board.best
    if best is None:
        return {}
    return {
        "Which backbone?": _which(board, best),
        "How sure is that?": _how_sure(board, best),
        "What does it cost?": _cost(board, best),
        "What does it get wrong?": _wrong(best),
    }


def _which(board: Leaderboard, best: Row) -> str:
    mean = next((row for row in board.rows if row.backbone == "mean-of-train"), None)
    text = f"{best.name} has the lowest val MSE; on the test images its MSE is {short(best.test_mse)}"
    if mean and mean.test_mse and best.test_mse:
        ratio = mean.test_mse / best.test_mse
        text += f", always answering the mean gives {short(mean.test_mse)}"
        # Beyond that it is the rounding of float32 that is measured.
        text += f" ({short(ratio)} times as much)" if ratio < _ROUNDING else ""
    if board.split.leaky:
        text += ". The split leaks, so no figure here tells how well new images are read"
    return f"{text}."


def _how_sure(board: Leaderboard, best: Row) -> str:
    seeds = f"{best.seeds} seed{'s' * (best.seeds > 1)}"
    text = "" if best.test_mse_low is None else f"95 % interval {ends(best)} from {seeds}. "
    tied = [row.name for row in board.rows if row.tied and row is not best]
    if tied:
        text += f"At 5 % it cannot be told from {listed(tied)}. "
    others = [row for row in board.rows if row.head != "-" and row.val_mse is not None and row is not best]
    if others and all(row.p_value is not None and not row.tied for row in others):
        text += "At 5 % every other row is worse. "
    if board.evidence != "publish":
        test = "smoke test" if board.evidence == "smoke" else "screening"
        text += f"With so few seeds this is only a {test}, not a ranking to publish."
    return text.strip()


def _cost(board: Leaderboard, best: Row) -> str:
    text = f"{best.name}: {_price(best)}."
    same = [row for row in board.rows if row.tied and row.cost.device == best.cost.device]
    quick = min(same, key=lambda row: row.cost.latency_ms or float("inf"), default=best)
    if quick is not best:
        text += (
            f" The quickest that cannot be told from it is {quick.name}: {_price(quick)}, "
            f"test MSE {short(quick.test_mse)}."
        )
    return text


def _price(row: Row) -> str:
    cost = row.cost
    parts = [
        cost.latency_ms is not None and f"{milliseconds(cost.latency_ms)} an image",
        cost.fit_seconds is not None and f"{cost.fit_seconds:,.0f} s of training",
        cost.params is not None and f"{cost.params / 1e6:.1f} M parameters",
    ]
    return ", ".join(part for part in parts if part) + f" ({cost.device})"


def _wrong(best: Row) -> str:
    if best.test_exact == 1:
        return "Nothing: every target is exactly right, after rounding, in every test image."
    rmse = best.test_rmse or {}
    text = f"Root mean squared errors: {listed([f'{name} {short(value)}' for name, value in rmse.items()])}."
    if best.test_exact is not None:
        text += f" Every target is exactly right, after rounding, in {percent(best.test_exact)} of images."
    kinds = sorted(best.details.kinds, key=lambda one: -one.test_mse)
    if len(kinds) > 1:
        worst = kinds[0]
        text += f" It is worst at {worst.kind} ({worst.n} images): MSE {short(worst.test_mse)}, "
        text += f"against {short(kinds[-1].test_mse)} at {kinds[-1].kind}."
    return text
