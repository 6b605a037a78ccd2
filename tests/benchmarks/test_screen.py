"""The page on screening is made from its figures, and says what they say."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks.conftest import BENCHMARKS


def row(name: str, backbone: str, screened: float, full: float) -> dict[str, object]:
    return {"set": name, "backbone": backbone, "weights": "pretrained", "screened": screened, "full": full,
            "seeds": 3, "n_train": 100}  # fmt: skip


def test_the_committed_page_is_made_from_the_figures() -> None:
    from screen import PAGE, RESULTS, page

    assert PAGE.parent == BENCHMARKS
    assert PAGE.read_text(encoding="utf-8") == page(json.loads(RESULTS.read_text(encoding="utf-8")))


def test_taus_and_the_best() -> None:
    from screen import interval, sentence, taus

    rows = [row("same", *one) for one in (("a", 1.0, 10.0), ("b", 2.0, 20.0), ("c", 3.0, 30.0))]
    rows += [row("reversed", *one) for one in (("a", 1.0, 30.0), ("b", 2.0, 20.0), ("c", 3.0, 10.0))]
    rows += [row("alone", "a", 1.0, 1.0)]
    assert taus(rows) == pytest.approx({"same": 1.0, "reversed": -1.0})
    told = sentence(rows, "pretrained")
    assert told.startswith("pretrained (3): mean tau 0.00 (-1.00 to 1.00) over 2 sets")
    assert told.endswith("the best is the same on 2 of 3")
    low, high = interval([0.5, 0.5, 0.5])
    assert low == high == 0.5


def test_the_page_on_a_neighbour_has_the_share_that_is_left() -> None:
    from contention import SETTINGS, page

    figures = [
        {"round": 0, "backbone": "net", "setting": setting, "neighbour": busy,
         "images_per_second": 50.0 if busy else 200.0}
        for setting in SETTINGS
        for busy in (False, True)
    ]  # fmt: skip
    found = page({"figures": figures, "command": ["x"], "device": "d", "cpus": 2, "load": 0.1,
                  "versions": {"torch": "2"}})  # fmt: skip
    assert "| net | two threads | 200 | 50 | 0.25 |" in found
