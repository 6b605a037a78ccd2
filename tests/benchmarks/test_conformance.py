from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "conformance.py"


def test_two_architectures(tmp_path: Path) -> None:
    flags = ["--architectures", "lcnet_050,no_such_net", "--to", tmp_path]
    subprocess.run([sys.executable, SCRIPT, *flags], check=True, capture_output=True)
    verdicts = json.loads((tmp_path / "results" / "conformance.json").read_text())["verdicts"]
    assert set(verdicts["lcnet_050"].values()) == {""}
    assert len(verdicts["lcnet_050"]) == 8
    page = (tmp_path / "CONFORMANCE.md").read_text()
    assert "1 of 2 architectures keep every rule" in page
    assert "Every rule: lcnet_050." in page
