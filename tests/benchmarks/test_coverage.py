from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_coverage_benchmark_runs_at_tiny_size(script: Callable[..., None], tmp_path: Path) -> None:
    script("coverage", "--repeats", "2", "--to", tmp_path)
    cases = json.loads((tmp_path / "results" / "coverage.json").read_text())
    committed = json.loads((BENCHMARKS / "results" / "coverage.json").read_text())
    assert [case["case"] for case in cases] == [case["case"] for case in committed]
    assert all(case.keys() <= committed[number].keys() for number, case in enumerate(cases))
    assert all(f"\n| {case['case']} |" in (tmp_path / "COVERAGE.md").read_text() for case in cases)


def test_the_aims_are_reached_or_the_documentation_names_the_case() -> None:
    """With three seeds: told in at most 6 %, covered in 92 to 98 %; with fewer, never told."""
    text = (BENCHMARKS.parent / "docs" / "metrics.md").read_text()
    for case in json.loads((BENCHMARKS / "results" / "coverage.json").read_text()):
        if min(case["seeds"]) < 3:
            assert case["falsely told"] == 0
            continue
        assert case["falsely told"] <= 0.06
        if not 0.92 <= case.get("covered", 0.95) <= 0.98 or case.get("selected covered", 0.95) < 0.92:
            assert f"`{case['case']}`" in text
        if case["falsely better than the baseline"] > 0.062:
            assert f"`{case['case']}`" in text
