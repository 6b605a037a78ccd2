from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium on the path")
def test_page_benchmark_runs_at_tiny_size(script: Callable[..., None], tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    script("page", "--rows", "2", "--repeats", "1", "--to", tmp_path)
    (page,) = json.loads((tmp_path / "results" / "page.json").read_text())["pages"]
    assert page["first_sort_seconds"] > 0
