"""The published leaderboard over data sets: LEADERBOARD-SUITE.md and leaderboard-suite.html in benchmarks/.

    python benchmarks/suite/page.py         writes both anew from the records in results/suite, trains nothing
    python benchmarks/suite/page.py OUT     first keeps the records of OUT, which `quadzoo bench --suite` made

Weights are not kept (`quadzoo verify benchmarks/results/suite --no-weights` checks the rest).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from quadzoo.records.suite import SUITE, read_suite
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
    return {"LEADERBOARD-SUITE.md": to_markdown(board), "leaderboard-suite.html": to_html(board)}


if __name__ == "__main__":
    main()
