"""Plugins that are one file: what they register, under which key, and what is wrong with them."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quadzoo.errors import ConfigError, DuplicateName
from quadzoo.records.keys import Provenance
from quadzoo.registry import additions
from quadzoo.registry.catalogue import load
from quadzoo.registry.plugins import discover

GOOD = '''
"""My net."""
from quadzoo import BackboneSpec, hookimpl

def build(**_):
    raise AssertionError("listing must not build")

@hookimpl
def register_backbones():
    return [BackboneSpec(name="mynet", build=build, revision="7")]
'''


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = additions.current()
    yield
    additions.install(before)


def written(folder: Path, source: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(source)
    return path


def test_a_file_is_a_plugin(tmp_path: Path) -> None:
    additions.use([written(tmp_path, GOOD)])
    plugin = discover()[-1]
    assert (plugin.name, plugin.distribution, plugin.description) == ("mine", "./mine.py", "My net.")
    assert [spec.name for spec in plugin.backbones] == ["mynet"]
    assert load().backbones["mynet"].plugin == plugin
    additions.use([])
    assert "mine" not in {one.name for one in discover()}


def test_the_key_has_the_content_and_not_the_name(tmp_path: Path) -> None:
    def ingredients(source: str, name: str) -> dict[str, str]:
        additions.use([written(tmp_path, source, name)])
        return Provenance(**load().backbones["mynet"].provenance).ingredients

    first = ingredients(GOOD, "mine.py")
    assert len(first["version"]) == 64  # a SHA-256, whatever revision the spec has
    assert ingredients(GOOD, "renamed.py") == first
    assert ingredients(GOOD + "# a remark\n", "mine.py")["version"] != first["version"]


def test_another_process_runs_what_was_read(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    additions.use([path])
    sent = pickle.dumps(additions.current())
    path.write_text("raise RuntimeError('changed since')")
    additions.install(pickle.loads(sent))
    assert load().backbones["mynet"]


def test_a_file_is_run_once(tmp_path: Path) -> None:
    count = f"import pathlib\npathlib.Path({str(tmp_path)!r}, 'ran').mkdir()\n"  # fails the second time
    additions.use([written(tmp_path, count + GOOD)])
    for _ in range(3):
        load()
    assert (tmp_path / "ran").is_dir()


def test_modules_beside_the_file_are_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "x = 1", "helper_of_mine.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    additions.use([written(tmp_path, f"import helper_of_mine\n{GOOD}")])
    with pytest.raises(ConfigError, match=r"mine\.py: ModuleNotFoundError: No module named 'helper_of_mine'"):
        load()


WRONG = {
    "syntax": ("def f(:\n", r"SyntaxError: .*\(mine\.py, line 1\)"),
    "raises": ("\n1 / 0\n", r"ZeroDivisionError: division by zero \(line 2\)"),
    "exits": ("raise SystemExit('bye')\n", r"SystemExit: bye \(line 1\)"),
    "no hooks": ("x = 1\n", "it registers nothing; a function register_backbones"),
    "misspelt": (GOOD.replace("register_backbones", "register_backbone"), "register_backbone"),
    "bad spec": (GOOD.replace('"mynet"', '"my net"'), r"'my net' must be letters.*\(line \d+\)"),
    "wrong type": (GOOD.replace("return [", "return ['x'] or ["), "must return BackboneSpecs, got 'x'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line_and_no_warning(case: str, tmp_path: Path) -> None:
    source, told = WRONG[case]
    additions.use([written(tmp_path, source)])
    with pytest.raises(ConfigError, match=told) as error:
        load()
    assert str(error.value).startswith("`plugin` mine.py: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [("mine.txt", "a Python file is needed"), ("none.py", "No such file"), ("d.py", "not a regular file")],
)
def test_what_is_no_file(name: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "d.py").mkdir()
    with pytest.raises(ConfigError, match=rf"`plugin` .*{name}.*{told}"):
        additions.use([tmp_path / name])


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    additions.use([written(tmp_path, GOOD.replace('"mynet"', '"tiny_cnn"'))])
    with pytest.raises(DuplicateName, match=r"'tiny_cnn' .*plugin 'tiny' .*plugin 'mine' \(\./mine\.py"):
        load().backbones["tiny_cnn"]
