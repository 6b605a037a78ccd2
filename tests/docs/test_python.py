"""docs/python.md runs as it is written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_page_runs(discs: Path, tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text((discs / "discs.csv").read_text())
    (tmp_path / "photos").symlink_to(discs / "photos")
    script = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    (tmp_path / "page.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "tiny_cnn + " in done.stdout
    assert re.search(r"^[56] 0$", done.stdout, re.MULTILINE)  # two rows, three baselines, maybe an ensemble
    assert re.search(r"^True$", done.stdout, re.MULTILINE)  # a DataFrame is the data that its CSV is
    assert "['small', 'tiny_cnn']" in done.stdout
    assert "unknown backbone 'tiny_cmm'; did you mean tiny_cnn" in done.stdout
    assert "'val_rmse/radius'" in done.stdout
    assert done.stdout.endswith("RegressionModule\n")
