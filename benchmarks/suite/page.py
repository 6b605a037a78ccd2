"""The published leaderboard over data sets: LEADERBOARD-SUITE.md and leaderboard-suite.html in benchmarks/.

    python benchmarks/suite/page.py         writes both anew from the records in results/suite, trains nothing
    python benchmarks/suite/page.py OUT     first keeps the records of OUT, which `quadzoo bench --suite` made

Weights are not kept (`quadzoo verify benchmarks/results/suite --no-weights` checks the rest).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from quadzoo.records.suite import SUITE, read_suite
from quadzoo.report.results import read_runs
from quadzoo.report.suite.board import read_suite_board
from quadzoo.report.suite.files import to_html, to_markdown

HERE = Path(__file__).parents[1]
RECORDS = HERE / "results" / "suite"

sys.path.append(str(HERE))
from leaderboard import keep  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, nargs="?", help="the results folder of a suite")
    parser.add_argument("--to", type=Path, default=HERE, help="where the files and records are written")
    arguments = parser.parse_args()
    records = arguments.to / RECORDS.relative_to(HERE)
    if arguments.out:
        keep_suite(arguments.out, records)
    for name, text in pages(records).items():
        (arguments.to / name).write_text(text, encoding="utf-8")


def keep_suite(out: Path, records: Path) -> None:
    """Copy all but the weights of every finished run, in the place of earlier records."""
    sets = read_suite(out).sets
    if out.resolve() == records.resolve():
        return
    shutil.rmtree(records, ignore_errors=True)
    for name in sets:
        keep(out / name, records / name)
    shutil.copyfile(out / SUITE, records / SUITE)


def pages(records: Path) -> dict[str, str]:
    """Return what the records give, by the name of the file."""
    board = read_suite_board(records)
    runs = read_runs([records / name for name in board.boards]).runs
    took = in_words([(run.record.started, run.record.finished) for run in runs])
    return {
        "LEADERBOARD-SUITE.md": f"{to_markdown(board)}\n{took}\n",
        "leaderboard-suite.html": to_html(board),
    }


def in_words(times: Sequence[tuple[datetime, datetime]]) -> str:
    """Return how long runs took, from when each started and finished: in sum, and by the clock."""
    total = sum((finished - started for started, finished in times), timedelta())
    passed, until = timedelta(), min(started for started, _ in times)
    for started, finished in sorted(times):
        passed += max(finished, until) - max(started, until)
        until = max(finished, until)
    most = max(sum(one <= at < end for one, end in times) for at, _ in times)
    text = f"The {len(times)} runs took {_hours(total)} in sum, each from its start to its finish"
    if most > 1:
        text += (
            f": {_hours(passed)} by the clock, in which {most} at most were under way at the same time "
            f"({_hours(total / most)} if {most} always were)"
        )
    return f"{text}. Ridge regression and pauses between runs are not counted."


def _hours(time: timedelta) -> str:
    return f"{time / timedelta(hours=1):.2f} hours"


if __name__ == "__main__":
    main()
