from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium on the path")
def test_page_benchmark_runs_at_tiny_size(tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "page.py", "--rows", "2", "--repeats", "1", "--to", tmp_path],
        check=True, capture_output=True,
    )  # fmt: skip
    (page,) = json.loads((tmp_path / "results" / "page.json").read_text())["pages"]
    assert page["first_sort_seconds"] > 0
