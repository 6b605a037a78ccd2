from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))  # behind what is installed: one of them is called coverage


@pytest.fixture
def script() -> Callable[..., None]:
    """Run a script of benchmarks/: script("recipe", "--seeds", "0")."""

    def run(name: str, *flags: object) -> None:
        command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, flags)]
        subprocess.run(command, check=True, capture_output=True, env=os.environ)

    return run


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scripts that train are run by CI alone, where `-m slow` asks for them."""
    for item in items:
        if item.path.parent == Path(__file__).parent and "script" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
