"""What stands for code without a plugin: the same in every process, another when what it does changes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from quadzoo.registry.sources import NoSource, Source

MODULE = """
import dataclasses, enum, functools, logging, math
from collections import namedtuple
import numpy as np
from torch import nn
import torch

WIDTH = 6
UNUSED = 1
NAMES = {"a", "b", "c", "d"}
RATES = np.array([0.5, 1.0])
START = torch.arange(3.0)
log = logging.getLogger("mine")
Shape = namedtuple("Shape", "height width", defaults=[3])

class Kind(enum.Enum):
    A = 1

@dataclasses.dataclass
class Options:
    depth: int = 2
    shape: Shape = Shape(1)

class Base(nn.Module):
    offset = 1

class Net(Base):
    def __init__(self, channels):
        super().__init__()
        self.num_features = helper(WIDTH)

    @property
    def width(self):
        return WIDTH

@functools.cache
def helper(n):
    log.debug("n")
    return n if n < 1 else math.floor(helper(n - 1) + 1 + 0 * float(RATES.sum()))

def factor(k):
    def build(*, pretrained, in_channels, image_size, depth=Options().depth):
        return Net(in_channels * k), Kind.A, START, Options, NAMES
    return build

build = factor(2)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Import a module with a text in place of another; each has a name of its own."""
    monkeypatch.syspath_prepend(tmp_path)
    count = iter(range(99))

    def make(old: str = "", new: str = "", source: str = MODULE) -> ModuleType:
        assert not old or source.count(old) == 1
        folder = tmp_path / f"at{next(count)}"
        folder.mkdir()
        (folder / "mine.py").write_text(source.replace(old, new) if old else source)
        monkeypatch.syspath_prepend(folder)
        sys.modules.pop("mine", None)
        importlib.invalidate_caches()
        return importlib.import_module("mine")

    yield make  # type: ignore[misc]
    sys.modules.pop("mine", None)


def digest(build: object) -> str:
    return Source({"build": build}).sha256


CHANGES = {
    "a global": ("WIDTH = 6", "WIDTH = 7"),
    "an array": ("[0.5, 1.0]", "[0.5, 1.5]"),
    "a tensor": ("arange(3.0)", "arange(4.0)"),
    "a function that a method calls": ("+ 1 + 0", "+ 1.0 + 0"),
    "a method": ("helper(WIDTH)", "helper(WIDTH + 0)"),
    "a property": ("        return WIDTH", "        return -WIDTH"),
    "a base class": ("offset = 1", "offset = 2"),
    "a closure": ("factor(2)", "factor(3)"),
    "a default": ("Options().depth", "Options().depth + 1"),
    "a field of a dataclass": ("Shape = Shape(1)", "Shape = Shape(2)"),
    "a default of a namedtuple": ("defaults=[3]", "defaults=[4]"),
    "a member of an enum": ("A = 1", "A = 3"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_it_uses_counts(change: str, module: Callable[..., ModuleType]) -> None:
    before = digest(module().build)
    assert digest(module(*CHANGES[change]).build) != before


def test_what_it_does_not_use_does_not_count(module: Callable[..., ModuleType]) -> None:
    before = digest(module().build)
    assert digest(module().build) == before
    assert digest(module("UNUSED = 1", "UNUSED = object()").build) == before
    assert digest(module('getLogger("mine")', 'getLogger("mine")  # ours').build) == before


def test_another_process_finds_the_same(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        f"{MODULE}\nfrom quadzoo.registry.sources import Source\nprint(Source({{'build': build}}).sha256)\n"
    )
    command = [sys.executable, "script.py"]
    found = {
        subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_two_lambdas_in_a_line() -> None:
    one, two = (lambda x, *, k=1: x + 1), (lambda x, *, k=1: x + 2)
    three = lambda x, *, k=2: x + 1  # noqa: E731
    again = lambda x, *, k=1: x + 1  # noqa: E731
    assert len({digest(one), digest(two), digest(three)}) == 3
    assert digest(again) == digest(one)


def test_methods_and_partials_count_with_their_arguments(module: Callable[..., ModuleType]) -> None:
    source = "import functools\nclass Maker:\n    def __init__(self, n):\n        self.n = n\n" \
             "    def build(self):\n        return self.n\ndef f(n):\n    return n\n"  # fmt: skip
    source += "builds = [Maker(1).build, Maker(2).build, functools.partial(f, 1), functools.partial(f, 2)]\n"
    builds = module(source=source).builds
    assert len({digest(one) for one in builds}) == 4
    assert [digest(one) for one in module(source=source).builds] == [digest(one) for one in builds]


def test_modules_of_ones_own_count_and_are_found(module: Callable[..., ModuleType], tmp_path: Path) -> None:
    source = "import helpers_of_mine as h\nimport numpy as np\ndef build():\n    return h.f(), np\n"
    late = "def build():\n    import helpers_of_mine\n"
    found = {}
    for value in (1, 2):
        (tmp_path / "helpers_of_mine.py").write_text(
            f"VALUE = {value}{value}{value}\ndef f():\n    return VALUE\n"
        )
        sys.modules.pop("helpers_of_mine", None)
        importlib.invalidate_caches()
        known = Source({"build": module(source=source).build})
        assert {"mine", "helpers_of_mine"} == set(known.modules)
        found[known.sha256] = digest(module(source=late).build)
    assert len(found) == len(set(found.values())) == 2


WITHOUT = {
    "exec": ("build = eval('lambda: 1')", "has no source that Python can find"),
    "a lock": ("import threading\nL = threading.Lock()\ndef build():\n    return L", "_thread.lock"),
    "a generator": ("G = (one for one in ())\ndef build():\n    return G", "generator, which has no source"),
    "a method": (
        "class C:\n    pass\nexec('def f(self): return 1')\nC.f = f\ndef build():\n    return C()",
        "f has no source",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WITHOUT)
def test_what_has_no_source_is_refused(case: str, module: Callable[..., ModuleType]) -> None:
    source, why = WITHOUT[case]
    made: Any = module(source=f"{source}\n")
    with pytest.raises(NoSource, match=why):
        Source({"build": made.build})
    assert Source({"build": made.build}, strict=False).sha256  # a revision stands for it


def test_a_file_that_was_changed_meanwhile_is_refused(module: Callable[..., ModuleType]) -> None:
    mine = module()
    path = Path(str(mine.__file__))
    path.write_text(f"# a line more\n{path.read_text()}")
    with pytest.raises(NoSource, match=r"mine\.py was changed since factor\.<locals>\.build was read"):
        digest(mine.build)


def test_libraries_are_known_by_name(module: Callable[..., ModuleType]) -> None:
    from torch import nn

    found = Source({"build": nn.Linear})
    assert found.modules == {}
    assert found.sha256 != digest(nn.Conv2d)


def test_a_decorator_of_a_library_does_not_hide_what_it_decorates(module: Callable[..., ModuleType]) -> None:
    source = textwrap.dedent("""\
        import torch
        @torch.no_grad()
        def build():
            return 1
    """)
    assert digest(module(source=source).build) != digest(module("return 1", "return 2", source).build)
