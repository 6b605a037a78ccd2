from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS / "suite")])


def test_what_is_written_is_what_the_records_give() -> None:
    from patience import found

    assert json.loads((BENCHMARKS / "results" / "patience.json").read_text()) == found()


def test_a_curve_is_stopped_after_so_many_without_a_gain() -> None:
    from patience import stopped

    curve = [9.0, 8.0, 8.5, 8.6, 8.7, 4.0, 3.0, 3.1, 3.2, 3.3]
    assert stopped([curve], 0.2)["val MSE, times"] == round(8 / 3, 3)
    assert stopped([curve], 0.2)["time saved"] == 0.6
    assert stopped([curve], 0.4) == {
        "share": 0.4, "stopped": 0, "time saved": 0.0, "val MSE, times": 1.0, "at worst": 1.0,
        "worse by more than 5 %": 0,
    }  # fmt: skip
