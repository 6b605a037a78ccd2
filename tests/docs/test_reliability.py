"""docs/reliability.md names tests that are there, for every case of faults."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
CASES = 42


def functions_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def rows() -> list[tuple[int, str]]:
    return [(int(number), rest) for number, rest in re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)]


def test_every_case_stands_there_once_with_a_test() -> None:
    assert [number for number, _ in rows()] == [*range(1, CASES + 1)]
    assert [number for number, rest in rows() if not NAMED.search(rest.split(" | ")[-1])] == []


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) >= CASES
    assert [path for path, _ in named if not (ROOT / path).is_file()] == []
    lost = [f"{path}::{name}" for path, name in named if name and name not in functions_in(path)]
    assert lost == []
