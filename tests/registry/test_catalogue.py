from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quadzoo import BackboneSpec, ModelSpec
from quadzoo.errors import DuplicateName, NameNotFound
from quadzoo.registry.catalogue import load
from quadzoo.registry.plugins import Plugin


def build(**_: Any) -> Any:
    raise AssertionError("looking up must not build")


def plugin(name: str, *backbones: str) -> Plugin:
    specs = tuple(BackboneSpec(name=backbone, build=build) for backbone in backbones)
    return Plugin(name, f"dist-{name}", "1", specs)


def test_duplicate_names_both_plugins() -> None:
    with pytest.raises(DuplicateName) as error:
        load([plugin("one", "net"), plugin("two", "net")])
    assert all(word in str(error.value) for word in ("'net'", "dist-one", "dist-two"))


def test_two_plugins_of_one_name() -> None:
    first, second = plugin("same", "a"), Plugin("same", "dist-other", "2")
    with pytest.raises(DuplicateName) as error:
        load([first, second])
    assert all(word in str(error.value) for word in ("dist-same", "dist-other"))


def test_short_name_only_where_free() -> None:
    names = load([plugin("mine", "resnet"), plugin("zoo", "zoo/resnet", "zoo/other")]).backbones
    assert names["resnet"].plugin.name == "mine"
    assert names["zoo/resnet"].plugin.name == "zoo"
    assert names["other"] is names["zoo/other"]
    assert [name for name, _ in names] == ["resnet", "zoo/resnet", "other"]


def test_ambiguous_short_name_is_nobodys() -> None:
    names = load([plugin("one", "one/net"), plugin("two", "two/net")]).backbones
    with pytest.raises(NameNotFound, match=r"one/net or two/net|two/net or one/net"):
        names["net"]


def test_unknown_name_shows_the_nearest() -> None:
    names = load([plugin("one", "resnet50", "resnet18")]).backbones
    with pytest.raises(NameNotFound, match="unknown backbone 'resnet5O'; did you mean resnet50"):
        names["resnet5O"]
    with pytest.raises(NameNotFound, match="quadzoo list backbones"):
        names["zzz"]


def test_models() -> None:
    mine, other = (
        Plugin(name, f"dist-{name}", "1", models=(ModelSpec(name="reads-ages", folder=Path(name)),))
        for name in ("mine", "other")
    )
    names = load([mine]).models
    assert names["reads-ages"].spec.folder == Path("mine")
    with pytest.raises(NameNotFound, match="unknown model 'reads-age'; did you mean reads-ages"):
        names["reads-age"]
    with pytest.raises(
        DuplicateName, match=r"model 'reads-ages' is registered by both .*dist-mine.*dist-other"
    ):
        load([mine, other])


@pytest.mark.parametrize(("name", "folder"), [("two words", "x"), ("fine", 7)])
def test_a_model_that_makes_no_sense(name: str, folder: Any) -> None:
    with pytest.raises(ValueError, match=repr(folder) if name == "fine" else "two words"):
        ModelSpec(name=name, folder=folder)


def test_installed_names() -> None:
    names = load().backbones
    assert names["resnet50"].plugin.name == "torchvision"
    assert names["timm/resnet50"].plugin.name == "timm"
    assert names["efficientnet_b0"].spec.name == "timm/efficientnet_b0"
