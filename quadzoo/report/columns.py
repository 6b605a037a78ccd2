"""The one table of a leaderboard's columns: leaderboard.csv, terminal, Markdown and page are made from it.

A new figure is one more entry of `COLUMNS`; docs/metrics.md takes its list from here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from quadzoo.report.rows import Leaderboard, Row
from quadzoo.report.text import millions, milliseconds, percent, seconds, short, whole

Value = str | float | None
RowT = TypeVar("RowT")

# How leaderboard.csv begins. Programs of others rely on it; what is not named here follows.
CSV_FIRST = (
    "rank", "backbone", "head", "weights", "seeds", "failed", "val_mse", "test_mse", "test_mse_low",
    "test_mse_high", "test_exact", "params", "gmacs", "train_images_per_second", "latency_ms",
    "fit_seconds", "leaky",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Column(Generic[RowT]):
    """One column, of rows of any kind: `COLUMNS` are a leaderboard's.

    ``value`` is what leaderboard.csv holds under ``name`` and what the page sorts by; ``text`` is what
    people read under ``heading``. ``shown`` says when terminal, Markdown and page have the column: always,
    where any row has a text, where the texts of rows differ, or never. A terminal that is too narrow drops
    the columns with the highest ``priority`` first, and those with 0 never.
    """

    name: str
    heading: str
    meaning: str
    value: Callable[[RowT], Value]
    text: Callable[[RowT], str]
    number: bool = True
    shown: Literal["always", "any", "differs", "never"] = "any"
    priority: int = 0

    def says_something(self, rows: Iterable[RowT]) -> bool:
        """Whether people are shown this column of a leaderboard with these rows."""
        texts = {self.text(row) for row in rows} - {""}
        fewest = {"always": 0, "any": 1, "differs": 2}
        return self.shown != "never" and len(texts) >= fewest[self.shown]


class TaskColumn(NamedTuple):
    """A column of leaderboard.csv that has one value for all rows of a leaderboard."""

    name: str
    meaning: str
    value: Callable[[Leaderboard], str]


def shown_columns(board: Leaderboard) -> list[Column[Row]]:
    """Return the columns that people see of a leaderboard, from left to right."""
    return [column for column in COLUMNS if column.says_something(board.rows)]


def csv_columns() -> list[Column[Row]]:
    """Return the columns of leaderboard.csv in its order, without those of `TASK`."""
    place = {name: position for position, name in enumerate(CSV_FIRST)}
    return sorted(COLUMNS, key=lambda column: place.get(column.name, len(place)))


def rmse_columns(board: Leaderboard) -> list[Column[Row]]:
    """Return a column for the RMSE of each target, for tables without details of a row."""
    targets = next((row.test_rmse for row in board.rows if row.test_rmse), {})
    return [
        figure(
            f"test_rmse.{target}",
            f"RMSE {target}",
            f"root mean squared error of {target} on the test images, in its own unit",
            lambda row, target=target: (row.test_rmse or {}).get(target),  # type: ignore[misc]
        )
        for target in targets
    ]


def reference() -> str:
    """Return the Markdown table of all columns, as docs/metrics.md holds it."""
    lines = ["| column | in tables | what it is |", "| --- | --- | --- |"]
    for column in csv_columns():
        heading = "" if column.shown == "never" else column.heading
        lines.append(f"| `{column.name}` | {heading} | {column.meaning} |")
    lines += [f"| `{one.name}` |  | {one.meaning} |" for one in TASK]
    return "\n".join(lines)


def interval_text(row: Row) -> str:
    """Return the 95 % interval of a row's test MSE."""
    return "" if row.test_mse_low is None else f"{short(row.test_mse_low)} – {short(row.test_mse_high)}"


def figure(
    name: str,
    heading: str,
    meaning: str,
    value: Callable[[RowT], float | None],
    form: Callable[[float | None], str] = short,
    **options: Any,
) -> Column[RowT]:
    """Return a column of numbers, each shown by ``form``."""
    return Column(
        name=name,
        heading=heading,
        meaning=meaning,
        value=value,
        text=lambda row: form(value(row)),
        **options,
    )


def words(
    name: str, heading: str, meaning: str, value: Callable[[RowT], str], **options: Any
) -> Column[RowT]:
    """Return a column of texts."""
    return Column(
        name=name, heading=heading, meaning=meaning, value=value, text=value, number=False, **options
    )


def csv_only(name: str, meaning: str, value: Callable[[RowT], Value]) -> Column[RowT]:
    """Return a column that people do not see as one."""
    return Column(
        name=name,
        heading="",
        meaning=meaning,
        value=value,
        text=lambda row: "" if value(row) is None else str(value(row)),
        shown="never",
    )


def _rank(row: Row) -> str:
    return f"{row.rank or ''}{'=' * row.tied}"


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


def _start(row: Row) -> str:
    return f"{row.weights}, frozen" if row.frozen else row.weights


def _p_value(value: float | None) -> str:
    return "< 0.001" if value is not None and value < 0.001 else "" if value is None else f"{value:.2g}"


def _throughput(row: Row) -> str:
    batch = row.cost.inference_batch
    return whole(row.cost.images_per_second) + ("" if batch is None else f" (batch {batch})")


def _count(value: float | None) -> str:
    return "" if value is None else str(value)


COLUMNS: tuple[Column[Row], ...] = (
    Column(
        name="rank",
        heading="rank",
        meaning="place by val MSE; = where a row is not significantly different from the best (α = 0.05)",
        value=lambda row: row.rank,
        text=_rank,
        shown="always",
    ),
    words(
        "backbone",
        "backbone",
        "the network from image to features",
        lambda row: row.backbone,
        shown="always",
    ),
    words(
        "head",
        "head",
        "the layers from features to prediction, with their loss; - in rows without a model",
        lambda row: row.head,
        shown="always",
    ),
    Column(
        name="weights",
        heading="weights",
        meaning="what training started from: pretrained, none (random weights), or a trained model's name",
        value=lambda row: row.weights,
        text=_start,
        number=False,
        shown="always",
    ),
    Column(
        name="tuned",
        heading="tuned",
        meaning="lr:N where the learning rate was chosen from N by val; tables show which was taken",
        value=lambda row: row.tuned.request if row.tuned else None,
        text=_tuned,
        number=False,
    ),
    Column(
        name="seeds",
        heading="seeds",
        meaning="seeds with a finished run",
        value=lambda row: row.seeds,
        text=_seeds,
        shown="always",
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
        priority=1,
    ),
    figure(
        "p_value",
        "p",
        "p-value of the test MSE being equal to that of the best row, corrected for all pairs of rows",
        lambda row: row.p_value,
        _p_value,
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
        priority=2,
    ),
    figure("params", "params", "parameters", lambda row: row.cost.params, millions, priority=3),
    figure("gmacs", "GMACs", "multiply-adds for one image, in 10⁹", lambda row: row.cost.gmacs, priority=4),
    figure(
        "train_images_per_second",
        "train img/s",
        "training images per second",
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
    figure("epochs", "epochs", "epochs of training", lambda row: row.epochs, _count, priority=9),
    words(
        "image_size",
        "size",
        "height × width of the images that the network gets",
        lambda row: row.image_size,
        priority=10,
    ),
    words(
        "precision",
        "precision",
        "number format of the backbone's arithmetic: 32 is float32",
        lambda row: row.precision,
        priority=11,
    ),
    csv_only("frozen", "whether the backbone was not trained", lambda row: row.frozen),
    words(
        "device",
        "device",
        "where the costs were measured",
        lambda row: row.cost.device,
        shown="differs",
        priority=3,
    ),
    words(
        "plugins",
        "plugins",
        "distributions that backbone and head come from",
        lambda row: row.plugins,
        priority=16,
    ),
    csv_only("combination", "hash that all runs of the row share", lambda row: row.combination),
    csv_only("tied", "whether the row shares the rank of the best", lambda row: row.tied),
)

TASK = (
    TaskColumn("data", "name of the data set", lambda board: board.data.name),
    TaskColumn("data_hash", "hash of images and targets", lambda board: board.data.hash),
    TaskColumn("split", "name of the split", lambda board: board.split.name),
    TaskColumn("split_hash", "hash of the split", lambda board: board.split.hash),
)
