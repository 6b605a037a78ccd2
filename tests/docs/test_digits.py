"""docs/digits.ipynb runs, and is committed as it ran; `python docs/execute.py` writes it again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def execute() -> ModuleType:
    spec = spec_from_file_location("execute", DOCS / "execute.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs(notebook: Any) -> Iterator[list[Any]]:
    return (cell.outputs for cell in notebook.cells if cell.cell_type == "code")


def check(notebook: Any) -> None:
    """What its output must be, wherever it ran."""
    assert all(list(outputs(notebook)))
    every = [one for some in outputs(notebook) for one in some]
    assert {one.output_type for one in every} == {"execute_result", "display_data", "stream"}
    notes = [one.data["text/plain"] for one in every if one.output_type == "display_data"]
    assert any("[2/2] tiny_cnn · integer · seed 0: val MSE" in text for text in notes)
    assert "\n".join(notes).count("quadzoo: ") == len(notes) - 1  # the other is where bars were
    tables = [one.data["text/html"] for one in every if "text/html" in one.get("data", {})]
    assert any("<p>" in html and "ridge-pixels" in html for html in tables)
    assert any("pixels</td>" in html and "test_exact" in html for html in tables)
    told = r"(\d+)% of 200 new digits are right after rounding; the interval covers (\d+)%\n"
    shares = re.fullmatch(told, every[-1].text)
    assert shares
    assert int(shares[1]) >= 70
    assert int(shares[2]) >= 75


def test_it_is_committed_with_its_output(execute: ModuleType) -> None:
    notebook = nbformat.read(DOCS / "digits.ipynb", as_version=4)
    check(notebook)
    assert execute.machine(notebook) == ""
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_runs(execute: ModuleType, tmp_path: Path) -> None:
    check(execute.executed(tmp_path))
