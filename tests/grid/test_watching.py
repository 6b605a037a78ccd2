"""Loggers that are asked for: known, installed, and how to look at them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from quadzoo.errors import ConfigError
from quadzoo.grid.watching import check_loggers, how_to_watch

from ..conftest import Result

PAGE = (Path(__file__).parents[2] / "docs" / "watch.md").read_text(encoding="utf-8")
KINDS = ("csv", "tensorboard", "mlflow", "wandb")


@pytest.mark.parametrize("found", [None, ModuleSpec("wandb", None)])  # the second is a folder of that name
def test_what_is_not_installed_says_what_to_install(
    found: ModuleSpec | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quadzoo.grid.watching.find_spec", lambda _: found)
    check_loggers(["csv"])
    with pytest.raises(ConfigError, match=r"`logger` wandb: .*pip install 'quadzoo\[wandb\]'"):
        check_loggers(["csv", "wandb"])


def test_it_is_said_before_anything_is_trained(
    quadzoo: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quadzoo.grid.watching.find_spec", lambda _: None)
    out = tmp_path / "out"
    assert (
        "--logger mlflow: it is not installed" in quadzoo("bench", "--logger", "mlflow", "--out", out).error
    )
    assert "--logger" in quadzoo("bench", "--logger", "comet", "--out", out).error
    assert "names csv twice" in quadzoo("bench", "--logger", "csv,csv", "--out", out).error
    assert not out.exists()


def test_each_has_its_extra_and_its_command_in_the_docs() -> None:
    lines = how_to_watch(KINDS, Path("results"))
    assert len(lines) == len(KINDS)
    for kind, line in zip(KINDS, lines, strict=True):
        assert line.removeprefix(f"to watch with {kind}: ") in PAGE
    for kind in KINDS[1:]:
        assert f"pip install 'quadzoo[{kind}]'" in PAGE
