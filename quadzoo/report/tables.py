"""A leaderboard as csv, md and json, and as cells for any other table."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from quadzoo.records import write_atomically
from quadzoo.report.leaderboard import Leaderboard, Row

COLUMNS = (
    "rank", "backbone", "head", "weights", "seeds", "failed", "val_mse", "test_mse", "test_mse_low",
    "test_mse_high", "test_exact", "params", "gmacs", "train_images_per_second", "latency_ms",
    "fit_seconds", "leaky", "image_size", "precision", "epochs", "plugins", "combination",
)  # fmt: skip

# The last ones are the first to go on a narrow terminal.
_HEADINGS = (
    "rank", "backbone", "head", "weights", "seeds", "val MSE", "test MSE", "95 % interval", "exact",
    "params", "GMACs", "train img/s", "latency", "fit", "epochs", "size", "precision", "plugins",
)  # fmt: skip


def write_tables(out: Path, board: Leaderboard | None) -> None:
    """Write OUT/leaderboard.csv, .md and .json, each whole; nothing without a leaderboard."""
    if board is None:
        return
    write_atomically(out / "leaderboard.csv", to_csv(board).encode())
    write_atomically(out / "leaderboard.md", to_markdown(board).encode())
    write_atomically(out / "leaderboard.json", to_json(board).encode())


def to_csv(board: Leaderboard) -> str:
    """Return the rows as CSV, with the columns of `COLUMNS`."""
    table = pd.DataFrame([row.model_dump() for row in board.rows])[list(COLUMNS)]
    # Counts stay whole numbers where a row has none.
    return str(table.astype({"rank": "Int64", "params": "Int64", "epochs": "Int64"}).to_csv(index=False))


def to_json(board: Leaderboard) -> str:
    """Return the whole leaderboard as JSON."""
    return json.dumps(board.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def to_markdown(board: Leaderboard) -> str:
    """Return the leaderboard as a Markdown page: caption, table, RMSE per target, failures."""
    targets = list(board.rows[0].test_rmse or {}) if board.rows else []
    headings = (*_HEADINGS, *(f"RMSE {target}" for target in targets))
    lines = ["# Leaderboard", "", caption(board), "", _line(headings), _line(["---"] * len(headings))]
    for row in board.rows:
        rmse = [_number((row.test_rmse or {}).get(target)) for target in targets]
        lines.append(_line([*cells(row), *rmse]))
    lines += [
        "",
        "The interval covers the test pictures alone, not the seeds. RMSE in the targets' own units.",
    ]
    failures = [(row, failure) for row in board.rows for failure in row.failures]
    if failures:
        lines += ["", "Failed runs:", ""]
        lines += [
            f"- {_escaped(row.backbone)} · {_escaped(row.head)} · seed {one.seed}: {_escaped(one.error)}"
            for row, one in failures
        ]
    return "\n".join(lines) + "\n"


def headings() -> tuple[str, ...]:
    """Return the headings that `cells` fills."""
    return _HEADINGS


def caption(board: Leaderboard) -> str:
    """Return one paragraph that says what was measured, and whether to trust it."""
    data, split = board.data, board.split
    folds = f", {split.folds} folds" if split.folds > 1 else ""
    text = (
        f"{data.name}: {data.n:,} pictures, {data.duplicates:,} of them duplicates; "
        f"split {split.name}{folds} "
        f"({split.n_train:,} train, {split.n_val:,} val, {split.n_test:,} test)."
    )
    if split.leaky:
        text += (
            f" **This split leaks: {split.leaked:,} of {split.n_test:,} test pictures also stand in train or "
            "val, so the test figures are too good to be true.**"
        )
    return text


def cells(row: Row) -> list[str]:
    """Return a row's cells as short texts for people, under `headings`."""
    interval = (
        "" if row.test_mse_low is None else f"{_number(row.test_mse_low)} – {_number(row.test_mse_high)}"
    )
    return [
        str(row.rank or ""),
        row.backbone,
        row.head,
        row.weights,
        f"{row.seeds} ({row.failed} failed)" if row.failed else str(row.seeds or ""),
        _number(row.val_mse),
        _number(row.test_mse),
        interval,
        "" if row.test_exact is None else f"{row.test_exact:.1%}",
        "" if row.params is None else f"{row.params / 1e6:.1f} M",
        _number(row.gmacs),
        "" if row.train_images_per_second is None else f"{row.train_images_per_second:,.0f}",
        "" if row.latency_ms is None else f"{row.latency_ms:.1f} ms",
        "" if row.fit_seconds is None else f"{row.fit_seconds:,.0f} s",
        str(row.epochs or ""),
        row.image_size,
        row.precision,
        row.plugins,
    ]


def _number(value: float | None) -> str:
    """Three significant digits."""
    return "" if value is None else f"{value:.3g}"


def _line(texts: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(_escaped(text) for text in texts) + " |"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
