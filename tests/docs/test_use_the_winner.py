"""README's way from a table to the numbers of new images; its commands run with a smaller network."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

PAGE = Path(__file__).parents[2] / "README.md"
SMALLER = ["--backbones", "tiny_cnn", "--seeds", "0", "--epochs", "2", "--weights", "none"]


def test_from_a_table_to_numbers_in_five_lines(discs: Path, tmp_path: Path) -> None:
    (section,) = re.findall(r"^## Use the winner\n(.*?)^## ", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    lines = re.findall(r"^    (quadzoo .*)$", section, re.MULTILINE)
    assert len(lines) == 5
    (python,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    pd.read_csv(discs / "discs.csv").drop(columns="who").to_csv(tmp_path / "my.csv", index=False)
    shutil.copytree(discs / "photos", tmp_path / "photos")
    shutil.copytree(discs / "photos", tmp_path / "new-photos")
    (tmp_path / "new.csv").write_text("file\ndisc 03\ndisc 07\n")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    printed = []
    for line in lines:
        words = shlex.split(line) + (SMALLER if " bench " in line else [])
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        checks = line.startswith("quadzoo data check")  # which finds something: some discs are identical
        assert done.returncode == int(checks), f"{line}\n{done.stderr}"
        printed.append(done.stdout)
    assert len(printed[2].splitlines()) == 61
    answers = pd.read_csv(tmp_path / "answers.csv")
    assert list(answers.columns) == ["id", "radius", "x"]
    assert [one["id"] for one in json.loads(printed[4])["predictions"]] == ["disc 03", "disc 07"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{python}\nprint(len(table))"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "60\n", done.stderr
