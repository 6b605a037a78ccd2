"""The tutorial, followed to the letter: its script, then its commands."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-dials.md"


@pytest.mark.slow
def test_from_a_folder_of_photos_to_a_leaderboard(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "dials.py").write_text(script)
    subprocess.run([sys.executable, "dials.py"], cwd=tmp_path, check=True)
    assert len(list((tmp_path / "dials" / "photos").iterdir())) == 500

    path = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    check, bench = (shlex.split(line) for line in re.findall(r"^    \$ (quadzoo .*)$", text, re.MULTILINE))
    checked = subprocess.run(check, cwd=tmp_path, env=path, capture_output=True, text=True, check=True)
    for told in re.findall(r"^    (dials: .*|kinds .*|height .*|warning .*)$", text, re.MULTILINE)[:4]:
        assert told in checked.stdout

    subprocess.run(bench, cwd=tmp_path, env=path, capture_output=True, text=True, check=True)
    with (tmp_path / "results" / "leaderboard.csv").open(encoding="utf-8") as file:
        rows = {row["backbone"]: row for row in csv.DictReader(file)}
    rows.pop("ensemble", None)  # there if both networks together are better than one
    assert list(rows) == ["resnet18", "tiny_cnn", "ridge-pixels", "mean-of-train", "pixel-lookup"]
    assert float(rows["resnet18"]["test_mse"]) < 0.1 * float(rows["mean-of-train"]["test_mse"])
