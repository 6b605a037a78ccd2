"""A leaderboard as Python and notebooks want it: a table to work with, and one to look at."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pandas as pd
from pydantic import Field

from quadzoo.report.captions import captions
from quadzoo.report.column import Column, RowT
from quadzoo.report.columns import csv_columns, shown_columns
from quadzoo.report.learning import explained, sentences, share_columns, share_rows
from quadzoo.report.rows import Leaderboard
from quadzoo.report.suite.board import SuiteBoard
from quadzoo.report.suite.columns import all_columns
from quadzoo.report.suite.columns import csv_columns as suite_csv_columns
from quadzoo.report.suite.sentences import answers
from quadzoo.report.suite.sentences import captions as suite_captions


class NotebookLeaderboard(Leaderboard):
    """A leaderboard; ``more`` are those of the same results folders for other data sets and splits."""

    more: list[NotebookLeaderboard] = Field(default_factory=list, exclude=True)

    @classmethod
    def of(cls, boards: Sequence[Leaderboard]) -> NotebookLeaderboard:
        """Return the first of some leaderboards, with the others as its ``more``."""
        first, *others = (cls.model_construct(**dict(board)) for board in boards)
        return first.model_copy(update={"more": others})

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a table with the columns of leaderboard.csv; what a row lacks is None."""
        return _frame(csv_columns([self]), self.rows)

    def __repr__(self) -> str:
        return _text(shown_columns(self), self.rows)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Return captions and table as HTML, which notebooks show."""
        texts = [caption.text for caption in captions(self)]
        return _html(texts, shown_columns(self), self.rows) + self._shares_html()

    def _shares_html(self) -> str:
        """Return the section of the shares of the training images; nothing where there are none."""
        if not self.shares:
            return ""
        return _html([*sentences(self), explained(self)], share_columns(self), share_rows(self))


class NotebookSuite(SuiteBoard):
    """The leaderboard of a suite; ``boards`` are those of its sets, by name."""

    @classmethod
    def of(cls, board: SuiteBoard) -> NotebookSuite:
        """Return a suite's leaderboard for Python."""
        boards = {name: NotebookLeaderboard.of([one]) for name, one in board.boards.items()}
        return cls.model_construct(**{**dict(board), "boards": boards})

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a table with the columns of leaderboard-suite.csv; what a row lacks is None."""
        return _frame(suite_csv_columns(self), self.rows)

    def __repr__(self) -> str:
        return _text(all_columns(self), self.rows)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Return sentences and table as HTML, which notebooks show."""
        texts = [*answers(self).values(), *(caption.text for caption in suite_captions(self))]
        return _html(texts, all_columns(self), self.rows)


def _frame(columns: Sequence[Column[RowT]], rows: Sequence[RowT]) -> pd.DataFrame:
    """Return rows as programs want them: values, under the names of columns."""
    values = [[column.value(row) for column in columns] for row in rows]
    return pd.DataFrame(values, columns=[column.name for column in columns])


def _html(texts: Sequence[str], columns: Sequence[Column[RowT]], rows: Sequence[RowT]) -> str:
    """Return paragraphs and a table as people want them."""
    table = _table(columns, rows).to_html(index=False, border=0)
    return "".join(f"<p>{escape(text)}</p>" for text in texts) + table


def _text(columns: Sequence[Column[RowT]], rows: Sequence[RowT]) -> str:
    """Return a table as a console of Python shows it."""
    return _table(columns, rows).to_string(index=False)


def _table(columns: Sequence[Column[RowT]], rows: Sequence[RowT]) -> pd.DataFrame:
    """Return rows as people want them: texts, under headings."""
    cells = [[column.text(row) for column in columns] for row in rows]
    return pd.DataFrame(cells, columns=[column.heading for column in columns])
