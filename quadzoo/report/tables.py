"""Leaderboards as csv and json, and as cells and sentences for any other table."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from quadzoo.report.rows import Conflict, Leaderboard, Row

# From the row itself, and from its cost.
COLUMNS = (
    "rank", "backbone", "head", "weights", "seeds", "failed", "val_mse", "test_mse", "test_mse_low",
    "test_mse_high", "test_exact", "params", "gmacs", "train_images_per_second", "latency_ms",
    "fit_seconds", "leaky", "image_size", "precision", "epochs", "plugins", "combination", "tied", "p_value",
    "latency_p95_ms", "images_per_second", "inference_batch", "peak_memory_mb", "fit_energy_joules", "device",
    "data", "data_hash", "split", "split_hash", "frozen",
)  # fmt: skip
_COUNTS = ("rank", "params", "epochs", "inference_batch")

# The last ones are the first to go on a narrow terminal.
_HEADINGS = (
    "rank", "backbone", "head", "weights", "seeds", "val MSE", "test MSE", "95 % interval", "exact",
    "params", "GMACs", "train img/s", "latency", "fit", "epochs", "size", "precision", "plugins",
)  # fmt: skip

_NAMED = 6  # in a sentence


def to_csv(boards: Sequence[Leaderboard]) -> str:
    """Return the rows of all leaderboards as CSV, with the columns of `COLUMNS`."""
    rows = []
    for board in boards:
        task = {
            "data": board.data.name,
            "data_hash": board.data.hash,
            "split": board.split.name,
            "split_hash": board.split.hash,
        }
        rows += [{**row.cost.model_dump(), **row.model_dump(), **task} for row in board.rows]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    # Counts stay whole numbers where a row has none.
    return str(table.astype(dict.fromkeys(_COUNTS, "Int64")).to_csv(index=False))


def to_json(boards: Sequence[Leaderboard], conflicts: Sequence[Conflict] = ()) -> str:
    """Return everything as JSON: the first leaderboard, and the ``more`` there are in the same shape."""
    first, *more = (board.model_dump(mode="json") for board in boards) if boards else (_NOTHING,)
    document = {**first, "more": more, "conflicts": [one.model_dump(mode="json") for one in conflicts]}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


_NOTHING: dict[str, object] = {
    "data": None, "split": None, "evidence": None, "devices": [], "versions": {}, "rows": [],
}  # fmt: skip


def headings() -> tuple[str, ...]:
    """Return the headings that `cells` fills."""
    return _HEADINGS


def captions(board: Leaderboard) -> list[str]:
    """Return what a reader must know before the figures, a paragraph each."""
    texts = [task(board), leak(board), trust(board), machines(board)]
    return [text for text in texts if text]


def task(board: Leaderboard) -> str:
    """Return what was measured."""
    data, split = board.data, board.split
    sides = f"{split.n_train:,} train, {split.n_val:,} val, {split.n_test:,} test"
    folds = f", {split.folds} folds, about {sides} each" if split.folds > 1 else f" ({sides})"
    images = f"{data.n:,} images, {data.duplicates:,} of them duplicates"
    return f"{data.name}: {images}; split {split.name}{folds}."


def leak(board: Leaderboard) -> str:
    """Return the warning that a split leaks; nothing where it does not."""
    split = board.split
    if not split.leaky:
        return ""
    return (
        f"This split leaks: {split.leaked:,} of {split.n_test:,} test images also stand in train or val, "
        "so the test figures are too good to be true."
    )


def trust(board: Leaderboard) -> str:
    """Return how far the order can be trusted."""
    if board.evidence is None:
        return "No run has finished."
    fewest = min(row.seeds for row in board.rows if row.seeds)
    seeds = f"{fewest} seed{'s' * (fewest > 1)} a row"
    covered = "the test images and the seeds" if fewest > 1 else "the test images alone, not the seeds"
    grade = {
        "smoke": f"Evidence: smoke ({seeds}), a look at what works, no claim of rank.",
        "screen": f"Evidence: screen ({seeds}), enough to drop the worst, no claim of rank.",
        "publish": f"Evidence: publish ({seeds}).",
    }[board.evidence]
    ties = sum(row.tied for row in board.rows) - 1
    others, share = ("1 other row", "shares") if ties == 1 else (f"{ties} other rows", "share")
    tied = f" {others} cannot be told from the best at 5 % and {share} its rank (=)." if ties > 0 else ""
    return f"{grade} Sorted by val MSE; the 95 % interval of test MSE covers {covered}.{tied}"


def machines(board: Leaderboard) -> str:
    """Return where the costs were measured."""
    if not board.devices:
        return ""
    first, *others = board.devices
    text = f"Costs measured on {first}."
    strangers = [row.name for row in board.rows if row.cost.device not in ("", first)]
    if strangers:
        text += f" Those of {listed(strangers)} were measured on another machine and do not compare."
    elif others:
        text += " Runs on other machines are left out of the costs."
    return text


def listed(names: Sequence[str]) -> str:
    """Return names in a sentence; where there are many, how many more."""
    more = len(names) - _NAMED
    if more > 1:
        return f"{', '.join(names[:_NAMED])} and {more} more"
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def cells(row: Row) -> list[str]:
    """Return a row's cells as short texts for people, under `headings`."""
    cost = row.cost
    return [
        place(row),
        row.backbone,
        row.head,
        row.start,
        f"{row.seeds} ({row.failed} failed)" if row.failed else str(row.seeds or ""),
        short(row.val_mse),
        short(row.test_mse),
        ends(row),
        percent(row.test_exact),
        "" if cost.params is None else f"{cost.params / 1e6:.1f} M",
        short(cost.gmacs),
        whole(cost.train_images_per_second),
        milliseconds(cost.latency_ms),
        "" if cost.fit_seconds is None else f"{cost.fit_seconds:,.0f} s",
        "" if row.epochs is None else str(row.epochs),
        row.image_size,
        row.precision,
        row.plugins,
    ]


def place(row: Row) -> str:
    """Return the rank, with = where it is shared with the best."""
    return f"{row.rank or ''}{'=' * row.tied}"


def ends(row: Row) -> str:
    """Return the interval of test MSE."""
    return "" if row.test_mse_low is None else f"{short(row.test_mse_low)} – {short(row.test_mse_high)}"


def short(value: float | None) -> str:
    """Return three significant digits."""
    return "" if value is None else f"{value:.3g}"


def whole(value: float | None) -> str:
    """Return a whole number."""
    return "" if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """Return a share as a percentage."""
    return "" if value is None else f"{value:.1%}"


def milliseconds(value: float | None) -> str:
    """Return a time in ms."""
    return "" if value is None else f"{value:.1f} ms"
