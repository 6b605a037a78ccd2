from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("4x² + 13x = -2\n", (4, 13, 2)),
        ("4x2+13x=—2", (4, 13, 2)),
        ("4×? + I3x = -2", (4, 13, 2)),
        ("-x-2=-4x”", (4, -1, -2)),
        ("[x - 3)(x + 1O) = 0", (1, -7, -30)),
        ("A hundred", None),
        ("", None),
    ],
)
def test_a_kind_parser(text: str, answer: tuple[int, int, int] | None) -> None:
    from ocr import parse

    assert parse(text) == answer


def test_small(script: Callable[..., None], equations: Path, tmp_path: Path) -> None:
    pytest.importorskip("quadzoo_reader", reason="plugins/quadzoo-reader is not installed")
    script("ocr", "--data", equations, "--readers", "reader-equations", "--limit", "20",
           "--to", tmp_path / "ocr.json")  # fmt: skip
    told = json.loads((tmp_path / "ocr.json").read_text())
    (result,) = told["results"]
    assert result["scores"]["test"]["n"] == 20
    assert result["scores"]["test"]["exact"] > 0.8
    assert result["images_per_second"] > 0
    assert len(told["split"]["hash"]) == len(told["data"]["hash"]) == 64
