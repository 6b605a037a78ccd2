"""The import rule, and what must answer without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import quadzoo

ROOT = Path(quadzoo.__file__).parent
MODULES = {
    ".".join(["quadzoo", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
    if "quadzoo-mynet" not in path.parts  # what a new plugin begins with: a project of its own
}

# package: what it may not import, besides cli, which nobody may
HALVES = [
    "quadzoo.grid",
    "quadzoo.report",
    "quadzoo.records",
    "quadzoo.registry.catalogue",
    "quadzoo.training",
]
FORBIDDEN = {
    "errors": ["torch", "quadzoo."],
    "storage": ["torch", "quadzoo.data", "quadzoo.model", "quadzoo.registry", "quadzoo.records", *HALVES],
    "targets": ["torch", "quadzoo.data", "quadzoo.model", "quadzoo.registry", "quadzoo.records", *HALVES],
    "metrics": ["torch", "quadzoo."],
    "registry": [
        "torch",
        "quadzoo.data",
        "quadzoo.model",
        "quadzoo.grid",
        "quadzoo.report",
        "quadzoo.records",
    ],
    "records": ["torch", "quadzoo.grid", "quadzoo.report", "quadzoo.registry", "quadzoo.training"],
    "report": ["torch", "quadzoo.model", "quadzoo.grid", "quadzoo.registry", "quadzoo.training"],
    "inference.calibration": ["torch", "quadzoo.model", "quadzoo.grid", "quadzoo.report", "quadzoo.training"],
    "inference.intervals": ["torch", "quadzoo.model", "quadzoo.grid", "quadzoo.report", "quadzoo.training"],
    "scaffold": ["torch", "quadzoo.registry", "quadzoo.data", "quadzoo.model", *HALVES],
    "inference": ["quadzoo.grid", "quadzoo.report", "quadzoo.training", "quadzoo.executors"],
    "inference.find": ["torch"],
    "inference.images": ["torch"],
    "inference.view": ["torch"],
    "testing": ["quadzoo.data", "quadzoo.grid", "quadzoo.report", "quadzoo.records", "quadzoo.training"],
    "grid.config": ["torch"],
    "grid.plan": ["torch"],
    "grid.models": ["torch"],
    "api": ["torch"],
    "parameters": ["torch", "quadzoo.grid", "quadzoo.report", "quadzoo.training"],
    "notebook_bars": ["torch", "quadzoo."],
    "progress": ["torch"],
    "threads": ["torch", "quadzoo."],
    "system": ["torch", "quadzoo."],
    "garbage": ["torch", "quadzoo."],
    "grid.slots": ["torch"],
    "data": [*HALVES, "quadzoo.inference"],
    "model": [*HALVES, "quadzoo.inference"],
    "training": ["quadzoo.grid", "quadzoo.report", "quadzoo.inference", "quadzoo.executors.local"],
    "executors": ["quadzoo.grid", "quadzoo.report", "quadzoo.data", "quadzoo.model", "quadzoo.training"],
    "model.backbones": ["quadzoo.registry", "quadzoo.data", "quadzoo.model.regressor", "quadzoo.errors"],
    "model.heads": ["quadzoo.registry", "quadzoo.data", "quadzoo.model.regressor", "quadzoo.errors"],
    "": ["quadzoo.cli"],
}


def imports_of(path: Path) -> set[str]:
    """Every module a file imports, wherever in it, but for type checking alone."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def matches(name: str, prefix: str) -> bool:
    return (
        name.startswith(prefix) if prefix.endswith(".") else name == prefix or name.startswith(f"{prefix}.")
    )


@pytest.mark.parametrize("package", FORBIDDEN)
def test_import_rule(package: str) -> None:
    full = f"quadzoo.{package}".rstrip(".")
    checked = {name: path for name, path in MODULES.items() if matches(name, full)}
    assert checked
    for name, path in checked.items():
        if name.startswith("quadzoo.cli") or (package == "" and name in ("quadzoo", "quadzoo.start")):
            continue
        wrong = {i for i in imports_of(path) for prefix in FORBIDDEN[package] if matches(i, prefix)}
        assert not wrong, f"{name} must not import {sorted(wrong)}"


@pytest.mark.parametrize(
    "code",
    [
        "import quadzoo",
        "import quadzoo.grid.plan, quadzoo.grid.config, quadzoo.grid.runner",
        "import quadzoo.report.files, quadzoo.report.verify",
        "import quadzoo.inference.intervals, crepes",
        "from quadzoo.cli import _status; _status(['report', 'nowhere'])",
        "from quadzoo.cli import _status; _status(['--help'])",
        "from quadzoo.cli import _status; _status(['list', 'plugins'])",
        "from quadzoo.cli import _status; _status(['list', 'models'])",
        "from quadzoo.cli import _status; _status(['plugin', 'new', '../x'])",
        "from quadzoo.cli import _status; _status(['data', 'check', 'nowhere'])",
        "import quadzoo.data.audit, quadzoo.data.cache",
        "from quadzoo.cli import _status; _status(['predict', 'nothing', 'nowhere.png'])",
        "from quadzoo.cli import _status; _status(['predict', 'nothing', '.'])",
        "from quadzoo.cli import _status; _status(['list', 'backbones', '--json'])",
    ],
)
def test_answers_without_torch(code: str) -> None:
    script = f"{code}\nimport sys\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_public_names() -> None:
    for name in quadzoo.__all__:
        assert hasattr(quadzoo, name)
    assert {"hookimpl", "BackboneSpec", "HeadSpec", "TargetInfo", "QuadzooError"} <= set(quadzoo.__all__)


def test_modules_stay_small() -> None:
    long = {name: n for name, path in MODULES.items() if (n := len(path.read_text().splitlines())) > 400}
    assert not long
