"""Write `cases.csv` again, with what the commands say now: `python -m tests.corpus`.

A new case is a row with its kind, what is given, and its command; status and line may be left empty.
"""

from __future__ import annotations

import csv
import os
import tempfile
from dataclasses import asdict, fields, replace
from pathlib import Path

from tests.corpus.build import build
from tests.corpus.run import TABLE, Case, cases, make_results, outcome


def written(case: Case, folder: Path) -> Case:
    """Return a case with the status and the line that its command has now."""
    left = outcome(case, folder)
    said = [*left.err, *left.out]
    same = [case.line] * any(map(case.is_said, said))
    told = [line for line in said if any(word in line for word in ("error:", "warning: run", "{KEY}: "))]
    return replace(case, status=left.status, line=[*same, *told, *said, ""][0])


if __name__ == "__main__":
    os.environ["QUADZOO_CACHE_DIR"] = tempfile.mkdtemp()
    folder = Path(tempfile.mkdtemp())
    build(folder)
    make_results(folder)
    rows = [written(case, folder) for case in cases()]
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Case)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, rows))
