from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quadzoo import BackboneSpec, ModelSpec
from quadzoo.errors import DuplicateName, NameNotFound
from quadzoo.registry.catalogue import load
from quadzoo.registry.plugins import Plugin
from quadzoo.testing.checking import subjects_of


def build(**_: Any) -> Any:
    raise AssertionError("looking up must not build")


def plugin(name: str, *backbones: str) -> Plugin:
    specs = tuple(BackboneSpec(name=backbone, build=build) for backbone in backbones)
    return Plugin(name, f"dist-{name}", "1", specs)


def test_a_name_of_two_plugins_is_an_error_where_it_is_asked_for() -> None:
    catalogue = load([plugin("one", "net", "other"), plugin("two", "net")])
    names = catalogue.backbones
    with pytest.raises(DuplicateName) as error:
        names["net"]
    told = str(error.value)
    assert all(
        word in told for word in ("'net'", "plugin 'one'", "plugin 'two'", "dist-one:net or dist-two:net")
    )
    assert catalogue.claimed == [told]
    assert names["other"].plugin.name == "one"
    assert names.is_listed("net")


def test_a_qualified_name_always_works() -> None:
    names = load([plugin("one", "net", "other"), plugin("two", "net", "two/deep")]).backbones
    assert [names[f"dist-{one}:net"].plugin.name for one in ("one", "two")] == ["one", "two"]
    assert names["dist-one:other"] is names["other"]
    assert names["dist-two:two/deep"] is names["deep"]
    with pytest.raises(NameNotFound):
        names["dist-one:two/deep"]
    assert [name for name, _ in names] == ["dist-one:net", "other", "dist-two:net", "deep"]
    assert names.matching("n*") == (["dist-one:net", "dist-two:net"], 0)
    assert names.distinct(["dist-one:net", "dist-two:net", "other", "dist-one:other"]) == (
        "dist-one:net", "dist-two:net", "other",
    )  # fmt: skip


def test_one_distribution_that_registers_a_name_twice() -> None:
    first, second = plugin("one", "net"), Plugin("two", "dist-one", "1", plugin("two", "net").backbones)
    names = load([first, second]).backbones
    for name in ("net", "dist-one:net"):
        with pytest.raises(DuplicateName, match=r"'one'.*'two'"):
            names[name]


def test_two_plugins_of_one_name() -> None:
    first, second = plugin("same", "a"), Plugin("same", "dist-other", "2")
    catalogue = load([first, second])
    (told,) = catalogue.claimed
    assert all(word in told for word in ("dist-same", "dist-other"))
    assert catalogue.backbones["a"].plugin is first
    with pytest.raises(DuplicateName, match=r"dist-same.*dist-other"):
        subjects_of("same", catalogue)
    assert subjects_of("dist-same", catalogue)[0] == [first]


def test_what_is_claimed_twice_fails_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUADZOO_STRICT", "1")
    with pytest.raises(DuplicateName, match=r"QUADZOO_STRICT is set"):
        load([plugin("one", "net"), plugin("two", "net")])


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
        load([mine, other]).models["reads-ages"]


@pytest.mark.parametrize(("name", "folder"), [("two words", "x"), ("fine", 7)])
def test_a_model_that_makes_no_sense(name: str, folder: Any) -> None:
    with pytest.raises(ValueError, match=repr(folder) if name == "fine" else "two words"):
        ModelSpec(name=name, folder=folder)


def test_installed_names() -> None:
    names = load().backbones
    assert names["resnet50"].plugin.name == "torchvision"
    assert names["timm/resnet50"].plugin.name == "timm"
    assert names["efficientnet_b0"].spec.name == "timm/efficientnet_b0"
