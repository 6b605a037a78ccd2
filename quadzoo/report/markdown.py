"""Leaderboards as Markdown, as GitHub shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from quadzoo.report.answer import answers
from quadzoo.report.captions import captions, left_out, units
from quadzoo.report.columns import shown_columns
from quadzoo.report.learning import explained, sentences, share_columns, share_rows
from quadzoo.report.rows import Leaderboard, Unreadable
from quadzoo.report.text import printable

_ACTING = re.compile(r"([\\|\[\]`*]|^[#>+-](?=\s)|(?<![^\W_])_|_(?![^\W_]))")


def to_markdown(boards: Sequence[Leaderboard], unreadable: Sequence[Unreadable] = ()) -> str:
    """Return the leaderboards as one Markdown page: of each its captions, table, costs and failures.

    ``unreadable`` is for folders without any leaderboard, since each leaderboard has its own.
    """
    lines = ["# Leaderboard"] if len(boards) == 1 else ["# Leaderboards"]
    if not boards:
        told = left_out(unreadable)
        lines += ["", f"**{escaped(told)}**" if told else "No run yet."]
    for board in boards:
        if len(boards) > 1:
            lines += ["", f"## {escaped(board.title)}"]
        lines += _section(board)
    return "\n".join(lines) + "\n"


def _section(board: Leaderboard) -> list[str]:
    lines = []
    for caption in captions(board):
        text = escaped(caption.text)
        lines += ["", f"**{text}**" if caption.warning else text]
    for question, answer in answers(board).items():
        lines += ["", f"**{question}** {escaped(answer)}"]
    columns = shown_columns(board)
    lines += ["", line([column.heading for column in columns]), line(["---"] * len(columns))]
    lines += [line([column.text(row) for column in columns]) for row in board.rows]
    lines += ["", escaped(f"{units(board)} docs/metrics.md defines every column.")]
    lines += _shares(board)
    failures = [(row, failure) for row in board.every_row for failure in row.failures]
    if failures:
        lines += ["", "Failed runs:", ""]
        lines += [
            f"- {escaped(row.backbone)} · {escaped(row.head)}{' (tuned)' if row.tuned else ''} · "
            f"seed {one.seed}{row.share}: {escaped(one.error)}"
            for row, one in failures
        ]
    return lines


def _shares(board: Leaderboard) -> list[str]:
    """Return the section of the shares of the training images; nothing where there are none."""
    if not board.shares:
        return []
    columns, rows = share_columns(board), share_rows(board)
    lines = ["", "**Error against number of training images.** " + escaped(explained(board)), ""]
    lines += [f"- {escaped(text)}" for text in sentences(board)]
    lines += ["", line([column.heading for column in columns]), line(["---"] * len(columns))]
    return lines + [line([column.text(row) for column in columns]) for row in rows]


def line(texts: Sequence[str]) -> str:
    """Return a line of a table."""
    return "| " + " | ".join(escaped(text) for text in texts) + " |"


def escaped(text: str) -> str:
    """Return a text of anybody's as Markdown shows it unchanged, in one line.

    No link, image, code or HTML comes of it; an address is shown as it is.
    """
    return _ACTING.sub(r"\\\1", printable(text.replace("\n", " "))).replace("&", "&amp;").replace("<", "&lt;")
