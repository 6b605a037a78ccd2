from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def test_small(script: Callable[..., None], tmp_path: Path) -> None:
    script("data", "--n", "60", "--to", tmp_path)
    results = json.loads((tmp_path / "results" / "data.json").read_text())
    assert list(results["sizes"]) == ["60"]
    for steps in results["sizes"].values():
        assert set(steps) == {"make", "check", "decode", "decoded", "train"}
        assert all(step["seconds"] > 0 and step["mib"] > 10 for step in steps.values())
    page = (tmp_path / "DATA.md").read_text()
    assert "| step | 60 images |" in page
    assert page.count("MiB |") == 5
