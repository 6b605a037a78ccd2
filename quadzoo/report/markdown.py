"""Leaderboards as Markdown, as GitHub shows it."""

from __future__ import annotations

from collections.abc import Sequence

from quadzoo.report.answer import answers
from quadzoo.report.captions import captions, left_out
from quadzoo.report.columns import rmse_columns, share_columns, shown_columns
from quadzoo.report.learning import explained, sentences, share_of
from quadzoo.report.rows import Leaderboard, Unreadable


def to_markdown(boards: Sequence[Leaderboard], unreadable: Sequence[Unreadable] = ()) -> str:
    """Return the leaderboards as one Markdown page: of each its captions, table, costs and failures.

    ``unreadable`` is for folders without any leaderboard, since each leaderboard has its own.
    """
    lines = ["# Leaderboard"] if len(boards) == 1 else ["# Leaderboards"]
    if not boards:
        told = left_out(unreadable)
        lines += ["", f"**{_escaped(told)}**" if told else "No run yet."]
    for board in boards:
        if len(boards) > 1:
            lines += ["", f"## {_escaped(board.data.name)}, split {_escaped(board.split.name)}"]
        lines += _section(board)
    return "\n".join(lines) + "\n"


def _section(board: Leaderboard) -> list[str]:
    lines = []
    for caption in captions(board):
        text = _escaped(caption.text)
        lines += ["", f"**{text}**" if caption.warning else text]
    for question, answer in answers(board).items():
        lines += ["", f"**{question}** {_escaped(answer)}"]
    columns = [*shown_columns(board), *rmse_columns(board)]
    lines += ["", _line([column.heading for column in columns]), _line(["---"] * len(columns))]
    lines += [_line([column.text(row) for column in columns]) for row in board.rows]
    lines += ["", "RMSE in the targets' own units. docs/metrics.md defines every column."]
    lines += _shares(board)
    failures = [(row, failure) for row in board.every_row for failure in row.failures]
    if failures:
        lines += ["", "Failed runs:", ""]
        lines += [
            f"- {_escaped(row.backbone)} · {_escaped(row.head)} · seed {one.seed}{share_of(row)}: "
            f"{_escaped(one.error)}"
            for row, one in failures
        ]
    return lines


def _shares(board: Leaderboard) -> list[str]:
    """Return the section of the shares of the training images; nothing where there are none."""
    if not board.shares:
        return []
    columns = share_columns()
    lines = ["", "**Error against number of training images.** " + _escaped(explained(board)), ""]
    lines += [f"- {_escaped(text)}" for text in sentences(board)]
    lines += ["", _line([column.heading for column in columns]), _line(["---"] * len(columns))]
    rows = [row for curve in board.shares for row in curve.rows]
    return lines + [_line([column.text(row) for column in columns]) for row in rows]


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(text) for text in texts) + " |"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
