from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from quadzoo.testing import BACKBONE_RULES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_page_is_what_the_verdicts_give() -> None:
    from conformance import ARCHITECTURES, page

    results = json.loads((BENCHMARKS / "results" / "conformance.json").read_text())
    assert list(results["verdicts"]) == ARCHITECTURES
    assert {rule for rules in results["verdicts"].values() for rule in rules} == set(map(str, BACKBONE_RULES))
    assert page(results) == (BENCHMARKS / "CONFORMANCE.md").read_text()


def test_two_architectures(script: Callable[..., None], tmp_path: Path) -> None:
    script("conformance", "--architectures", "lcnet_050,no_such_net", "--to", tmp_path)
    verdicts = json.loads((tmp_path / "results" / "conformance.json").read_text())["verdicts"]
    assert set(verdicts["lcnet_050"].values()) == {""}
    assert len(verdicts["lcnet_050"]) == 9
    page = (tmp_path / "CONFORMANCE.md").read_text()
    assert "1 of 2 architectures keep every rule" in page
    assert "Every rule: lcnet_050." in page
