from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quadzoo import BackboneSpec, HeadSpec, ModelSpec, __version__, hookimpl
from quadzoo.errors import ConfigError
from quadzoo.registry import hooks
from quadzoo.registry.plugins import discover


def build(**_: Any) -> Any:
    raise AssertionError("listing must not build")


@dataclass
class Distribution:
    name: str
    version: str = "1.2"


@dataclass
class Point:
    """An entry point whose module is whatever a test says."""

    name: str
    thing: Any
    dist: Distribution
    module: str = "a.module"

    def load(self) -> Any:
        return self.thing() if callable(self.thing) else self.thing


def point(name: str, thing: Any) -> Any:
    return Point(name, thing, Distribution(f"dist-{name}"))


class Good:
    """A good plugin."""

    @hookimpl
    def register_backbones(self) -> Iterator[BackboneSpec]:
        yield BackboneSpec(name="good_net", build=build)

    @hookimpl
    def register_heads(self) -> list[HeadSpec]:
        return [HeadSpec(name="good_head", build=build)]

    @hookimpl
    def register_models(self) -> list[ModelSpec]:
        return [ModelSpec(name="good-model", folder="somewhere")]


def test_good_plugin() -> None:
    (plugin,) = discover([point("good", Good())])
    assert (plugin.name, plugin.distribution, plugin.version) == ("good", "dist-good", "1.2")
    assert [spec.name for spec in plugin.backbones] == ["good_net"]
    assert [spec.name for spec in plugin.heads] == ["good_head"]
    assert [(spec.name, spec.folder) for spec in plugin.models] == [("good-model", Path("somewhere"))]
    assert plugin.description == "A good plugin."
    assert not plugin.failure


def fails_to_import() -> None:
    raise ImportError("No module named 'nothere'")


def exits() -> None:
    sys.exit("bye")


class Misspelt:
    @hookimpl
    def register_backbone(self) -> list[BackboneSpec]:
        return []


class Raises:
    @hookimpl
    def register_heads(self) -> list[HeadSpec]:
        raise RuntimeError("boom")


class RaisesHalfWay:
    @hookimpl
    def register_backbones(self) -> Iterator[BackboneSpec]:
        yield BackboneSpec(name="first", build=build)
        raise RuntimeError("half way")


class WrongType:
    @hookimpl
    def register_backbones(self) -> list[Any]:
        return ["resnet"]


class NotIterable:
    @hookimpl
    def register_backbones(self) -> Any:
        return 3


class BadName:
    @hookimpl
    def register_backbones(self) -> list[BackboneSpec]:
        return [BackboneSpec(name="../<b>x</b>", build=build)]


@pytest.mark.parametrize(
    ("thing", "told"),
    [
        (fails_to_import, "ImportError: No module named 'nothere'"),
        (exits, "SystemExit: bye"),
        (Misspelt(), "register_backbone"),
        (Raises(), "RuntimeError: boom"),
        (RaisesHalfWay(), "RuntimeError: half way"),
        (WrongType(), "got 'resnet'"),
        (NotIterable(), "got int"),
        (BadName(), "../<b>x</b>"),
    ],
)
def test_broken_plugin_is_named_and_the_rest_works(thing: Any, told: str) -> None:
    broken, good = discover([point("good", Good()), point("broken", thing)])
    assert broken.name == "broken"
    assert told in broken.failure
    assert "\n" not in broken.failure
    assert broken.backbones == broken.heads == ()
    assert len(good.backbones) == 1


def raises_an_interrupt() -> None:
    raise KeyboardInterrupt


def moves() -> object:
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return Good()


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raises_without_words() -> None:
    raise Speechless


def raises_a_megabyte() -> None:
    raise RuntimeError("x" * 1_000_000)


@pytest.mark.parametrize("thing", [raises_an_interrupt, raises_without_words, raises_a_megabyte])
def test_whatever_a_plugin_raises_costs_that_plugin_alone(thing: Any) -> None:
    broken, good = discover([point("good", Good()), point("broken", thing)])
    assert broken.failure.startswith(("KeyboardInterrupt", "Speechless", "RuntimeError: xxx"))
    assert len(broken.failure) <= 200
    assert good.backbones


def test_ctrl_c_is_not_swallowed() -> None:
    def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        discover([point("slow", interrupted)])
    assert signal.getsignal(signal.SIGINT) is before


def test_a_plugin_moves_neither_the_folder_nor_the_handlers_of_signals() -> None:
    folder, handler = os.getcwd(), signal.getsignal(signal.SIGINT)
    (plugin,) = discover([point("moves", moves)])
    assert plugin.backbones
    assert (os.getcwd(), signal.getsignal(signal.SIGINT)) == (folder, handler)


def test_a_failure_is_an_error_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUADZOO_STRICT", "1")
    with pytest.raises(ConfigError, match=r"'broken' .* fails: SystemExit: bye .QUADZOO_STRICT"):
        discover([point("good", Good()), point("broken", exits)])
    monkeypatch.setenv("QUADZOO_STRICT", "0")
    assert discover([point("broken", exits)])[0].failure


class Future:
    QUADZOO_API: Any = hooks.API + 1

    @hookimpl
    def register_smells(self) -> list[Any]:
        raise AssertionError("it must not be asked")


class Past(Future):
    QUADZOO_API = hooks.OLDEST_API - 1


class Odd(Future):
    QUADZOO_API = "1.0"


class Present(Good):
    QUADZOO_API = hooks.API


@pytest.mark.parametrize(
    ("thing", "told"),
    [
        (Future(), f"it asks for plugin API 2, and quadzoo {__version__} has 1: upgrade quadzoo"),
        (Past(), f"it asks for plugin API 0, and quadzoo {__version__} has 1 to 1: upgrade the plugin"),
        (Odd(), "QUADZOO_API is '1.0', and should be a whole number"),
        (Present(), ""),
        (Good(), ""),
    ],
)  # fmt: skip
def test_a_plugin_for_another_plugin_api_is_left_out(thing: Any, told: str) -> None:
    (plugin,) = discover([point("other", thing)])
    assert plugin.failure == told
    assert bool(plugin.backbones) is not bool(told)


def test_builtins_arrive_through_entry_points() -> None:
    plugins = {plugin.name: plugin for plugin in discover()}
    assert {"torchvision", "timm", "tiny", "heads"} <= plugins.keys()
    assert all(plugins[name].distribution == "quadzoo" for name in ("torchvision", "timm", "tiny", "heads"))


@pytest.mark.parametrize("name", ["", "two words", "../x", "a/b/c", "a,b", "<b>", "/x", "x/", None, 3])
def test_bad_names_are_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="name"):
        HeadSpec(name=name, build=build)
