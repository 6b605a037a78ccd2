from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))


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


def test_small(equations: Path, tmp_path: Path) -> None:
    pytest.importorskip("quadzoo_reader", reason="plugins/quadzoo-reader is not installed")
    subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "ocr.py", "--data", equations, "--readers", "reader-equations",
         "--limit", "20", "--to", tmp_path / "ocr.json"],
        check=True, capture_output=True, env=os.environ,
    )  # fmt: skip
    told = json.loads((tmp_path / "ocr.json").read_text())
    (result,) = told["results"]
    assert result["scores"]["test"]["n"] == 20
    assert result["scores"]["test"]["exact"] > 0.8
    assert result["pictures_per_second"] > 0
    assert len(told["split"]["hash"]) == len(told["data"]["hash"]) == 64
