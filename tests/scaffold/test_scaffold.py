from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quadzoo.errors import ConfigError
from quadzoo.scaffold import write_project


@pytest.mark.parametrize(
    ("name", "project", "module", "short"),
    [
        ("mynet", "quadzoo-mynet", "quadzoo_mynet", "mynet"),
        ("quadzoo-wide-net2", "quadzoo-wide-net2", "quadzoo_wide_net2", "wide-net2"),
    ],
)
def test_names_go_through_the_whole_project(
    tmp_path: Path, name: str, project: str, module: str, short: str
) -> None:
    assert write_project(name, tmp_path) == tmp_path / project
    settings = tomllib.loads((tmp_path / project / "pyproject.toml").read_text())
    assert settings["project"]["name"] == project
    assert settings["project"]["entry-points"]["quadzoo"] == {short: module}
    hooks = (tmp_path / project / "src" / module / "__init__.py").read_text()
    assert f'BackboneSpec(name="{short}"' in hooks
    assert f"from {module}.backbone import Backbone" in hooks
    assert (tmp_path / project / "tests" / f"test_{module.removeprefix('quadzoo_')}.py").exists()
    text = "".join(path.read_text() for path in (tmp_path / project).rglob("*") if path.is_file())
    assert "mynet" not in text.replace(short, "") or short == "mynet"
    for source in (tmp_path / project).rglob("*.py"):
        compile(source.read_text(), str(source), "exec")
    assert [path.name for path in tmp_path.iterdir()] == [project]


@pytest.mark.parametrize("name", ["", "My", "2net", "a b", "../x", "-x", "a--b", "a.b", "é"])
def test_bad_names(
    tmp_path: Path, name: str, quadzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="lower-case letters"):
        write_project(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert quadzoo("plugin", "new", "--", name).status == 2
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "quadzoo-mynet").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        write_project("mynet", tmp_path)
