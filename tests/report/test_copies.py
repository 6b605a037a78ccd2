"""A run copied to another seed is left out, and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quadzoo.records.record import write_record
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from quadzoo.report.rows import Row
from quadzoo.report.verify import verify
from tests.report.tampering import add_run, report


def row_of(out: Path) -> Row:
    results = read_runs([out])
    (board,) = leaderboards(results.runs, results.unreadable, results.answers)
    (row,) = [row for row in board.rows if row.head != "-"]
    return row


def test_a_copy_is_no_second_seed(tmp_path: Path) -> None:
    first, *others = (add_run(tmp_path, seed=seed) for seed in (0, 1, 2))
    report(tmp_path)
    unreadable = read_runs([tmp_path]).unreadable
    assert {one.key for one in unreadable} == {one.key for one in others}
    for one in unreadable:
        assert one.reason == f"its weights and predictions are those of seed 0, run {first.key}: a copy"
    row = row_of(tmp_path)
    assert (row.seeds, row.verdict, row.rank) == (1, "incomplete", None)
    assert {one.where for one in verify(tmp_path).faults} >= {one.key for one in others}


@pytest.mark.parametrize(
    "changes", [{"best_epoch": 0}, {"best_epoch": None}, {"files": {}}], ids=["untrained", "unknown", "bare"]
)
def test_seeds_that_cannot_differ_are_no_copies(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A head with a closed form, and a model that is tested as it is, are the same with every seed."""
    for seed in (0, 1, 2):
        write_record(tmp_path, add_run(tmp_path, seed=seed).model_copy(update=changes))
    assert read_runs([tmp_path]).unreadable == []
    assert row_of(tmp_path).seeds == 3


def test_other_folds_and_combinations_may_be_alike(tmp_path: Path) -> None:
    add_run(tmp_path)
    add_run(tmp_path, precision="bf16")
    assert read_runs([tmp_path]).unreadable == []


def test_a_second_run_with_one_seed_costs_its_own_place(tmp_path: Path) -> None:
    """As where somebody has changed the seed in a record."""
    kept, changed = (add_run(tmp_path, seed=seed, best_epoch=0) for seed in (1, 0))
    write_record(tmp_path, changed.model_copy(update={"seed": 1, "finished": kept.started}))
    report(tmp_path)
    (left_out,) = read_runs([tmp_path]).unreadable
    assert left_out.key == changed.key
    assert left_out.reason == f"run {kept.key} has its place in the table: the same row, fold and seed 1"
    assert row_of(tmp_path).seeds == 1
