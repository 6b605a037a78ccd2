from __future__ import annotations

import json
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_page_is_what_the_results_give() -> None:
    from export import page

    results = json.loads((BENCHMARKS / "results" / "export.json").read_text())
    assert page(results) == (BENCHMARKS / "EXPORT.md").read_text()
    for name, one in results["found"].items():
        assert "reason" in one or one["share"] <= 1e-3, name
