"""The one table of a leaderboard's columns: leaderboard.csv, terminal, Markdown and page are made from it.

A new figure is one more entry of `COLUMNS`; docs/metrics.md takes its list from here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from quadzoo.report.board_columns import MOST_TARGETS, Metric, setting_column, target_column, target_figures
from quadzoo.report.column import Column, csv_only, figure, words
from quadzoo.report.costs import SPREADS
from quadzoo.report.ensemble import COLUMNS as ENSEMBLES
from quadzoo.report.external import ANSWERED
from quadzoo.report.halved import HALVED
from quadzoo.report.intervals import COLUMNS as INTERVALS
from quadzoo.report.intervals import target_columns
from quadzoo.report.known import known_counts
from quadzoo.report.rows import NOT_WORSE, WORSE, Leaderboard, Row
from quadzoo.report.settings import differing
from quadzoo.report.text import millions, milliseconds, p_value_text, percent, seconds, short, whole

# How leaderboard.csv begins. Programs of others rely on it; what is not named here follows.
CSV_FIRST = (
    "rank", "backbone", "head", "weights", "seeds", "failed", "val_mse", "test_mse", "test_mse_low",
    "test_mse_high", "test_exact", "params", "gmacs", "train_images_per_second", "latency_ms",
    "fit_seconds", "leaky", "verdict",
)  # fmt: skip


class TaskColumn(NamedTuple):
    """A column of leaderboard.csv that has one value for all rows of a leaderboard."""

    name: str
    meaning: str
    value: Callable[[Leaderboard], str]


def shown_columns(board: Leaderboard, metric: Metric = "rmse", *, page: bool = False) -> list[Column[Row]]:
    """Return the columns that people see of a leaderboard, from left to right, or on its ``page``.

    The settings in which its rows differ, and the errors of each target, have columns of their own.
    """
    shown = [one for one in COLUMNS if one.says_something(board.rows) and (page or not one.page_only)]
    place = next(index for index, column in enumerate(shown) if column.name in ("seeds", "val_mse"))
    after = next(index for index, column in enumerate(shown) if column.name == "test_mse") + 1
    return [
        *shown[:place],
        *map(setting_column, differing(board.rows)),
        *shown[place:after],
        *(target_column(target, metric, at) for at, target in enumerate(board.targets[:MOST_TARGETS])),
        *shown[after:],
    ]


def csv_columns(boards: Sequence[Leaderboard]) -> list[Column[Row]]:
    """Return the columns of leaderboard.csv in its order, without those of `TASK`.

    The last are those of the targets of all leaderboards.
    """
    place = {name: position for position, name in enumerate(CSV_FIRST)}
    targets = dict.fromkeys(target for board in boards for target in board.targets)
    fixed = sorted(COLUMNS, key=lambda column: place.get(column.name, len(place)))
    of_targets = [(*target_figures(target), *target_columns(target)) for target in targets]
    return fixed + [column for columns in of_targets for column in columns]


def reference() -> str:
    """Return the Markdown table of all columns, as docs/metrics.md holds it."""
    lines = ["| column | in tables | what it is |", "| --- | --- | --- |"]
    for column in csv_columns([]):
        heading = "" if column.shown == "never" else f"{column.heading}{' (page)' * column.page_only}"
        lines.append(f"| `{column.name}` | {heading} | {column.meaning} |")
    for column in target_figures("TARGET"):
        lines.append(f"| `{column.name}` | TARGET: RMSE (R²) | {column.meaning} |")
    lines += [f"| `{column.name}` |  | {column.meaning} |" for column in target_columns("TARGET")]
    lines += [f"| `{one.name}` |  | {one.meaning} |" for one in TASK]
    return "\n".join(lines)


def interval_text(row: Row) -> str:
    """Return the 95 % interval of a row's test MSE."""
    # No line is broken before the dash.
    return "" if row.test_mse_low is None else f"{short(row.test_mse_low)}\u00a0– {short(row.test_mse_high)}"


def _verdict(row: Row) -> str:
    """Return the verdict; of a row that lost, also its error as a multiple of the best row's."""
    if row.verdict in (NOT_WORSE, WORSE) and row.times_best is not None:
        lower = "lower on test, " * (row.verdict == NOT_WORSE and row.times_best < 1)
        return f"{row.verdict} ({lower}{row.times_best:.3g}×)"
    return row.verdict


def _rank_interval(row: Row) -> str:
    return "" if row.rank_low is None else f"{row.rank_low}\u00a0– {row.rank_high}"


def _seeds(row: Row) -> str:
    return f"{row.seeds} ({row.failed} failed)" if row.failed else str(row.seeds or "")


def _tuned(row: Row) -> str:
    if row.tuned is None:
        return ""
    rates = ", ".join(f"{lr:g}" for lr in row.tuned.found)
    return f"lr {rates} of {len(row.tuned.tried)}" if rates else row.tuned.request


def _learning_rates(row: Row) -> str:
    if row.tuned:
        return ", ".join(f"{lr:g}" for lr in row.tuned.found)
    return f"{row.recipe['lr']:g}" if row.recipe else ""


def _backbone(row: Row) -> str:
    # With a space, at which a narrow terminal can break the line.
    return row.backbone.replace(":", ": ", 1) if row.head == "-" else row.backbone


def _throughput(row: Row) -> str:
    batch = row.cost.inference_batch
    return whole(row.cost.images_per_second) + ("" if batch is None else f" (batch {batch})")


def _count(value: float | None) -> str:
    return "" if value is None else str(value)


COLUMNS: tuple[Column[Row], ...] = (
    figure(
        "rank",
        "rank",
        "place by val MSE among the rows with a model whose runs have all finished",
        lambda row: row.rank,
        _count,
        shown="always",
    ),
    Column(
        name="backbone",
        heading="backbone",
        meaning="the network from image to features",
        value=lambda row: row.backbone,
        text=_backbone,
        number=False,
        shown="always",
    ),
    Column(
        name="head",
        heading="head",
        meaning="the layers from features to prediction, with their loss; - in rows without a model",
        value=lambda row: row.head,
        text=lambda row: "" if row.head == "-" else row.head,
        number=False,
        shown="differs",
    ),
    Column(
        name="weights",
        heading="weights",
        meaning="what training started from: pretrained, none (random weights), or a trained model's name",
        value=lambda row: row.weights,
        text=lambda row: row.start,
        number=False,
        shown="differs",
        priority=1,
    ),
    Column(
        name="tuned",
        heading="tuned",
        meaning="lr:N where the learning rate was chosen from N by val; tables show which was taken",
        value=lambda row: row.tuned.request if row.tuned else None,
        text=_tuned,
        number=False,
    ),
    HALVED,
    Column(
        name="seeds",
        heading="seeds",
        meaning="seeds with a finished run",
        value=lambda row: row.seeds,
        text=_seeds,
        shown="differs",
        priority=1,
    ),
    csv_only("failed", "runs that failed", lambda row: row.failed),
    figure(
        "val_mse",
        "val MSE",
        "mean squared error of the scaled targets on the validation images; rows are ranked by it",
        lambda row: row.val_mse,
        shown="always",
    ),
    figure("test_mse", "test MSE", "the same on the test images", lambda row: row.test_mse, shown="always"),
    csv_only("test_mse_low", "lower end of the 95 % interval of the test MSE", lambda row: row.test_mse_low),
    Column(
        name="test_mse_high",
        heading="95 % interval",
        meaning="upper end of the 95 % interval of the test MSE; tables show both ends",
        value=lambda row: row.test_mse_high,
        text=interval_text,
    ),
    Column(
        name="verdict",
        heading="verdict",
        meaning="the first that holds: incomplete, does not beat NAME (a baseline), no evidence (fewer than "
        "three seeds, or than 10 test images or groups), best, not significantly worse, worse; tables add "
        "the multiple of the best row's test MSE",
        value=lambda row: row.verdict,
        text=_verdict,
        number=False,
    ),
    csv_only("times_best", "test MSE as a multiple of that of the best row", lambda row: row.times_best),
    csv_only(
        "interval_covers",
        "what the 95 % interval accounts for, or why there is none",
        lambda row: row.covers,
    ),
    csv_only("rank_low", "lower end of the 95 % interval of the rank", lambda row: row.rank_low),
    Column(
        name="rank_high",
        heading="ranks",
        meaning="upper end of the 95 % interval of the rank; tables show both ends",
        value=lambda row: row.rank_high,
        text=_rank_interval,
        priority=7,
    ),
    figure(
        "p_best",
        "P(lowest val)",
        "probability that the row has the lowest val MSE, over the choice of images and seeds",
        lambda row: row.p_best,
        percent,
        priority=8,
    ),
    csv_only(
        "p_baseline",
        "p-value of the test MSE being no lower than that of the best baseline",
        lambda row: row.p_baseline,
    ),
    *ENSEMBLES,
    *INTERVALS,
    ANSWERED,
    figure(
        "p_value",
        "p",
        "p-value of the test MSE being equal to that of the best row, corrected for all pairs of rows; of an "
        "outside predictor for this pair alone",
        lambda row: row.p_value,
        lambda value: "" if value is None else p_value_text(value),
        priority=8,
    ),
    figure(
        "test_exact",
        "exact",
        "share of test images whose every target is right after rounding; empty unless all targets are "
        "integers",
        lambda row: row.test_exact,
        percent,
        priority=2,
    ),
    Column(
        name="leaky",
        heading="leaks",
        meaning="whether test images were seen before: in train or val, or by the model a row started from",
        value=lambda row: row.leaky,
        text=lambda row: "yes" if row.leaky else "",
        number=False,
        priority=1,
    ),
    words(
        "mixed",
        "mixed",
        "what differs between the runs of the row and can change a score",
        lambda row: row.mixed,
        priority=3,
    ),
    figure(
        "params", "params", "parameters, head included", lambda row: row.cost.params, millions, priority=3
    ),
    figure("gmacs", "GMACs", "multiply-adds for one image, in 10⁹", lambda row: row.cost.gmacs, priority=4),
    figure(
        "train_images_per_second",
        "train img/s",
        "training images per second; this and the costs below are medians over runs",
        lambda row: row.cost.train_images_per_second,
        whole,
        priority=5,
    ),
    figure(
        "latency_ms",
        "latency",
        "time for one image: median, in ms",
        lambda row: row.cost.latency_ms,
        milliseconds,
        priority=6,
    ),
    figure(
        "latency_p95_ms",
        "p95 latency",
        "time for one image: 95th percentile, in ms",
        lambda row: row.cost.latency_p95_ms,
        milliseconds,
        priority=15,
    ),
    Column(
        name="images_per_second",
        heading="img/s",
        meaning="images per second in batches, from image to prediction",
        value=lambda row: row.cost.images_per_second,
        text=_throughput,
        priority=14,
    ),
    csv_only("inference_batch", "batch size of `images_per_second`", lambda row: row.cost.inference_batch),
    *SPREADS,
    figure(
        "fit_seconds",
        "fit",
        "duration of training in seconds, validation included",
        lambda row: row.cost.fit_seconds,
        seconds,
        priority=7,
    ),
    figure(
        "peak_memory_mb",
        "memory",
        "peak memory of the run, in MiB",
        lambda row: row.cost.peak_memory_mb,
        lambda value: "" if value is None else f"{value:,.0f} MiB",
        priority=13,
    ),
    figure(
        "fit_energy_joules",
        "energy",
        "energy used by training in joules, where the device measures it",
        lambda row: row.cost.fit_energy_joules,
        lambda value: "" if value is None else f"{value / 1e3:.1f} kJ",
        priority=12,
    ),
    csv_only(
        "overlap",
        "test images that the model a row started from had been trained on; empty where unknown or none",
        lambda row: row.overlap.test if row.overlap else None,
    ),
    csv_only(
        "train_share", "share of the training images that the row was trained on", lambda row: row.train_share
    ),
    figure(
        "n_train",
        "train images",
        "images that the row was trained on; of folds, the mean",
        lambda row: row.n_train,
        whole,
        shown="differs",
        priority=9,
    ),
    csv_only(
        "lr",
        "highest learning rate of training; of a tuned row that which was taken, or one a fold",
        _learning_rates,
    ),
    csv_only("epochs", "epochs of training", lambda row: row.epochs),
    csv_only("image_size", "height × width of the images that the network gets", lambda row: row.image_size),
    csv_only(
        "precision", "number format of the backbone's arithmetic: 32 is float32", lambda row: row.precision
    ),
    csv_only(
        "variant", "what tells the row from others with the same backbone and head", lambda row: row.variant
    ),
    csv_only("frozen", "whether the backbone was not trained", lambda row: row.frozen),
    csv_only("device", "where the costs were measured", lambda row: row.cost.device),
    words(
        "plugins",
        "plugins",
        "distributions that backbone and head come from",
        lambda row: row.plugins,
        priority=16,
    ),
    csv_only("combination", "hash that all runs of the row share", lambda row: row.combination),
)

# In the place of backbone and head, where there is little room.
NAME: Column[Row] = Column(
    name="name",
    heading="row",
    meaning="backbone and head, and what tells the row from others that have the same",
    value=lambda row: row.name,
    text=lambda row: _backbone(row) if row.head == "-" else row.name,
    number=False,
    shown="always",
)

TASK = (
    TaskColumn("data", "name of the data set", lambda board: board.data.name),
    TaskColumn("data_hash", "hash of images and targets", lambda board: board.data.hash),
    TaskColumn("split", "name of the split", lambda board: board.split.name),
    TaskColumn("split_hash", "hash of the split", lambda board: board.split.hash),
    TaskColumn("known", "how many images of each side have the targets that some lack", known_counts),
)
