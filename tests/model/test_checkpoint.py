"""Weights from files: what is read, where it goes, what is refused."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from quadzoo.errors import WeightsError
from quadzoo.model.backbones.tiny import build_tiny_cnn
from quadzoo.model.checkpoint import load_weights, read_checkpoint

SIZE = (32, 48)


def tiny(in_channels: int = 3) -> nn.Module:
    return build_tiny_cnn(pretrained=False, in_channels=in_channels, image_size=SIZE)


def state(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}


def equal(module: nn.Module, other: nn.Module) -> bool:
    pairs = zip(module.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(one, two) for one, two in pairs)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth"])
def test_tensors_come_back(name: str, tmp_path: Path) -> None:
    given = state(tiny())
    if name.endswith(".safetensors"):
        safetensors.torch.save_file(given, tmp_path / name)
    else:
        torch.save({"state_dict": given, "epoch": 3, "optimizer": {"lr": 1.0}}, tmp_path / name)
    read = read_checkpoint(tmp_path / name)
    assert read.keys() == given.keys()
    assert all(torch.equal(read[one], given[one]) for one in given)


class Harmful:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('it was run')",)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    for number, beside in enumerate((Harmful(), argparse.Namespace(a=1), tiny())):
        torch.save({"state_dict": state(tiny()), "args": beside}, tmp_path / f"{number}.pt")
        with pytest.raises(
            WeightsError, match=rf"`weights` {number}\.pt: it holds more than tensors"
        ) as error:
            read_checkpoint(tmp_path / f"{number}.pt")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("w.safetensors", b"nonsense", "cannot be read"),
        ("w.pt", b"nonsense", "w.pt"),
        ("w.pt", b"", "cannot be read"),
        ("w.pt", {"epoch": 3}, "holds no tensors by name"),
        ("w.pt", [torch.zeros(2)], "holds no tensors by name"),
    ],
)
def test_files_that_are_none(name: str, content: Any, told: str, tmp_path: Path) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        torch.save(content, tmp_path / name)
    with pytest.raises(WeightsError, match=told) as error:
        read_checkpoint(tmp_path / name)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 300


@pytest.mark.parametrize("prefix", ["", "module.", "model.backbone.", "_orig_mod.module.encoder."])
def test_prefixes(prefix: str) -> None:
    source, target = tiny(), tiny()
    head = {"head.weight": torch.zeros(2, 2)}
    loaded = load_weights(target, {**state(source, prefix), **head}, "w.pt")
    assert equal(source, target)
    assert (loaded.source, loaded.tag, loaded.missing) == ("w.pt", "", ())
    assert loaded.unexpected == ("head.weight",)
    assert loaded.tensors == 4 * 5  # a convolution, and weight, bias, mean and variance of a norm
    assert "20 tensors loaded, 1 tensors of the weights unused: head.weight" in str(loaded)


def test_the_sha256_is_of_tensors_and_not_of_a_prefix_or_a_file() -> None:
    source = tiny()
    first = load_weights(tiny(), state(source), "a.pt").sha256
    assert load_weights(tiny(), state(source, "module."), "b.pt").sha256 == first
    assert load_weights(tiny(), state(tiny()), "a.pt").sha256 != first


def test_what_is_missing_is_counted_and_stays() -> None:
    source, target = tiny(), tiny()
    before = target.state_dict()["9.weight"].clone()
    given = {name: one for name, one in state(source).items() if name != "9.weight"}
    given = {name: one for name, one in given.items() if "num_batches" not in name}  # of old files
    loaded = load_weights(target, given, "w.pt")
    assert loaded.missing == ("9.weight",)
    assert loaded.tensors == 19
    assert torch.equal(target.state_dict()["9.weight"], before)


@pytest.mark.parametrize("channels", [1, 6])
def test_the_first_layer_is_adapted(channels: int) -> None:
    source, target = tiny(), tiny(channels)
    load_weights(target, state(source), "w.pt")
    grey = torch.rand(2, 1, *SIZE)
    first, adapted = source[0](grey.expand(-1, 3, -1, -1)), target[0](grey.expand(-1, channels, -1, -1))
    assert torch.allclose(first, adapted, atol=1e-5)


def test_weights_of_another_network_are_refused_with_counts() -> None:
    with pytest.raises(
        WeightsError, match=r"none of its 2 tensors \(a, b\) is one of the network's 20 \(0\."
    ):
        load_weights(tiny(), {"a": torch.zeros(1), "b": torch.zeros(1)}, "w.pt")
    wide = nn.Sequential(nn.Conv2d(3, 7, 3), nn.BatchNorm2d(7))
    with pytest.raises(
        WeightsError, match=r"5 of 6 tensors have other shapes .*\(0\.weight: 7x3x3x3, .*16x3x3x3"
    ):
        load_weights(tiny(), state(wide), "w.pt")


def test_a_network_of_timm_adapts_weights_itself() -> None:
    """Channels and size differ from those of the file, and the classifier has no place."""
    import timm

    from quadzoo.model.backbones.timm_features import TimmFeatures

    torch.manual_seed(0)
    name = "vit_tiny_patch16_224"
    source = timm.create_model(name, num_classes=3, depth=1)
    network = {"architecture": name, "model_args": {"depth": 1}, "pretrained_cfg": {}}
    target = TimmFeatures(name, False, 1, SIZE, network)
    loaded = load_weights(target, state(source, "net."), "w.pt")
    assert loaded.unexpected == ("head.bias", "head.weight")
    assert loaded.missing == ()
    own, theirs = target.model, source.state_dict()
    assert torch.equal(own.blocks[0].attn.qkv.weight, theirs["blocks.0.attn.qkv.weight"])
    assert own.pos_embed.shape != theirs["pos_embed"].shape
    assert torch.allclose(own.patch_embed.proj.weight, theirs["patch_embed.proj.weight"].sum(1, keepdim=True))
    assert "state_dict" not in own.pretrained_cfg
    assert target(torch.rand(2, 1, *SIZE)).shape == (2, 192, 2, 3)
    with pytest.raises(WeightsError, match="do not fit the network"):
        load_weights(target, state(timm.create_model(name, depth=1, embed_dim=96)), "w.pt")
