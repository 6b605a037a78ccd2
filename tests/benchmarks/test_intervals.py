from __future__ import annotations

import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RESULTS = json.loads((BENCHMARKS / "results" / "intervals.json").read_text(encoding="utf-8"))


def test_the_page_is_what_the_results_give() -> None:
    from intervals import page

    assert page(RESULTS) == (BENCHMARKS / "INTERVALS.md").read_text(encoding="utf-8")


def test_the_results_are_what_the_records_give() -> None:
    from intervals import RECORDS, Tried, of_levels, read_runs

    runs = [Tried(run) for run in read_runs([RECORDS]).runs]
    for found, said in zip(of_levels(runs), RESULTS["levels"], strict=True):
        for name, value in said.items():
            assert found[name] == pytest.approx(value)


def test_intervals_contain_what_they_say() -> None:
    """On average over the runs, within 1.5 points; jointly no fewer than the level, but for chance."""
    for one in RESULTS["levels"]:
        assert one["singly"]["mean"] == pytest.approx(one["level"], abs=0.015)
        assert one["jointly"]["mean"] == pytest.approx(one["level"], abs=0.015)
        assert one["all_by_single"]["mean"] < one["level"] - 0.05
    for one in RESULTS["simulation"]:
        *_, used = one["coverage"].values()
        assert used > 0.895
