"""What names of backbones stand for: wildcards, tags, folders, the hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quadzoo import BackboneSpec
from quadzoo.errors import ConfigError, NameNotFound, QuadzooError
from quadzoo.grid.names import chosen_backbones
from quadzoo.registry import additions
from quadzoo.registry.catalogue import Catalogue, load
from quadzoo.registry.plugins import Plugin

CONFIG = {
    "architecture": "resnet18",
    "num_classes": 7,
    "pretrained_cfg": {"tag": "mine", "mean": [0.5, 0.5, 0.5]},
}


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = additions.current()
    yield
    additions.install(before)


@pytest.fixture(scope="module")
def names() -> Catalogue:
    return load()


def written(folder: Path, config: Any = CONFIG) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def catalogue_of(*names: str) -> Catalogue:
    def build(**_: Any) -> Any:
        raise AssertionError

    return load([Plugin("p", "p", "1", tuple(BackboneSpec(name=name, build=build) for name in names))])


def test_registered_names_come_before_those_of_a_namespace() -> None:
    names, told = catalogue_of("res50", "res101", "res18", "other", "zoo/res7", "zoo/conv1", "zoo/conv2"), []
    assert chosen_backbones(["res*"], names, told.append) == ("res18", "res50", "res101")
    assert told == ["`backbones` res*: res18, res50, res101; 1 more have a namespace, as timm/res*"]
    assert chosen_backbones(["zoo/res*"], names) == ("zoo/res7",)
    assert chosen_backbones(["conv?"], names) == ("conv1", "conv2")
    assert chosen_backbones(["res18", "res1*", "other"], names) == ("res18", "res101", "other")


def test_a_wildcard_for_nothing_or_for_too_much(names: Catalogue) -> None:
    with pytest.raises(NameNotFound, match=r"no backbone matches 'resnat5\*'; did you mean resnet5"):
        chosen_backbones(["resnat5*"], names)
    with pytest.raises(
        ConfigError, match=r"`backbones` timm/\*: it matches 1,\d\d\d networks \(.*; narrow it"
    ):
        chosen_backbones(["timm/*"], names)


def test_tags(names: Catalogue) -> None:
    assert chosen_backbones(["resnet18.a1_in1k", "timm/resnet18.a1_in1k"], names) == ("resnet18.a1_in1k",)
    assert names.backbones["resnet18.a1_in1k"].provenance["name"] == "timm/resnet18.a1_in1k"
    with pytest.raises(QuadzooError, match=r"timm's resnet18 has no weights 'a9_in1k'; .*a1_in1k") as error:
        chosen_backbones(["resnet18.a9_in1k"], names)
    assert len(str(error.value)) <= 300
    with pytest.raises(NameNotFound, match=r"unknown backbone 'resnet1\.a1'"):
        chosen_backbones(["resnet1.a1"], names)


def test_the_tags_that_are_read_from_the_source_are_timm_s() -> None:
    import timm

    from quadzoo.model.backbones.timm import architectures, tags_of

    known = set(timm.list_pretrained())
    for name in ("resnet18", "vit_base_patch16_224", "convnext_tiny"):
        ours = {f"{name}.{tag}" for tag in tags_of(name)}
        assert ours >= {one for one in known if one.split(".")[0] == name}
    assert "resnet18" in architectures()


def test_a_folder_goes_by_its_last_part(names: Catalogue, tmp_path: Path) -> None:
    folder = written(tmp_path / "secret" / "mynet")
    assert chosen_backbones([f"local-dir:{folder}"], names) == ("local-dir:mynet",)
    spec = names.backbones["local-dir:mynet"].spec
    assert spec.name == "timm/resnet18"
    assert spec.revision.startswith("0.1.0+")
    assert spec.network == {
        "architecture": "resnet18", "model_args": {}, "pretrained_cfg": CONFIG["pretrained_cfg"],
    }  # fmt: skip
    assert "secret" not in json.dumps(names.backbones["local-dir:mynet"].provenance)


def test_the_key_has_what_the_config_says_and_not_where_it_lies(names: Catalogue, tmp_path: Path) -> None:
    def code(folder: str, **changed: Any) -> dict[str, str]:
        path = written(tmp_path / folder, {**CONFIG, **changed})
        return names.backbones.anew(f"local-dir:{path}").provenance

    assert code("a/one") == code("b/two", label_names=["cat"])
    assert code("a/one", model_args={"drop_rate": 0.5}) != code("a/one")


def test_two_folders_of_one_name(names: Catalogue, tmp_path: Path) -> None:
    asked = [f"local-dir:{written(tmp_path / one / 'net')}" for one in ("a", "b")]
    with pytest.raises(ConfigError, match="two folders have the name 'net'"):
        chosen_backbones(asked, names)


def test_what_a_record_keeps_is_enough(names: Catalogue, tmp_path: Path) -> None:
    network = names.backbones.anew(f"local-dir:{written(tmp_path / 'net')}").spec.network
    additions.use_network("local-dir:gone", additions.Network("local-dir:gone", network))
    assert load().backbones["local-dir:gone"].spec.network == network


def test_nothing_of_a_config_reads_other_files(names: Catalogue, tmp_path: Path) -> None:
    harmful = {"checkpoint_path": "/etc/passwd", "pretrained_cfg": {"file": "x"}, "drop_rate": 0.1}
    config = {**CONFIG, "model_args": harmful, "pretrained_cfg": {"file": "/etc/passwd", "custom_load": True}}
    spec = names.backbones.anew(f"local-dir:{written(tmp_path / 'net', config)}").spec
    assert spec.network == {
        "architecture": "resnet18",
        "model_args": {"drop_rate": 0.1},
        "pretrained_cfg": {},
    }


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no folder": (lambda path: None, "has no config.json"),
    "no json": (
        lambda path: (path.mkdir(), (path / "config.json").write_text("{")),
        "Expecting property name",
    ),
    "a list": (lambda path: written(path, [1]), "it names no architecture"),
    "unknown": (lambda path: written(path, {"architecture": "os.system"}), "has no architecture 'os.system'"),
    "mean": (lambda path: written(path, {**CONFIG, "pretrained_cfg": {"mean": [1]}}), "three numbers"),
    "std": (lambda path: written(path, {**CONFIG, "pretrained_cfg": {"std": [0, 1, 1]}}), "above 0"),
    "args": (lambda path: written(path, {**CONFIG, "model_args": [1]}), "no mappings"),
    "layers": (
        lambda path: written(path, {**CONFIG, "model_args": {"layers": [1, 1, 3_000_000]}}),
        "model_args.layers 3000000: no network is that large",
    ),
    "width": (lambda path: written(path, {**CONFIG, "model_args": {"a": {"width": 10**9}}}), "is that large"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_folder_that_is_none(case: str, names: Catalogue, tmp_path: Path) -> None:
    make, told = WRONG[case]
    make(tmp_path / "net")
    with pytest.raises(QuadzooError, match=told) as error:
        chosen_backbones([f"local-dir:{tmp_path / 'net'}"], names)
    assert "\n" not in str(error.value)
    assert len(str(error.value).replace(str(tmp_path), "")) <= 300


def test_a_hub_that_is_out_of_reach(
    names: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def offline(*_: Any, **__: Any) -> Any:
        raise OSError("no network: this is a test\nmore")

    monkeypatch.setattr(huggingface_hub, "model_info", offline)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        QuadzooError, match=r"hf-hub:me/net: .*no network: this is a test; it is not in"
    ) as error:
        chosen_backbones(["hf-hub:me/net"], names)
    assert "\n" not in str(error.value)
    monkeypatch.undo()
    with pytest.raises(QuadzooError, match=r"hf-hub:a/b/c: .*'a/b/c' is no OWNER/NAME"):
        chosen_backbones(["hf-hub:a/b/c"], names)
