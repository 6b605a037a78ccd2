from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "data.py"


def test_small(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, "--n", "60", "--to", tmp_path], check=True)
    results = json.loads((tmp_path / "results" / "data.json").read_text())
    assert list(results["sizes"]) == ["60"]
    for steps in results["sizes"].values():
        assert set(steps) == {"make", "check", "decode", "decoded", "train"}
        assert all(step["seconds"] > 0 and step["mib"] > 10 for step in steps.values())
    page = (tmp_path / "DATA.md").read_text()
    assert "| step | 60 pictures |" in page
    assert page.count("MiB |") == 5
