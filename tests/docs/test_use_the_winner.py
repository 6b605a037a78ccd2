"""README's way from a table to the numbers of new images; its commands run with a smaller network."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import Result

PAGE = Path(__file__).parents[2] / "README.md"
SMALLER = ["--backbones", "tiny_cnn", "--seeds", "0", "--epochs", "2", "--weights", "none"]


def test_from_a_table_to_numbers_in_five_lines(
    discs: Path, quadzoo: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (section,) = re.findall(r"^## Use the winner\n(.*?)^## ", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    lines = re.findall(r"^    (quadzoo .*)$", section, re.MULTILINE)
    assert len(lines) == 5
    (python,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    pd.read_csv(discs / "discs.csv").drop(columns="who").to_csv(tmp_path / "my.csv", index=False)
    for name in ("photos", "new-photos"):
        shutil.copytree(discs / "photos", tmp_path / name)
    (tmp_path / "new.csv").write_text("file\ndisc 03\ndisc 07\n")
    monkeypatch.chdir(tmp_path)

    printed = []
    for line in lines:
        _, *words = shlex.split(line)
        done = quadzoo(*words, *(SMALLER if words[0] == "bench" else []))
        checks = words[:2] == ["data", "check"]  # which finds something: some discs are identical
        assert done.status == int(checks), f"{line}\n{done.err}"
        printed.append(done.out)
    assert len(printed[2].splitlines()) == 61
    answers = pd.read_csv("answers.csv")
    assert list(answers.columns) == ["id", "radius", "x"]
    assert [one["id"] for one in json.loads(printed[4])["predictions"]] == ["disc 03", "disc 07"]
    found: dict[str, Any] = {}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        exec(python, found)
    assert "No network beats" in str(told[0].message)
    pd.testing.assert_frame_equal(found["table"], answers)
