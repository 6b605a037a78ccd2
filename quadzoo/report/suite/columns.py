"""The columns of a suite's tables: csv, terminal, Markdown and page are made from them."""

from __future__ import annotations

from quadzoo.report.column import Column, csv_only, figure, words
from quadzoo.report.suite.board import Cell, SetFacts, SuiteBoard, SuiteRow
from quadzoo.report.text import one_line, short, whole

ROW_COLUMNS: tuple[Column[SuiteRow], ...] = (
    Column(
        name="rank",
        heading="rank",
        meaning="place by mean rank; empty for rows that are not finished on all sets",
        value=lambda row: row.rank,
        text=lambda row: str(row.rank or ""),
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
        "the layers from features to prediction, with their loss",
        lambda row: row.head,
        shown="always",
    ),
    words(
        "weights",
        "weights",
        "what training started from: pretrained, none (random weights), or a trained model's name",
        lambda row: row.weights,
        shown="always",
    ),
    Column(
        name="variant",
        heading="variant",
        meaning="how its learning rate was tuned, and what tells the row from others, such as another recipe",
        value=lambda row: row.variant,
        text=lambda row: one_line(row.variant, 60),
        number=False,
    ),
    figure(
        "mean_rank",
        "mean rank",
        "mean over the sets of the place by val MSE among the rows that are finished on all sets",
        lambda row: row.mean_rank,
        shown="always",
    ),
    csv_only("mean_rank_low", "lower end of the interval of the mean rank", lambda row: row.mean_rank_low),
    Column(
        name="mean_rank_high",
        heading="interval",
        meaning="upper end of the interval of the mean rank: half the critical difference on either side; "
        "where two intervals do not overlap, the rows differ significantly (α = 0.05)",
        value=lambda row: row.mean_rank_high,
        text=lambda row: "" if row.mean_rank is None else _ends(row),
        priority=1,
    ),
    Column(
        name="wins",
        heading="wins",
        meaning="sets with a lower val MSE than that of the best baseline, of the sets where it is finished",
        value=lambda row: row.wins,
        text=lambda row: f"{row.wins} of {row.sets}",
        shown="always",
    ),
    csv_only("sets", "sets on which the row is finished", lambda row: row.sets),
    csv_only(
        "mean_ratio",
        "geometric mean of the ratios to the best baseline, over the sets where the row is finished",
        lambda row: row.mean_ratio,
    ),
    words(
        "verdict",
        "verdict",
        "the first that holds: incomplete, does not beat the baselines (by val on no set, or not on average: "
        "`mean_ratio` is 1 or more), no evidence (too few sets for any two rows to differ significantly), "
        "best, not significantly worse, worse",
        lambda row: row.verdict,
        shown="always",
        priority=3,
    ),
)

SET_COLUMNS: tuple[Column[SetFacts], ...] = (
    words("set", "set", "the data set", lambda one: one.name, shown="always"),
    figure(
        "images",
        "images",
        "images of the set: train, val and test",
        lambda one: one.data.n if one.data else None,
        whole,
        priority=3,
    ),
    Column(
        name="baseline",
        heading="best baseline",
        meaning="the row without a network that has the lowest val MSE",
        value=lambda one: one.baseline,
        text=lambda one: one.baseline or "",
        number=False,
        priority=1,
    ),
    figure(
        "baseline_val_mse",
        "its val MSE",
        "the val MSE of the best baseline",
        lambda one: one.baseline_val_mse,
        priority=3,
    ),
    Column(
        name="best",
        heading="best row",
        meaning="the row with the lowest val MSE on the set",
        value=lambda one: one.best,
        text=lambda one: one.best or "",
        number=False,
        priority=4,
    ),
    figure(
        "best_val_mse", "its val MSE", "the val MSE of the best row", lambda one: one.best_val_mse, priority=5
    ),
    figure(
        "best_test_mse",
        "its test MSE",
        "the test MSE of the best row",
        lambda one: one.best_test_mse,
        priority=6,
    ),
    Column(
        name="beaten",
        heading="network beats it",
        meaning="whether the best row has a lower val MSE than the best baseline; `by val` where no row is "
        "significantly better on the test images",
        value=lambda one: None if one.beaten is None else str(one.beaten),
        text=lambda one: "" if one.beaten is None else _beaten(one),
        number=False,
        priority=7,
    ),
)


def _beaten(one: SetFacts) -> str:
    return "no" if not one.beaten else "yes" if one.shown else "by val"


def row_columns(board: SuiteBoard) -> list[Column[SuiteRow]]:
    """Return the columns that people see of the rows, without those of single sets."""
    return [column for column in ROW_COLUMNS if column.says_something(board.rows)]


def all_columns(board: SuiteBoard) -> list[Column[SuiteRow]]:
    """Return the columns of the rows with those of each set, from left to right."""
    *first, verdict = row_columns(board)
    return [*first, *(_cell_column(one) for one in board.sets), verdict]


def csv_columns(board: SuiteBoard) -> list[Column[SuiteRow]]:
    """Return the columns of leaderboard-suite.csv: those of the rows, then six for each set."""
    return [*ROW_COLUMNS, *(column for one in board.sets for column in _cell_figures(one.name))]


def set_columns(board: SuiteBoard) -> list[Column[SetFacts]]:
    """Return the columns that people see of the sets."""
    return [column for column in SET_COLUMNS if column.says_something(board.sets)]


def place_columns(board: SuiteBoard) -> list[Column[SetFacts]]:
    """Return a column for each row, headed by its number: for tables in which rows have no room for sets."""
    return [_place_column(number, row) for number, row in enumerate(board.rows, 1)]


def cell_text(cell: Cell) -> str:
    """Return what people read of a cell: ratio and rank, or what is missing."""
    if cell.ambiguous:
        return f"{cell.ambiguous} rows"
    if not cell.finished:
        if cell.runs:
            return f"{cell.runs} of {cell.wanted} runs"
        return "failed" if cell.failed else "–"
    figure = short(cell.ratio) if cell.ratio is not None else f"MSE {short(cell.val_mse)}"
    return figure if cell.rank is None else f"{figure} ({cell.rank:g})"


def _ends(row: SuiteRow) -> str:
    return f"{short(row.mean_rank_low)} – {short(row.mean_rank_high)}"


def _cell_column(one: SetFacts) -> Column[SuiteRow]:
    return Column(
        name=f"{one.name}.ratio",
        heading=one.name,
        meaning=f"val MSE on {one.name} divided by that of {one.baseline or 'its best baseline'}; the rank",
        value=lambda row: row.cells[one.name].ratio if row.cells[one.name].finished else None,
        text=lambda row: cell_text(row.cells[one.name]),
        shown="always",
    )


def _cell_figures(name: str) -> list[Column[SuiteRow]]:
    return [
        csv_only(
            f"{name}.{field}",
            f"{meaning} on {name}",
            lambda row, field=field: getattr(row.cells[name], field),  # type: ignore[misc]
        )
        for field, meaning in _CELL.items()
    ]


_CELL = {
    "rank": "rank by val MSE among the rows that are finished on all sets,",
    "ratio": "val MSE divided by that of the best baseline",
    "val_mse": "val MSE",
    "test_mse": "test MSE",
    "runs": "finished runs",
    "failed": "failed runs",
}


def _place_column(number: int, row: SuiteRow) -> Column[SetFacts]:
    return Column(
        name=f"row {number}",
        heading=f"row {number}",
        meaning=f"the cell of {row.name}",
        value=lambda one: row.cells[one.name].ratio,
        text=lambda one: cell_text(row.cells[one.name]),
        shown="always",
    )
