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
def test_the_parser_is_lenient(text: str, answer: tuple[int, int, int] | None) -> None:
    from ocr import parse

    assert parse(text) == answer


def test_small(script: Callable[..., None], equations: Path, tmp_path: Path) -> None:
    pytest.importorskip("quadzoo_reader", reason="plugins/quadzoo-reader is not installed")
    script("ocr", "--data", equations, "--readers", "reader-equations", "--limit", "20",
           "--to", tmp_path / "ocr.json")  # fmt: skip
    result = json.loads((tmp_path / "ocr.json").read_text())
    (reader,) = result["results"]
    assert reader["scores"]["test"]["n"] == 20
    assert reader["scores"]["test"]["exact"] > 0.8
    assert reader["images_per_second"] > 0
    assert len(result["split"]["hash"]) == len(result["data"]["hash"]) == 64
