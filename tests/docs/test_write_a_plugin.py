"""The page's commands, run as they stand, in an environment that only this test sees."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "write-a-plugin.md"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], list[str]]:
    """The folder where the page's commands ran, the environment, and what each of them printed."""
    commands = re.findall(r"^    \$ (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 4
    folder = tmp_path_factory.mktemp("plugin")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "site"),
        # pip installs beside this environment, not into it, and fetches nothing
        "PIP_TARGET": str(folder / "site"),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this as: no isolation
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    printed = []
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout)
    return folder, environment, printed


def test_from_nothing_to_a_row_in_a_leaderboard(
    written: tuple[Path, dict[str, str], list[str]],
) -> None:
    folder, _, (new, _, check, _) = written
    assert new == "quadzoo-mynet: install it with `pip install ./quadzoo-mynet`\n"
    assert check == "backbone mynet: 9 rules kept\nhead mynet_head: 7 rules kept\n"
    with (folder / "results" / "leaderboard.csv").open(encoding="utf-8") as file:
        rows = [(row["backbone"], row["head"]) for row in csv.DictReader(file)]
    assert {("mynet", "mlp"), ("mynet", "mynet_head"), ("tiny_cnn", "mynet_head")} <= set(rows)


def test_the_page_shows_what_is_in_the_project(written: tuple[Path, dict[str, str], list[str]]) -> None:
    project = written[0] / "quadzoo-mynet"
    files = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    text = PAGE.read_text(encoding="utf-8")
    shown = {name for name in files if f"      {name}  " in text or f"  {name}\n" in text}
    assert files - shown == {"src/quadzoo_mynet/py.typed"}


@pytest.mark.slow
def test_the_project_is_typed_and_tested(written: tuple[Path, dict[str, str], list[str]]) -> None:
    folder, environment, _ = written
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(
        tests, cwd=folder / "quadzoo-mynet", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "16 passed" in done.stdout
    pytest.importorskip("mypy")
    types = [sys.executable, "-m", "mypy", "--cache-dir", str(folder / "mypy")]
    done = subprocess.run(
        types, cwd=folder / "quadzoo-mynet", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
