"""Columns that depend on a leaderboard: of the settings in which its rows differ, and of its targets."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from quadzoo.report.column import Column, csv_only, words
from quadzoo.report.rows import Row
from quadzoo.report.text import share_text, short

Metric = Literal["rmse", "mae", "r2"]
MOST_TARGETS = 12  # that people are shown
_NARROW = 3  # of which so many stay where there is little room


def setting_column(name: str) -> Column[Row]:
    """Return the column of a setting in which rows differ."""
    return words(
        f"settings.{name}", name.replace("_", " "), f"{name} of the row; rows differ in it",
        lambda row: row.settings.get(name, ""), priority=2,
    )  # fmt: skip


def target_column(target: str, metric: Metric, place: int) -> Column[Row]:
    """Return the column of a target for people, one text of what they asked for.

    ``place`` is the number of the target, of which the first give way to others last.
    """
    columns = dict(zip(("rmse", "mae", "r2"), target_figures(target), strict=True))
    heading = {"rmse": "RMSE (R²)", "mae": "MAE", "r2": "R²"}[metric]

    def text(row: Row) -> str:
        share = (row.test_r2 or {}).get(target)
        if metric == "r2":
            return "" if share is None else share_text(share, 3)
        if metric == "mae":
            return short((row.test_mae or {}).get(target))
        return short((row.test_rmse or {}).get(target)) + (
            f" ({share_text(share, 3)})" if share is not None else ""
        )

    return replace(
        columns[metric],
        heading=f"{target}: {heading}",
        text=text,
        shown="any",
        priority=1 if place < _NARROW else 9,
    )


def target_figures(target: str) -> list[Column[Row]]:
    """Return the columns of leaderboard.csv for a target."""
    return [
        csv_only(
            f"test_rmse.{target}",
            f"root mean squared error of {target} on the test images, in its own unit",
            lambda row: (row.test_rmse or {}).get(target),
        ),
        csv_only(
            f"test_mae.{target}",
            f"mean absolute error of {target} on the test images, in its own unit",
            lambda row: (row.test_mae or {}).get(target),
        ),
        csv_only(
            f"test_r2.{target}",
            f"coefficient of determination of {target} on the test images",
            lambda row: (row.test_r2 or {}).get(target),
        ),
    ]
