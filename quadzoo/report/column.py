"""A column of a table of rows, of whatever kind the rows are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from quadzoo.report.text import short

Value = str | float | None
RowT = TypeVar("RowT")


@dataclass(frozen=True, kw_only=True)
class Column(Generic[RowT]):
    """One column, of rows of any kind: `COLUMNS` are a leaderboard's.

    ``value`` is what leaderboard.csv holds under ``name`` and what the page sorts by; ``text`` is what
    people read under ``heading``. ``shown`` says when terminal, Markdown and page have the column: always,
    where any row has a text, where the texts of rows differ, or never. With ``page_only`` the page alone has
    it. A terminal that is too narrow drops the columns with the highest ``priority`` first, and those with 0
    never.
    """

    name: str
    heading: str
    meaning: str
    value: Callable[[RowT], Value]
    text: Callable[[RowT], str]
    number: bool = True
    shown: Literal["always", "any", "differs", "never"] = "any"
    priority: int = 0
    page_only: bool = False

    def says_something(self, rows: Iterable[RowT]) -> bool:
        """Whether people are shown this column of a leaderboard with these rows."""
        texts = {self.text(row) for row in rows} - {""}
        fewest = {"always": 0, "any": 1, "differs": 2}
        return self.shown != "never" and len(texts) >= fewest[self.shown]


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
