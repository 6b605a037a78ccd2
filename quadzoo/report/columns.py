"""The columns of the page's table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quadzoo.report.rows import Leaderboard, Row
from quadzoo.report.tables import ends, milliseconds, percent, place, short, whole

_SCORES = 7  # columns that are always there


@dataclass(frozen=True)
class Column:
    """How a cell reads, by what it sorts, and what the heading means."""

    name: str
    meaning: str
    text: Callable[[Row], str]
    value: Callable[[Row], Any]
    number: bool = True


def columns(board: Leaderboard) -> list[Column]:
    """Return those that have something to say; the device only where there are several."""
    devices = {row.cost.device for row in board.rows if row.cost.device}
    return [
        column
        for position, column in enumerate(_COLUMNS)
        if (position < _SCORES or any(column.value(row) not in (None, "") for row in board.rows))
        and (column.name != "device" or len(devices) > 1)
    ]


def _words(name: str, meaning: str, text: Callable[[Row], str]) -> Column:
    return Column(name, meaning, text, lambda row: text(row).lower(), number=False)


def _seeds(row: Row) -> str:
    return f"{row.seeds} ({row.failed} failed)" if row.failed else str(row.seeds or "")


def _p(row: Row) -> str:
    if row.p_value is None:
        return ""
    return "< 0.001" if row.p_value < 0.001 else f"{row.p_value:.2g}"


def _millions(row: Row) -> str:
    return "" if row.cost.params is None else f"{row.cost.params / 1e6:.1f}"


def _latency(row: Row) -> str:
    cost = row.cost
    slow = "" if cost.latency_p95_ms is None else f" ({cost.latency_p95_ms:.1f})"
    return f"{milliseconds(cost.latency_ms)}{slow}"


def _throughput(row: Row) -> str:
    cost = row.cost
    batch = "" if cost.inference_batch is None else f" (batch {cost.inference_batch:.0f})"
    return f"{whole(cost.images_per_second)}{batch}"


def _energy(row: Row) -> str:
    joules = row.cost.fit_energy_joules
    return "" if joules is None else f"{joules / 1e3:.1f}"


_COLUMNS = (
    Column("rank", "by val MSE; = cannot be told from the best at 5 %", place, lambda row: row.rank),
    _words("backbone", "what turns an image into features", lambda row: row.backbone),
    _words("head", "what turns features into numbers", lambda row: row.head),
    _words("weights", "what training started from; none: from scratch", lambda row: row.start),
    Column("seeds", "runs that differ in the seed alone", _seeds, lambda row: row.seeds),
    Column(
        "val MSE",
        "mean squared error of the scaled targets on the validation images; ranks go by it",
        lambda row: short(row.val_mse),
        lambda row: row.val_mse,
    ),
    Column(
        "test MSE", "the same on the test images", lambda row: short(row.test_mse), lambda row: row.test_mse
    ),
    Column("95 % interval", "of test MSE", ends, lambda row: row.test_mse_high),
    Column(
        "p",
        "of test MSE being that of the best row, corrected for all pairs of rows",
        _p,
        lambda row: row.p_value,
    ),
    Column(
        "exact",
        "images whose every target is right after rounding",
        lambda row: percent(row.test_exact),
        lambda row: row.test_exact,
    ),
    Column("params, M", "numbers in backbone and head, in millions", _millions, lambda row: row.cost.params),
    Column(
        "GMACs",
        "multiply-adds for one image, in 10⁹",
        lambda row: short(row.cost.gmacs),
        lambda row: row.cost.gmacs,
    ),
    Column(
        "train img/s",
        "training images a second",
        lambda row: whole(row.cost.train_images_per_second),
        lambda row: row.cost.train_images_per_second,
    ),
    Column(
        "fit, s",
        "seconds that training took, validation included",
        lambda row: whole(row.cost.fit_seconds),
        lambda row: row.cost.fit_seconds,
    ),
    Column(
        "latency",
        "one image: median, and in brackets the 95th percentile",
        _latency,
        lambda row: row.cost.latency_ms,
    ),
    Column("img/s", "images read a second in batches", _throughput, lambda row: row.cost.images_per_second),
    Column(
        "memory, MiB",
        "the most that the run took",
        lambda row: whole(row.cost.peak_memory_mb),
        lambda row: row.cost.peak_memory_mb,
    ),
    Column(
        "energy, kJ",
        "of training, where the device counts it",
        _energy,
        lambda row: row.cost.fit_energy_joules,
    ),
    _words("precision", "of the arithmetic", lambda row: row.precision),
    _words("device", "where the costs were measured", lambda row: row.cost.device),
    _words("plugins", "the distributions that backbone and head came from", lambda row: row.plugins),
)
