from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quadzoo import BackboneSpec, HeadSpec, ModelSpec, hookimpl
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


def test_ctrl_c_is_not_swallowed() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        discover([point("slow", interrupted)])


def test_builtins_arrive_through_entry_points() -> None:
    plugins = {plugin.name: plugin for plugin in discover()}
    assert {"torchvision", "timm", "tiny", "heads"} <= plugins.keys()
    assert all(plugins[name].distribution == "quadzoo" for name in ("torchvision", "timm", "tiny", "heads"))


@pytest.mark.parametrize("name", ["", "two words", "../x", "a/b/c", "a,b", "<b>", "/x", "x/", None, 3])
def test_bad_names_are_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="name"):
        HeadSpec(name=name, build=build)
