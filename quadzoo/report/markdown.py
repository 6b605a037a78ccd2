"""Leaderboards as Markdown, as GitHub shows it."""

from __future__ import annotations

from collections.abc import Sequence

from quadzoo.report.answer import answers
from quadzoo.report.rows import Leaderboard
from quadzoo.report.tables import captions, cells, headings, leak, short


def to_markdown(boards: Sequence[Leaderboard]) -> str:
    """Return the leaderboards as one Markdown page: of each its captions, table, costs and failures."""
    lines = ["# Leaderboard"] if len(boards) == 1 else ["# Leaderboards"]
    if not boards:
        lines += ["", "No run yet."]
    for board in boards:
        if len(boards) > 1:
            lines += ["", f"## {_escaped(board.data.name)}, split {_escaped(board.split.name)}"]
        lines += _section(board)
    return "\n".join(lines) + "\n"


def _section(board: Leaderboard) -> list[str]:
    targets = list(next((row.test_rmse for row in board.rows if row.test_rmse), {}))
    lines = []
    for text in captions(board):
        lines += ["", f"**{_escaped(text)}**" if text == leak(board) else _escaped(text)]
    for question, answer in answers(board).items():
        lines += ["", f"**{question}** {_escaped(answer)}"]
    columns = (*headings(), *(f"RMSE {target}" for target in targets))
    lines += ["", _line(columns), _line(["---"] * len(columns))]
    for row in board.rows:
        lines.append(_line([*cells(row), *(short((row.test_rmse or {}).get(target)) for target in targets)]))
    lines += ["", "RMSE in the targets' own units. docs/metrics.md defines every column."]
    failures = [(row, failure) for row in board.rows for failure in row.failures]
    if failures:
        lines += ["", "Failed runs:", ""]
        lines += [
            f"- {_escaped(row.backbone)} · {_escaped(row.head)} · seed {one.seed}: {_escaped(one.error)}"
            for row, one in failures
        ]
    return lines


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(text) for text in texts) + " |"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
