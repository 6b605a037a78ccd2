"""Docstrings of the public surface: arrays have a shape and a dtype, and errors are named."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import quadzoo

ROOT = Path(quadzoo.__file__).parent

# Modules and packages whose public functions, methods and classes are held to the rules below.
CHECKED = (
    "api", "data", "errors", "executors", "grid", "inference", "metrics", "model", "records", "registry",
    "report", "storage", "targets", "threads", "training",
)  # fmt: skip

_ARRAY = re.compile(r"\b(ndarray|NDArray|Tensor)\b")
# In parentheses, with a comma: (N, T), (B, C, H, W), (n,), (M, 17), (B, num_features, H/8, W/8), (n, ...).
_DIMENSION = r"(?:(?:[A-Za-z]|[a-z]+_[a-z]+|\d+)(?:[/+*-]\w+)?|\.\.\.)"
_SHAPE = re.compile(rf"\({_DIMENSION}(?:,|(?:, {_DIMENSION})+)\)")
_DTYPE = re.compile(r"\b(float64|float32|float16|bfloat16|uint8|uint16|int64|int32|bool)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef


class Public(NamedTuple):
    """A public class, function or method of a module, by its full name."""

    name: str
    node: Documented

    @property
    def docstring(self) -> str:
        """What the source says of it."""
        return ast.get_docstring(self.node) or ""


def homes() -> dict[str, str]:
    """The names of `quadzoo.__all__`, each with the module that defines it."""
    return quadzoo._HOMES


def in_module(module: str) -> Iterator[Public]:
    """All that is public in a module, from its source."""
    base = ROOT.joinpath(*module.split(".")[1:])
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        yield from public(module, node)


def public(parent: str, node: ast.stmt) -> Iterator[Public]:
    """A definition, and what is public in it."""
    if not isinstance(node, Documented) or node.name.startswith("_"):
        return
    name = f"{parent}.{node.name}"
    yield Public(name, node)
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            yield from public(name, inner)


def modules(package: str) -> list[str]:
    """The names of the modules of a package, or of the one module."""
    base = ROOT.joinpath(*package.split("."))
    if not base.is_dir():
        return [f"quadzoo.{package}"]
    inside = [path.relative_to(ROOT).with_suffix("").parts for path in sorted(base.rglob("*.py"))]
    return [".".join(("quadzoo", *parts)).removesuffix(".__init__") for parts in inside]


def surface() -> list[Public]:
    """Whatever is held to the rules."""
    found = [one for package in CHECKED for module in modules(package) for one in in_module(module)]
    known = {one.name for one in found}
    for name, home in homes().items():
        start = f"{home}.{name}"
        found += [
            one
            for one in in_module(home)
            if (one.name == start or one.name.startswith(f"{start}.")) and one.name not in known
        ]
    return found


def handles_arrays(node: Documented) -> bool:
    """Whether an annotation of its parameters, result or fields names an array."""
    if isinstance(node, ast.ClassDef):
        annotations = [item.annotation for item in node.body if isinstance(item, ast.AnnAssign)]
    else:
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [one for one in (arguments.vararg, arguments.kwarg) if one]
        annotations = [one.annotation for one in every if one.annotation]
        annotations += [node.returns] if node.returns else []
    return any(_ARRAY.search(ast.unparse(annotation)) for annotation in annotations)


def raises(node: Function) -> bool:
    """Whether its own body, without functions inside, raises an error that it names.

    NotImplementedError does not count: it stands for a body that a plugin or a subclass writes.
    """
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.Raise) and one.exc and "NotImplementedError" not in ast.unparse(one.exc):
            return True
        if not isinstance(one, Function | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(one)
    return False


def test_everything_public_has_a_docstring() -> None:
    assert [one.name for one in surface() if not one.docstring] == []


def test_arrays_have_a_shape_in_parentheses_and_a_dtype() -> None:
    faults = {
        one.name: [what for what, pattern in (("shape", _SHAPE), ("dtype", _DTYPE))
                   if not pattern.search(one.docstring)]
        for one in surface() if handles_arrays(one.node)
    }  # fmt: skip
    assert {name: missing for name, missing in faults.items() if missing} == {}


def test_errors_are_named() -> None:
    functions = [one for one in surface() if isinstance(one.node, Function)]
    assert [
        one.name for one in functions if raises(one.node) and not re.search(r"\bRaises\b", one.docstring)
    ] == []


def test_the_rules_look_at_something() -> None:
    """A rename must not leave the tests above with nothing to do."""
    found = surface()
    names = {one.name for one in found}
    functions_and_classes = {name for name in homes() if name != "hookimpl"}  # a marker, not a definition
    assert {f"{homes()[name]}.{name}" for name in functions_and_classes} <= names
    assert sum(handles_arrays(one.node) for one in found) > 20
    assert sum(isinstance(one.node, Function) and raises(one.node) for one in found) > 10


@pytest.mark.parametrize(
    ("text", "is_shape"),
    [
        ("float64 (N, T)", True),
        ("uint8 (B, C, H, W)", True),
        ("int64 (N,)", True),
        ("uint8 (M, 17)", True),
        ("features (B, num_features, H/8, W/8)", True),
        ("blocks (n, ...)", True),
        ("a mean (of all, that is)", False),
        ("(N)", False),
        ("(mean, deviation)", False),
    ],
)
def test_what_a_shape_is(text: str, is_shape: bool) -> None:
    assert bool(_SHAPE.search(text)) is is_shape
