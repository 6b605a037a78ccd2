"""Results folders, one or many, read and put together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from quadzoo.records.predictions import of_targets, read_predictions
from quadzoo.records.record import PREDICTIONS, RunRecord, read_records, run_folder
from quadzoo.report.rows import Conflict


@dataclass(frozen=True)
class Run:
    """A record, and the folder it lies in."""

    record: RunRecord
    folder: Path

    def test(self) -> pd.DataFrame | None:
        """Read the predictions for test, by id; None where there is no file.

        The column ``error`` is the squared error in the scaled unit, averaged over targets.
        """
        path = self.folder / PREDICTIONS
        if not path.exists():
            return None
        table = read_predictions(path, self.record.targets)
        table = table[table["split"] == "test"].set_index("id")
        spread = np.array(self.record.target_high) - np.array(self.record.target_low)
        truth, prediction = of_targets(table, self.record.targets)
        return table.assign(error=(((prediction - truth) / spread) ** 2).mean(axis=1))


def read_runs(folders: Iterable[Path]) -> tuple[list[Run], list[Conflict]]:
    """Return the runs of all results folders, one a key, in the order of keys, and what contradicts itself.

    Of several records with one key the newest that is ok counts, or the newest where none is. Two that are
    ok and differ in a score are a conflict.
    """
    found: dict[str, list[Run]] = {}
    for folder in folders:
        for record in read_records(folder):
            found.setdefault(record.key, []).append(Run(record, run_folder(folder, record.key)))
    runs, conflicts = [], []
    for key in sorted(found):
        taken, *others = sorted(
            found[key], key=lambda run: (run.record.status == "ok", run.record.finished), reverse=True
        )
        runs.append(taken)
        conflicts += [
            Conflict(
                key=key,
                backbone=taken.record.backbone,
                head=taken.record.head,
                seed=taken.record.seed,
                taken_test_mse=taken.record.metrics.test_mse,
                other_test_mse=other.record.metrics.test_mse,
            )
            for other in others
            if other.record.status == "ok" and other.record.metrics != taken.record.metrics
        ]
    return runs, conflicts
